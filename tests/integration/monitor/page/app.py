"""An application with a monitor, whose breakers a test steers with `POST /steer`.

Each `{"do": "calls", ...}` is a method of `World`. `BREAKERS` names the breakers that a process
starts with: several workers have their own, synchronized by a `STORE`, with a `QUORUM`.
"""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import nullcontext, suppress
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount

from breaker_asgi import (
    BreakerConfig,
    BreakerMiddleware,
    BreakerRegistry,
    CircuitBreaker,
    CircuitBreakerError,
    CircuitBreakerMonitor,
    CountWindow,
    Permit,
)
from breaker_asgi.asgi.types import Receive, Scope, Send
from breaker_asgi.monitor.controls import ACTIONS
from breaker_asgi.monitor.history import History
from tests.integration.monitor.page.shop import Clock, Shop

QUICK, SLOW = 0.042, 1.5
"""Durations of calls in seconds, by their breaker's clock."""
SETTINGS: dict[str, Any] = {
    "failure_rate": 0.5,
    "slow_call_rate": 0.8,
    "slow_call_duration": 1.0,
    "window": CountWindow(100),
    "half_open_calls": 3,
    "timeout_duration": 60,
    "keep_messages": True,
}


class World:
    """An application, and the actions of a test on it."""

    def __init__(self, store: str | None = None) -> None:
        quorum = int(os.environ.get("QUORUM", "1"))
        self.registry = BreakerRegistry(store=store, quorum=quorum)
        self.clocks: dict[str, Clock] = {}
        self.read = self.control = True
        self.who = "ana"
        self.shop: Shop | None = None
        self.hanging: list[Permit] = []
        self.calling: asyncio.Task[None] | None = None
        rights: dict[str, Any] = {"authorize_control": lambda _: self.control and self.who}
        guarded = BreakerMiddleware(
            Starlette(), registry=self.registry, authorize=lambda _: self.read, **rights
        )
        self.app = Starlette(routes=[Mount("/shop", app=guarded)])
        self.app.mount("/mounted", CircuitBreakerMonitor(registry=self.registry, **rights))

    async def begin(self) -> None:
        """Start anew, as a process does: the history starts before the first call."""
        global world  # noqa: PLW0603
        if self.shop is not None:
            self.shop.close()
        if self.calling is not None:
            self.calling.cancel()
        world = World(os.environ.get("STORE"))
        History.of(world.registry).start()

    async def reset(self) -> None:
        """Replace all breakers by new ones of the same names."""
        names = [breaker.name for breaker in self.registry]
        await self.begin()
        await world.add(names)

    async def rights(self, **rights: Any) -> None:
        for name, value in rights.items():
            setattr(self, name, value)

    async def add(self, names: list[str], **settings: Any) -> None:
        for name in names:
            clock = self.clocks[name] = Clock()
            config = BreakerConfig(clock=clock, **(settings or SETTINGS))
            self.registry.add(CircuitBreaker.from_config(config, name))

    async def remove(self, name: str) -> None:
        del self.registry._breakers.kept[name]

    async def wait(self, seconds: float) -> None:
        for clock in self.clocks.values():
            clock.ahead += seconds

    async def change(self, name: str, action: str) -> None:
        """Change a state from within the application."""
        ACTIONS[action](self.registry[name])

    async def calls(
        self,
        name: str,
        ok: int = 0,
        slow: int = 0,
        failed: int = 0,
        rejected: int = 0,
        ignored: int = 0,
        error: str = "TimeoutError",
        message: str = "no answer from 10.0.4.17:8443",
        took: float = QUICK,
    ) -> None:
        """Make the calls, in this order."""
        kind = type(error, (Exception,), {"__module__": "builtins"})
        for seconds, count in ((took, ok), (SLOW, slow)):
            for _ in range(count):
                self._call(name, seconds, None)
        for _ in range(failed):
            self._call(name, took, kind(message))
        for _ in range(rejected):
            try:
                self.registry[name].acquire().ignore()
            except CircuitBreakerError:
                continue
            raise AssertionError(f"{name} admits calls")
        for _ in range(ignored):
            self.registry[name].acquire().ignore()

    def _call(self, name: str, seconds: float, exception: Exception | None) -> None:
        with suppress(type(exception)) if exception else nullcontext(), self.registry[name]:
            self.clocks[name].ahead += seconds
            if exception:
                raise exception

    async def attempt(self, name: str, *, fails: bool) -> None:
        with suppress(CircuitBreakerError):
            permit = self.registry[name].acquire()
            permit.failure(TimeoutError()) if fails else permit.success()

    async def hang(self, name: str, calls: int) -> None:
        """Begin calls that do not end until `answer`."""
        self.hanging += [self.registry[name].acquire() for _ in range(calls)]

    async def answer(self) -> None:
        """End the calls that hang."""
        for permit in self.hanging:
            permit.success()
        self.hanging.clear()

    async def busy(self, calls: int) -> None:
        """Call all breakers once a second from now on."""
        self.calling = asyncio.create_task(self._keep_busy(calls))

    async def _keep_busy(self, calls: int) -> None:
        while True:
            for name in self.clocks:
                await self.calls(name, ok=calls)
            await asyncio.sleep(1)

    async def look(self) -> None:
        """Wait until the history has recorded the current second."""
        history = History.of(self.registry)
        before = history.ticks
        while history.ticks == before:  # noqa: ASYNC110 # a tick has no event
            await asyncio.sleep(0.01)

    async def hold(self) -> None:
        """Stop the clock of the history: the figures of the last seconds are those of now on."""
        history = History.of(self.registry)
        now = history.now()
        history._clock = lambda: now

    async def open_the_shop(self) -> None:
        self.shop = Shop(self.registry)


world = World()


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await world.begin()
        await world.add(json.loads(os.environ.get("BREAKERS", "[]")))
    if scope.get("path") == "/steer":
        await steer(Request(scope, receive))
        await JSONResponse({"pid": os.getpid()})(scope, receive, send)
    else:
        await world.app(scope, receive, send)


async def steer(request: Request) -> None:
    arguments = await request.json()
    await getattr(world, arguments.pop("do"))(**arguments)
