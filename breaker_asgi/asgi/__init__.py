"""The ASGI middleware, and what it is made of. Needs no framework."""
