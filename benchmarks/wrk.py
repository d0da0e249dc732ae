"""Requests per second over a real uvicorn, by wrk, with the middleware and without."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

import httpx
from fastapi import FastAPI

from benchmarks.tables import Table, mark, number
from breaker_asgi import BreakerMiddleware, default_registry
from breaker_asgi.asgi.types import ASGIApp, Message, Receive, Scope, Send

_SECONDS = 2
_TURNS = 10
_AIMS = {"ours": 0.98, "ours, rejecting": 1.0}


class PassThrough:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


class Floor:
    """The least that a guard has to do: find a route, judge its response, and count it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.windows: dict[object, deque[bool]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        place = scope["method"], scope["path"], scope["root_path"]
        window = self.windows.get(place)
        if window is None:
            window = self.windows[place] = deque(maxlen=100)
        begun = False

        def judged(message: Message) -> Awaitable[None]:
            nonlocal begun
            if begun:
                window.append(True)
            elif message["status"] < 400:
                begun = any(name == b"content-length" for name, _ in message["headers"])
            return send(message)

        await self.app(scope, receive, judged)


def bare() -> FastAPI:
    app = FastAPI()

    @app.get("/orders/{id}")
    async def order(id: int) -> dict[str, int]:  # noqa: A002
        return {"id": id}

    return app


def passing() -> FastAPI:
    app = bare()
    app.add_middleware(PassThrough)
    return app


def floor() -> FastAPI:
    app = bare()
    app.add_middleware(Floor)
    return app


def ours() -> FastAPI:
    app = bare()
    app.add_middleware(BreakerMiddleware)
    return app


def rejecting() -> FastAPI:
    default_registry.get("GET /orders/{id}", timeout_duration=3600).open()
    return ours()


_APPS = {
    "bare": bare,
    "pass-through": passing,
    "the floor": floor,
    "ours": ours,
    "ours, rejecting": rejecting,
}


def table(rounds: int) -> Table:
    """Measure the servers, which run side by side, in turns."""
    title = "Requests per second over uvicorn, by wrk"
    header = ["case", "requests/s", "x bare", "aim", "is"]
    if shutil.which("wrk") is None:
        return Table(title, header, [], "wrk is not installed: skipped (apt-get install wrk).")
    turns = max(2, _TURNS * rounds // 31)
    with ExitStack() as stack:
        urls = {name: stack.enter_context(server(app)) for name, app in _APPS.items()}
        rates = [{name: load(url) for name, url in urls.items()} for _ in range(turns)]
    rows = []
    for name in _APPS:
        times = median(rate[name] / rate["bare"] for rate in rates)
        aim = _AIMS.get(name)
        judged = ["", ""] if aim is None else [number(aim), mark(met=times >= aim)]
        rate = median(rate[name] for rate in rates)
        rows.append([name, f"{rate:,.0f}", f"{times:.3f}", *judged])
    text = (
        f"A FastAPI route, 32 connections, {turns} turns each; the servers have one processor, and "
        "wrk another. The floor is a guard of ten lines: it finds the window of a path, looks at "
        "the status and the length of the response, and counts it."
    )
    return Table(title, header, rows, text)


@contextmanager
def server(app: Callable[[], FastAPI]) -> Iterator[str]:
    """Run a uvicorn in a process of its own."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [
        *_pinned(0), sys.executable, "-m", "uvicorn", f"benchmarks.wrk:{app.__name__}", "--factory",
        "--port", str(port), "--no-access-log", "--log-level", "error",
    ]  # fmt: skip
    process = subprocess.Popen(command, cwd=Path(__file__).parent.parent)
    url = f"http://127.0.0.1:{port}/orders/42"
    try:
        httpx.Client(transport=httpx.HTTPTransport(retries=8)).get(url)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def load(url: str) -> float:
    """Return the requests per second of a run of wrk."""
    command = [*_pinned(-1), "wrk", "-t1", "-c32", f"-d{_SECONDS}s", url]
    report = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    match = re.search(r"Requests/sec:\s+([\d.]+)", report)
    if match is None:
        raise RuntimeError(report)
    return float(match[1])


def _pinned(place: int) -> list[str]:
    """Return the command that runs another on one of this process's processors, if there is one."""
    if shutil.which("taskset") is None or not hasattr(os, "sched_getaffinity"):
        return []
    return ["taskset", "--cpu-list", str(sorted(os.sched_getaffinity(0))[place])]
