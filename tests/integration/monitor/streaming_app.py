"""An application with a monitor, for a real server."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from breaker_asgi import BreakerMiddleware, CircuitBreaker
from breaker_asgi.monitor import public

payments = CircuitBreaker(name="payments")
held: list[CircuitBreaker] = []


async def many(_request: Request) -> Response:
    """Create breakers whose snapshot exceeds the buffers of a socket."""
    held.extend(CircuitBreaker(name=f"{number}" * 1_000) for number in range(5_000))
    return PlainTextResponse("made")


app = Starlette(
    routes=[Route("/many", many, methods=["POST"])],
    middleware=[
        Middleware(BreakerMiddleware, authorize=public, authorize_control=lambda _request: "ann")
    ],
)
strangers = Starlette(middleware=[Middleware(BreakerMiddleware)])
"""An application that has chosen no readers."""
