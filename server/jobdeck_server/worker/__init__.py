"""``jobdeck worker``: a machine that runs a server's jobs; ``program`` puts it together and is to be read first."""
