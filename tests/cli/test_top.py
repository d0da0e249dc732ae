"""The live table without the library that draws it."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Run


def test_without_rich_it_says_what_to_install(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = run("top", "http://localhost/breakers")
    assert (result.code, result.out) == (2, "")
    assert "with its extra `cli`" in result.err
