"""Plain trio client of jobdeck: the HTTP API and the channels."""
