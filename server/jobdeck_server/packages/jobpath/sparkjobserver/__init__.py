"""What a Python job of Spark JobServer finds on its path; see ``api``. Standard library alone, Python 3.8 and later."""
