"""Imports of a fresh process."""

from __future__ import annotations

import subprocess
import sys


def names_printed_by(script: str) -> list[str]:
    command = [sys.executable, "-c", script]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


def test_importing_the_package_imports_no_extra() -> None:
    clients = "httpx httpx2 aiohttp requests grpc redis"
    extras = f"fastapi starlette {clients} prometheus_client opentelemetry uvicorn anyio rich"
    script = f"import breaker_asgi, sys; print(*sys.modules.keys() & set({extras.split()!r}))"
    assert names_printed_by(script) == []


def test_only_the_live_table_needs_rich() -> None:
    script = "import breaker_asgi.cli.main, sys; print('rich' in sys.modules)"
    assert names_printed_by(script) == ["False"]
