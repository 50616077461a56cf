"""The API of Spark JobServer; ``service`` is what to read first."""
