"""The console script `breaker-asgi`: what a monitor shows, in a terminal, and its controls."""
