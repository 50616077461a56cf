"""The commands of the `jobdeck` program that talk to a server, one file each."""
