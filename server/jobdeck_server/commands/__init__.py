"""The server's own commands of the `jobdeck` program, loaded only when they are called."""
