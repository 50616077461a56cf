"""Terminal programs: the `jobdeck` command."""
