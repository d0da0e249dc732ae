"""The browser and its driver. A module that needs them is skipped if they are missing."""

from __future__ import annotations

import importlib
import shutil
from contextlib import suppress
from typing import Any

import pytest

PATIENCE = 30_000
"""Milliseconds. Published figures reach another worker after twelve seconds at worst."""
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
CHROMIUM = next((path for name in NAMES if (path := shutil.which(name))), None)

sync_api: Any = None
with suppress(ImportError):
    sync_api = importlib.import_module("playwright.sync_api")
if sync_api is None or CHROMIUM is None:
    pytest.skip(
        "the page is not tested: that takes playwright, and chromium on the PATH",
        allow_module_level=True,
    )

expect: Any = sync_api.expect
expect.set_options(timeout=PATIENCE)
