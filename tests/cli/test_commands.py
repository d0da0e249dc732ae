"""Usage that the command line refuses before any request."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Run

TIMES_REFUSED = ("0", "-1", "soon", "nan")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["status"],
        ["status", "http://localhost:8000/breakers"],
        ["status", "http://localhost:8000/breakers", ""],
        ["status", "/breakers", "x"],
        ["status", "http:///breakers", "x"],
        ["status", "http://localhost:port/breakers", "x"],
        ["status", "http://me:secret@localhost/breakers", "x"],
        ["status", "http://localhost/breakers?x=y", "x"],
        ["status", "http://localhost/", "x", "--header", "nonsense"],
        ["status", "http://localhost/", "x", "--header", "A: b\r\nC: d"],
        ["explode", "http://localhost/", "x"],
        ["top", "http://localhost/", "--interval", "0"],
        ["top", "http://localhost/", "--interval", "soon"],
        ["top", "http://localhost/", "--state", "ajar"],
        ["close", "http://localhost/", "x", "--for", "600"],
        ["half-open", "http://localhost/", "x", "--for", "600"],
        ["reset", "http://localhost/", "x", "--for", "600"],
        *(["open", "http://localhost/", "x", "--for", seconds] for seconds in TIMES_REFUSED),
        ["force-open", "http://localhost/", "x", "--for", "inf"],
        ["status", "http://localhost/", "x", "--why", "because"],
    ],
)
def test_wrong_usage_ends_with_2(run: Run, arguments: list[str]) -> None:
    result = run(*arguments)
    assert (result.code, result.out) == (2, "")
    assert "error: " in result.err
    assert "\r" not in result.err
