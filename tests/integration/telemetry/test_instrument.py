"""Importing the package imports none of the libraries that it exports to."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent.parent


def loaded(script: str) -> set[str]:
    """Return the libraries that a fresh interpreter has imported after `script`."""
    libraries = {"prometheus_client", "opentelemetry"}
    script += f"; import sys; print(*sys.modules.keys() & set({sorted(libraries)!r}))"
    process = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, cwd=ROOT
    )
    return set(process.stdout.split())


@pytest.mark.parametrize("module", ["breaker_asgi", "breaker_asgi.telemetry"])
def test_importing_the_package_imports_no_library(module: str) -> None:
    assert loaded(f"import {module}") == set()


def test_instrumenting_imports_the_libraries() -> None:
    script = "from breaker_asgi.telemetry import instrument; instrument()"
    assert "prometheus_client" in loaded(script)
