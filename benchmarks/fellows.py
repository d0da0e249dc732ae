"""Processes of a fleet, from outside."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks.timing import UnfitError

_ROOT = Path(__file__).parent.parent
_PATIENCE = 10.0


class Fellow:
    """One process: `benchmarks.fellow`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, *request: Any) -> Any:
        self.begin(*request)
        return self.answer()

    def begin(self, *request: Any) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise UnfitError(f"a process has ended: {self._process.wait(_PATIENCE)}")
        return json.loads(line)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def fellows(number: int, library: str, url: str) -> Iterator[list[Fellow]]:
    """So many of one library, all ready."""
    command = [sys.executable, "-m", "benchmarks.fellow", library, url]
    pipe = subprocess.PIPE
    with ExitStack() as stack:
        found = []
        for _ in range(number):
            process = subprocess.Popen(
                command,
                cwd=_ROOT,
                stdin=pipe,
                stdout=pipe,
                stderr=subprocess.DEVNULL,
                text=True,
                bufsize=1,
            )
            stack.callback(_end, process)
            found.append(Fellow(process))
        for each in found:
            each.answer()
        yield found


def _end(process: subprocess.Popen[str]) -> None:
    with suppress(BrokenPipeError):
        if process.stdin:
            process.stdin.close()
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout:
        process.stdout.close()
