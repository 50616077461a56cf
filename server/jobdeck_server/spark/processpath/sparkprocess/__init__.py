"""What the process of a Spark context is made of. It stands alone: nothing of the server is imported here."""
