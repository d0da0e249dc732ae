"""ASGI types, headers, requests and responses, without a framework."""
