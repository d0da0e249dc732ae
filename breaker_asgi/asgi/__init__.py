"""The ground for all that speaks ASGI."""
