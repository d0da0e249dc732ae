"""The live table without the library that draws it."""

from __future__ import annotations

import sys

import pytest

from tests.cli.conftest import Run
from tests.hiding import hide


def test_without_rich_top_names_the_extra_to_install(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(monkeypatch, "rich")
    for module in ("breaker_asgi.cli.top", "breaker_asgi.cli.table"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    result = run("top", "http://localhost/breakers")
    assert (result.code, result.out) == (2, "")
    assert 'pip install "breaker-asgi[cli]"' in result.err
