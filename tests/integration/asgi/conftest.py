"""Fixtures of the tests of applications, for those that need more frameworks."""

from tests.asgi.conftest import _own_default_registry, call

__all__ = ["_own_default_registry", "call"]
