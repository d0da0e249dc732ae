"""What it takes to look at the page. Where that is missing, a module that needs it is skipped."""

from __future__ import annotations

import importlib
import shutil
from contextlib import suppress
from typing import Any

import pytest

PATIENCE = 30_000
"""Milliseconds. What one worker shows reaches another after twelve seconds at worst."""
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
CHROMIUM = next((found for name in NAMES if (found := shutil.which(name))), None)

sync_api: Any = None
with suppress(ImportError):
    sync_api = importlib.import_module("playwright.sync_api")
if sync_api is None or CHROMIUM is None:
    pytest.skip(
        "nobody looks at the page: that takes playwright, and chromium on the PATH",
        allow_module_level=True,
    )

expect: Any = sync_api.expect
expect.set_options(timeout=PATIENCE)
