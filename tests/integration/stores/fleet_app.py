"""An application of several workers that calls a dependency, and names the worker that answers."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

import httpx
from fastapi import FastAPI

from breaker_asgi import BreakerMiddleware, CircuitBreaker, CircuitBreakerError, default_registry

FAIL_MAX = 3
PROBES = 2
LEASE = 2.0
LONG_LEASE = 30.0

app = FastAPI()
app.add_middleware(
    BreakerMiddleware,
    store=os.environ.get("FLEET_STORE"),
    authorize=lambda _: True,
    authorize_control=lambda _: "ann",
)
client = httpx.AsyncClient(base_url=os.environ.get("DEPENDENCY", ""), timeout=30, trust_env=False)
under_way: dict[str, asyncio.Task[Any]] = {}


def breaker(name: str) -> CircuitBreaker:
    """Return a breaker that opens for the seconds in its name, `payments-1.5`; `long-` leases."""
    return default_registry.get(
        name,
        fail_max=FAIL_MAX,
        timeout_duration=float(name.rpartition("-")[2]),
        half_open_calls=PROBES,
        half_open_timeout=LONG_LEASE if name.startswith("long-") else LEASE,
    )


@app.get("/state/{name}")
async def state(name: str) -> dict[str, Any]:
    return {"pid": os.getpid(), "state": breaker(name).state}


@app.get("/threads")
async def threads() -> dict[str, Any]:
    names = [
        thread.name for thread in threading.enumerate() if thread.name.startswith("breaker_asgi")
    ]
    return {"pid": os.getpid(), "threads": sorted(names)}


@app.post("/call/{name}")
async def call(name: str) -> dict[str, Any]:
    try:
        async with breaker(name):
            (await client.get(f"/call/{name}")).raise_for_status()
    except CircuitBreakerError:
        outcome = "rejected"
    except httpx.HTTPError:
        outcome = "failed"
    else:
        outcome = "ok"
    return {"pid": os.getpid(), "outcome": outcome}


@app.post("/begin/{name}")
async def begin(name: str) -> dict[str, Any]:
    """Begin a call, and do not wait for its answer."""
    under_way[name] = asyncio.create_task(call(name))
    return {"pid": os.getpid()}


@app.get("/ended/{name}")
async def ended(name: str) -> dict[str, Any]:
    """Return True if the call that was begun last has ended."""
    return {"pid": os.getpid(), "ended": under_way[name].done()}


@app.post("/cancel/{name}")
async def cancel(name: str) -> dict[str, Any]:
    under_way.pop(name).cancel()
    return {"pid": os.getpid()}


@app.post("/force/{name}/{seconds}")
async def force(name: str, seconds: float) -> dict[str, Any]:
    breaker(name).force_open(for_=seconds, who="bob", why="maintenance")
    return {"pid": os.getpid()}
