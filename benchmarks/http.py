"""The cost that the middleware adds to a request: in one process, and over a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from time import perf_counter_ns
from typing import Any

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from benchmarks import wrk
from benchmarks.tables import Table, mark, number
from benchmarks.timing import Case, Run, measure, problems, ratio
from breaker_asgi import BreakerMiddleware, BreakerRegistry
from breaker_asgi.asgi.types import ASGIApp, Message, Receive, Scope, Send

ROUTES = (10, 100, 500)
_PATH = "/api/things{}/{id}/parts/{part}"


async def nothing(_scope: Scope, _receive: Receive, send: Send) -> None:
    """Answer with the least work of an application."""
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


class PassThrough:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


class Floor:
    """A hand-written middleware: it counts, guards everything alike, and never opens."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.successes = self.failures = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        pending = True

        async def judge(message: Message) -> None:
            nonlocal pending
            if pending and message["type"] == "http.response.start":
                pending = False
                if message["status"] >= 500:
                    self.failures += 1
                else:
                    self.successes += 1
            await send(message)

        try:
            await self.app(scope, receive, judge)
        except Exception:
            self.failures += 1
            raise


class DoesNothing(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)


def guarded(app: ASGIApp) -> ASGIApp:
    return BreakerMiddleware(app, registry=BreakerRegistry())


def rejecting() -> ASGIApp:
    registry = BreakerRegistry()
    registry.get("app").open()
    return BreakerMiddleware(nothing, registry=registry)


async def _answer(_request: Request) -> Response:
    return PlainTextResponse("ok")


async def _receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(_: Message) -> None:
    return


def requests(app: ASGIApp, path: str = "/", loop: asyncio.AbstractEventLoop | None = None) -> Run:
    """Return a runner of requests, one after the other, on `loop` or one of its own."""
    loop = loop or asyncio.new_event_loop()
    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "root_path": "",
        "query_string": b"", "headers": [(b"host", b"shop")], "http_version": "1.1",
        "server": ("shop", 80), "client": ("127.0.0.1", 1), "scheme": "http",
    }  # fmt: skip

    async def drive(calls: int) -> int:
        start = perf_counter_ns()
        for _ in range(calls):
            await app(scope.copy(), _receive, _send)
        return perf_counter_ns() - start

    def run(calls: int) -> float:
        return loop.run_until_complete(drive(calls)) / calls

    run(200)
    return run


def tables(rounds: int) -> Iterator[Table]:
    yield _middleware(rounds)
    yield _routes(rounds)
    yield wrk.table(rounds)


def _middleware(rounds: int) -> Table:
    apps: dict[str, Callable[[], ASGIApp]] = {
        "bare": lambda: nothing,
        "pass-through": lambda: PassThrough(nothing),
        "floor": lambda: Floor(nothing),
        "ours": lambda: guarded(nothing),
        "ours, rejecting": rejecting,
        "BaseHTTPMiddleware that does nothing": lambda: DoesNothing(nothing),
    }
    timings = measure(
        [Case(name, partial(lambda make: requests(make()), make)) for name, make in apps.items()],
        rounds,
    )
    ours = ratio(timings["ours"], timings["bare"])
    aims = {"ours": 2.5, "ours, rejecting": ours}
    rows = []
    for name, timed in timings.items():
        times = ratio(timed, timings["bare"])
        aim = aims.get(name)
        judged = ["", ""] if aim is None else [number(aim), mark(met=times <= aim)]
        rows.append([name, f"{timed.typical:,.0f}", number(times), *judged])
    return Table(
        "A request to an application that does nothing",
        ["case", "ns", "x bare", "aim", "is"],
        rows,
        "A rejection is to cost less than a request that passes. The floor is written by hand: it "
        "counts responses by their status, knows no routes and rejects nothing.",
        problems(timings),
    )


def _routes(rounds: int) -> Table:
    cases = []
    for framework in (Starlette, FastAPI):
        for count in ROUTES:
            name = f"{framework.__name__}, {count} routes"
            cases.append(Case(name, partial(_with_routes, framework, count)))
            ours = partial(_with_routes, framework, count, BreakerMiddleware)
            cases.append(Case(f"{name}, ours", ours))
            if framework is Starlette:
                cases.append(Case(f"{name}, slowapi", partial(_with_slowapi, count)))
    timings = measure(cases, rounds)
    rows = []
    for name, timed in timings.items():
        base = timings[", ".join(name.split(", ")[:2])]
        if timed.problem is not None:
            rows.append([name, timed.blank, "-", "-"])
            continue
        added = timed.typical - base.typical
        rows.append([name, f"{timed.typical:,.0f}", number(ratio(timed, base)), f"{added:,.0f}"])
    return Table(
        "A request to the last of many routes",
        ["case", "ns", "x without", "ns added"],
        rows,
        "The frameworks try one route after the other; what we add does not grow with them.",
        problems(timings),
    )


def _with_routes(framework: Any, count: int, middleware: Any = None) -> Run:
    app = framework()
    for number_ in range(count):
        app.router.add_route(_PATH.replace("{}", str(number_), 1), _answer, methods=["GET"])
    if middleware is not None:
        app.add_middleware(middleware, registry=BreakerRegistry())
    return requests(app, _PATH.replace("{}", str(count - 1), 1).format(id=42, part=7))


def _with_slowapi(count: int) -> Run:
    slowapi = import_module("slowapi")
    app = Starlette()
    for number_ in range(count):
        app.router.add_route(_PATH.replace("{}", str(number_), 1), _answer, methods=["GET"])
    app.state.limiter = slowapi.Limiter(key_func=lambda: "everybody")
    app.add_middleware(import_module("slowapi.middleware").SlowAPIASGIMiddleware)
    return requests(app, _PATH.replace("{}", str(count - 1), 1).format(id=42, part=7))
