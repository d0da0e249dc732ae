"""A shop whose payments hang while a file is there: uvicorn with one worker or several."""

import asyncio
import os
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from breaker_asgi import BreakerConfig, BreakerMiddleware, CountWindow

HUNG = Path(os.environ["HUNG_FILE"])
CONFIG = BreakerConfig(
    failure_rate=0.5,
    slow_call_rate=0.5,
    slow_call_duration=0.2,
    window=CountWindow(10),
    minimum_calls=10,
    timeout_duration=0.5,
    ramp=4,
)


async def pay(_request: Request) -> Response:
    while HUNG.exists():  # noqa: ASYNC110, ASYNC240 - another process decides
        await asyncio.sleep(0.05)
    return PlainTextResponse(f"{os.getpid()}")


app = Starlette(
    routes=[Route("/pay", pay)],
    middleware=[Middleware(BreakerMiddleware, config=CONFIG, store=os.environ.get("HUNG_STORE"))],
)
