"""The jobdeck server."""
