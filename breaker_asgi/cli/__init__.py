"""The console script `breaker-asgi`: a monitor's breakers in a terminal, and its controls."""
