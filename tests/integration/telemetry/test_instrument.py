"""Importing the package imports none of what it instruments."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent.parent


def loaded(script: str) -> set[str]:
    """The libraries that a fresh interpreter has imported after `script`."""
    libraries = {"prometheus_client", "opentelemetry"}
    script += f"; import sys; print(*sys.modules.keys() & set({sorted(libraries)!r}))"
    found = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, cwd=ROOT
    )
    return set(found.stdout.split())


@pytest.mark.parametrize("module", ["breaker_asgi", "breaker_asgi.telemetry"])
def test_importing_imports_no_library(module: str) -> None:
    assert loaded(f"import {module}") == set()


def test_instrumenting_imports_them() -> None:
    script = "from breaker_asgi.telemetry import instrument; instrument()"
    assert "prometheus_client" in loaded(script)
