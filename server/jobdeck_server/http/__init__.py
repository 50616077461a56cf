"""Bytes to requests and answers to bytes; knows no jobs."""
