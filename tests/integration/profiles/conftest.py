"""A database and a cache of the tests' own."""

from tests.integration.sdks.conftest import postgres, redis_port

__all__ = ["postgres", "redis_port"]
