"""Tests of what the server calls at addresses that a client chose."""
