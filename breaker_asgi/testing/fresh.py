"""Registries without breakers, so that tests do not share any."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from breaker_asgi._core.namesakes import NamedBreakers
from breaker_asgi.registry import default_registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from breaker_asgi.registry import BreakerRegistry


@contextmanager
def fresh_registry(registry: BreakerRegistry = default_registry) -> Iterator[BreakerRegistry]:
    """Empty a registry of its breakers, and give them back afterwards.

        @pytest.fixture(autouse=True)
        def _fresh_breakers():
            with fresh_registry():
                yield

    Routes, `Depends(breaker(...))` and transports find their breakers in the registry, so each test
    gets new ones. Breakers that a module holds stay, and are reset before the test.
    """
    for breaker in registry:
        breaker.reset()
    kept = registry._breakers, registry._made
    registry._breakers, registry._made = NamedBreakers(), {}
    try:
        yield registry
    finally:
        registry._breakers, registry._made = kept
