"""The keeper: a small stdlib-only program that owns the jobs and outlives the server."""
