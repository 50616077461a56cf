"""The WebGME blob store and executor, below ``/rest``."""
