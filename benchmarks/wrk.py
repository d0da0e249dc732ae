"""Requests per second over a real uvicorn, by wrk, with the middleware and without."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import httpx
from fastapi import FastAPI

from benchmarks.tables import Table, number
from breaker_asgi import BreakerMiddleware

_SECONDS = 2
_APPS = ("bare", "ours")

bare = FastAPI()
ours = FastAPI()
ours.add_middleware(BreakerMiddleware)


@bare.get("/orders/{id}")
@ours.get("/orders/{id}")
async def order(id: int) -> dict[str, int]:  # noqa: A002
    return {"id": id}


def table(rounds: int) -> Table:
    """Measure both servers, which run side by side, in turns."""
    title, header = "Requests per second over uvicorn, by wrk", ["case", "requests/s", "x bare"]
    if shutil.which("wrk") is None:
        return Table(title, header, [], "wrk is not installed: skipped (apt-get install wrk).")
    turns = max(2, rounds // 6)
    with server("bare") as bare_url, server("ours") as ours_url:
        rates = [(load(bare_url), load(ours_url)) for _ in range(turns)]
    rows = [
        [name, f"{median(rate[place] for rate in rates):,.0f}",
         number(median(rate[place] / rate[0] for rate in rates))]
        for place, name in enumerate(_APPS)
    ]  # fmt: skip
    return Table(title, header, rows, f"A FastAPI route, 32 connections, {turns} turns each.")


@contextmanager
def server(name: str) -> Iterator[str]:
    """Run a uvicorn in a process of its own."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", f"benchmarks.wrk:{name}", "--port", str(port),
         "--no-access-log", "--log-level", "error"],
        cwd=Path(__file__).parent.parent,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}/orders/42"
    try:
        httpx.Client(transport=httpx.HTTPTransport(retries=8)).get(url).raise_for_status()
        yield url
    finally:
        process.terminate()
        process.wait(10)


def load(url: str) -> float:
    """Return the requests per second of a run of wrk."""
    command = ["wrk", "-t1", "-c32", f"-d{_SECONDS}s", url]
    report = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    match = re.search(r"Requests/sec:\s+([\d.]+)", report)
    if match is None or "Non-2xx" in report:
        raise RuntimeError(report)
    return float(match[1])
