"""Imports of a fresh process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def names_printed_by(script: str, **variables: str) -> list[str]:
    command = [sys.executable, "-c", script]
    where = {**os.environ, **variables}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=where)
    return done.stdout.split()


def test_importing_the_package_imports_no_extra() -> None:
    clients = "httpx httpx2 aiohttp requests grpc redis"
    extras = f"fastapi starlette {clients} prometheus_client opentelemetry uvicorn anyio rich"
    script = f"import breaker_asgi, sys; print(*sys.modules.keys() & set({extras.split()!r}))"
    assert names_printed_by(script) == []


def test_only_the_live_table_needs_rich() -> None:
    script = "import breaker_asgi.cli.main, sys; print('rich' in sys.modules)"
    assert names_printed_by(script) == ["False"]


@pytest.mark.parametrize("module", ["breaker_asgi", "breaker_asgi.state", "breaker_asgi.fastapi"])
def test_importing_with_a_store_in_the_environment_makes_no_file_and_starts_no_thread(
    module: str, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/breakers.db"
    script = f"import {module}, threading; print(threading.active_count())"
    assert names_printed_by(script, BREAKER_ASGI_STORE=url) == ["1"]
    assert list(tmp_path.iterdir()) == []


def test_the_first_breaker_of_the_default_registry_shares_by_the_store_of_the_environment(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path}/breakers.db"
    script = (
        "from breaker_asgi import CircuitBreaker, default_registry\n"
        "bank = CircuitBreaker(name='bank')\n"
        "print(default_registry.fleet.store.label)"
    )
    assert names_printed_by(script, BREAKER_ASGI_STORE=url) == [f"sqlite:{tmp_path}/breakers.db"]


def test_the_help_of_the_command_line_does_not_need_the_store_of_the_environment() -> None:
    script = "from breaker_asgi.cli.main import main; main(['--help'])"
    assert "breaker-asgi" in names_printed_by(script, BREAKER_ASGI_STORE="nonsense://x")
