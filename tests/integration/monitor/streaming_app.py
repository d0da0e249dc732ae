"""An application with a monitor, for a real server."""

from __future__ import annotations

import asyncio
from random import Random

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from breaker_asgi import (
    BreakerMiddleware,
    BreakerRegistry,
    CircuitBreaker,
    CircuitBreakerMonitor,
)
from breaker_asgi.monitor import public

BUSY = BreakerRegistry()

payments = CircuitBreaker(name="payments")
held: list[CircuitBreaker] = []


async def many(_request: Request) -> Response:
    """Create breakers whose snapshot exceeds the buffers of a socket."""
    held.extend(CircuitBreaker(name=f"{number}" * 1_000) for number in range(5_000))
    return PlainTextResponse("made")


class Busy:
    """A thousand breakers with calls of varying counts and durations every second."""

    def __init__(self) -> None:
        self.now = 0.0
        self.breakers = [
            BUSY.get(f"service-{number}", failure_rate=0.9, fail_max=None, clock=lambda: self.now)
            for number in range(1_000)
        ]
        self._random = Random(1)

    def call(self) -> None:
        self.now += 1
        asyncio.get_running_loop().call_later(1, self.call)
        begin = self.now
        for place, breaker in enumerate(self.breakers):
            for _ in range(self._random.randint(1, 12)):
                permit = breaker.acquire()
                self.now += self._random.lognormvariate(-3.5 + place / 1_000, 0.5)
                if self._random.random() < 0.03:
                    permit.failure(OSError())
                else:
                    permit.success()
                self.now = begin


async def busy(_request: Request) -> Response:
    """Begin to call the busy breakers."""
    held.extend((calls := Busy()).breakers)
    calls.call()
    return PlainTextResponse("called")


app = Starlette(
    routes=[
        Route("/many", many, methods=["POST"]),
        Route("/busy", busy, methods=["POST"]),
        Mount("/busy", CircuitBreakerMonitor(registry=BUSY, authorize=public)),
    ],
    middleware=[
        Middleware(BreakerMiddleware, authorize=public, authorize_control=lambda _request: "ann")
    ],
)
strangers = Starlette(middleware=[Middleware(BreakerMiddleware)])
"""An application that has chosen no readers."""
