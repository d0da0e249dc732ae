"""A service whose metrics are those of all its workers together: plain ASGI, one file."""

from __future__ import annotations

import os
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from breaker_asgi import default_registry
from breaker_asgi.telemetry import instrument

instrument()
bank = default_registry.get("bank", fail_max=3, timeout_duration=600)


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        return
    text = answer(scope["path"]).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": text})


def answer(path: str) -> str:
    if path == "/metrics":
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry).decode()
    if path in {"/success", "/failure"}:
        getattr(bank.acquire(), path[1:])()
    if path == "/open":
        bank.open()
    return str(os.getpid())
