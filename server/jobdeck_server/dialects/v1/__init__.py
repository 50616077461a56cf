"""The native API: what the console, the command line and new clients use."""
