"""A monitor, and the command line run against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

import pytest

from breaker_asgi.cli.main import main
from tests.cli.stub import Monitor, breaker


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def monitor() -> Iterator[Monitor]:
    with Monitor(
        breaker("payments"),
        breaker("refunds", "open", reason="5 failures in a row", retry_after=12.0),
        breaker("a/b c?d#e%f"),
    ) as monitor:
        yield monitor


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """The command's exit code, and what it wrote."""

    def run(*arguments: str) -> Result:
        try:
            code = main(arguments)
        except SystemExit as end:
            code = cast("int", end.code)
        written = capsys.readouterr()
        return Result(code, written.out, written.err)

    return run
