"""An application whose breakers are all called, each a few times a second."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette

from breaker_asgi import BreakerMiddleware, CircuitBreaker
from breaker_asgi.monitor import public

BREAKERS = [
    CircuitBreaker(name=f"service-{number:04}", failure_rate=0.5)
    for number in range(int(os.environ.get("BREAKERS", "10")))
]


@asynccontextmanager
async def calling(_app: Starlette) -> AsyncIterator[None]:
    task = asyncio.create_task(_call())
    yield
    task.cancel()


async def _call() -> None:
    dice = random.Random(1)
    while True:
        for breaker in BREAKERS:
            for _ in range(dice.randrange(1, 6)):
                permit = breaker.acquire()
                if dice.random() < 0.02:
                    permit.failure()
                else:
                    permit.success()
        await asyncio.sleep(0.5)


app = Starlette(lifespan=calling)
app.add_middleware(BreakerMiddleware, authorize=public)
