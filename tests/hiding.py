"""Hidden packages, as if they were not installed."""

from __future__ import annotations

import sys

import pytest


def hide(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    """Let imports of packages, and of their modules, fail."""
    for module in list(sys.modules):
        if any(module.startswith(f"{package}.") for package in packages):
            monkeypatch.delitem(sys.modules, module)
    for package in packages:
        monkeypatch.setitem(sys.modules, package, None)
