"""The cost that the middleware adds to a request: in one process, and over a real server."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from statistics import median
from time import perf_counter_ns
from typing import Any

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from benchmarks import wrk
from benchmarks.tables import Table, mark, number
from benchmarks.timing import Case, Run, Timings, measure, problems, ratio
from benchmarks.wrk import PassThrough
from breaker_asgi import BreakerConfig, BreakerMiddleware, BreakerRegistry
from breaker_asgi.asgi.types import ASGIApp, Message, Receive, Scope, Send
from breaker_asgi.middleware.middleware import ROUTE_CONFIG

ROUTES = (10, 100, 500)
_PATH = "/api/things{}/{id}/parts/{part}"


async def nothing(_scope: Scope, _receive: Receive, send: Send) -> None:
    """Answer with the least work of an application."""
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


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


SLOW_CALLS = ROUTE_CONFIG.replace(slow_call_rate=0.5, slow_call_duration=5)


def guarded(app: ASGIApp, config: BreakerConfig = ROUTE_CONFIG) -> ASGIApp:
    return BreakerMiddleware(app, registry=BreakerRegistry(), config=config)


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


def requests(
    app: ASGIApp,
    paths: Iterator[str] | None = None,
    loop: asyncio.AbstractEventLoop | None = None,
) -> Run:
    """Return a runner of requests, one after the other, on `loop` or one of its own."""
    loop, paths = loop or asyncio.new_event_loop(), paths or itertools.repeat("/")
    scope = {
        "type": "http", "method": "GET", "raw_path": b"/", "root_path": "",
        "query_string": b"", "headers": [(b"host", b"shop")], "http_version": "1.1",
        "server": ("shop", 80), "client": ("127.0.0.1", 1), "scheme": "http",
    }  # fmt: skip

    async def drive(calls: int) -> int:
        start = perf_counter_ns()
        for path in itertools.islice(paths, calls):
            await app({**scope, "path": path}, _receive, _send)
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
        "ours, slow calls": lambda: guarded(nothing, config=SLOW_CALLS),
        "ours, rejecting": rejecting,
        "BaseHTTPMiddleware that does nothing": lambda: DoesNothing(nothing),
    }
    timings = measure(
        [Case(name, partial(lambda make: requests(make()), make)) for name, make in apps.items()],
        rounds,
    )
    aims = {"ours": 1_500.0, "ours, slow calls": 2_000.0}
    aims["ours, rejecting"] = added_to(timings["bare"], timings["ours"])
    rows = [_row(name, timed, timings["bare"], aims.get(name)) for name, timed in timings.items()]
    return Table(
        "A request to an application that does nothing",
        ["case", "ns", "x bare", "ns added", "aim", "is"],
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
            make = partial(_with_routes, framework, count)
            cases.append(Case(name, make))
            cases.append(Case(f"{name}, ours", partial(make, guarded)))
            cases.append(Case(f"{name}, ours, new paths", partial(make, guarded, new_paths=True)))
            if framework is Starlette:
                cases.append(Case(f"{name}, slowapi", partial(_with_slowapi, count)))
    name = f"FastAPI, {ROUTES[0]} routes"
    slow = partial(guarded, config=SLOW_CALLS)
    cases.append(Case(f"{name}, ours, slow calls", partial(_with_routes, FastAPI, ROUTES[0], slow)))
    timings = measure(cases, rounds)
    aims = {f"FastAPI, {count} routes, ours": 2_000.0 for count in ROUTES}
    aims[f"{name}, ours, slow calls"] = 2_500.0
    rows = []
    for name, timed in timings.items():
        base = timings[", ".join(name.split(", ")[:2])]
        rows.append(_row(name, timed, base, aims.get(name)))
    return Table(
        "A request to the last of many routes",
        ["case", "ns", "x without", "ns added", "aim", "is"],
        rows,
        "The frameworks try one route after the other; what we add does not grow with them. A path "
        "that was requested of late is not routed by us again; each of the new paths is.",
        problems(timings),
    )


def added_to(base: Timings, timed: Timings) -> float:
    """Return the nanoseconds more than the base, the median of those of each round."""
    return median(one - other for one, other in zip(timed.rounds, base.rounds, strict=True))


def _row(name: str, timed: Timings, base: Timings, aim: float | None) -> list[str]:
    if timed.problem is not None:
        return [name, timed.blank, "-", "-", "", ""]
    added = added_to(base, timed)
    judged = ["", ""] if aim is None else [f"{aim:,.0f}", mark(met=added <= aim)]
    return [name, f"{timed.typical:,.0f}", number(ratio(timed, base)), f"{added:,.0f}", *judged]


def _with_routes(
    framework: Any,
    count: int,
    guard: Callable[[ASGIApp], ASGIApp] | None = None,
    *,
    new_paths: bool = False,
) -> Run:
    app = framework()
    for number_ in range(count):
        app.router.add_route(_PATH.replace("{}", str(number_), 1), _answer, methods=["GET"])
    if guard is not None:
        app.add_middleware(guard)
    path = _PATH.replace("{}", str(count - 1), 1)
    paths = (path.format(id=id_, part=7) for id_ in itertools.count(42, new_paths))
    return requests(app, paths)


def _with_slowapi(count: int) -> Run:
    slowapi = import_module("slowapi")
    app = Starlette()
    for number_ in range(count):
        app.router.add_route(_PATH.replace("{}", str(number_), 1), _answer, methods=["GET"])
    app.state.limiter = slowapi.Limiter(key_func=lambda: "everybody")
    app.add_middleware(import_module("slowapi.middleware").SlowAPIASGIMiddleware)
    return requests(
        app, itertools.repeat(_PATH.replace("{}", str(count - 1), 1).format(id=42, part=7))
    )
