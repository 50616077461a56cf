"""Spark as a program on this machine: finding it, starting the process of a context, and talking to that."""
