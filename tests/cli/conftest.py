"""The command line, run in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import pytest

from breaker_asgi.cli.main import main


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """The command's exit code and output."""

    def run(*arguments: str) -> Result:
        try:
            code = main(arguments)
        except SystemExit as end:
            code = cast("int", end.code)
        written = capsys.readouterr()
        return Result(code, written.out, written.err)

    return run
