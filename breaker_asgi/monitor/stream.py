"""The server-sent events."""
