"""Guards for the clients that call other services: a breaker for every origin."""

from breaker_asgi.clients.guarding import guard

__all__ = ["guard"]
