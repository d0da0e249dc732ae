"""One small shop, written for each framework: the same URLs, guarded by the same middleware."""

from typing import Any

from breaker_asgi import BreakerConfig, BreakerMiddleware, CircuitBreaker, CountWindow
from breaker_asgi.asgi.types import ASGIApp
from breaker_asgi.monitor import public

SETTINGS: dict[str, Any] = {
    "config": BreakerConfig(
        failure_rate=0.5, window=CountWindow(4), minimum_calls=4, timeout_duration=60
    ),
    "authorize": public,
}
RULES: dict[str, Any] = {
    "/boom": "GET /boom",
    "/inner": "GET /inner",
    "/started": None,
}
"""Rules for the frameworks whose routes can't be read."""

CHUNKS = [b"one ", b"two ", b"three"]

bank = CircuitBreaker(name="bank", timeout_duration=60)
bank.open()


@bank
async def charge() -> None:
    """Never called: the bank is down."""


def guarded(app: ASGIApp) -> ASGIApp:
    """Wrap the application of a framework to which no middleware can be added."""
    return BreakerMiddleware(app, rules=RULES, **SETTINGS)
