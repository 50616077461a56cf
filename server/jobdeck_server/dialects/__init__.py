"""The documented APIs, one thin module each."""
