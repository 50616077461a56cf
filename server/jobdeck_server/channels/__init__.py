"""The WebSocket ends of the protocol's channels."""
