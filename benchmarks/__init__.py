"""Throughput, latency and cost of the real program, each beside a peer or limit of the same run; see README.md."""
