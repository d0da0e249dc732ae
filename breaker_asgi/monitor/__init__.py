"""The monitor: what all breakers are doing, for programs and people."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from breaker_asgi.asgi.responses import JSON, PROBLEM_JSON, Response
from breaker_asgi.registry import BreakerRegistry, default_registry

if TYPE_CHECKING:
    from breaker_asgi.asgi.types import Receive, Scope, Send
    from breaker_asgi.snapshot import BreakerSnapshot


class CircuitBreakerMonitor:
    """An ASGI application that lists the breakers of a registry as JSON.

        app.mount("/breakers", CircuitBreakerMonitor())

    `{"breakers": [...]}`, each with the fields of `BreakerSnapshot`, sorted by name: names, states
    and figures, and no exception's text.
    """

    def __init__(self, *, registry: BreakerRegistry = default_registry) -> None:
        self.registry = registry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["method"] not in ("GET", "HEAD"):
            problem = {"title": "Method Not Allowed", "status": 405}
            body = json.dumps(problem).encode()
            refusal = Response(405, PROBLEM_JSON, body, [(b"allow", b"GET, HEAD")])
            await refusal(scope, receive, send)
            return
        breakers = sorted(self.registry, key=lambda breaker: breaker.name)
        content = {"breakers": [_as_json(breaker.snapshot()) for breaker in breakers]}
        body = json.dumps(content).encode()
        listing = Response(200, JSON, body, [(b"cache-control", b"no-store")])
        await listing(scope, receive, send)


def _as_json(snapshot: BreakerSnapshot) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in asdict(snapshot).items()
    }
