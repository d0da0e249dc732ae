"""Worker processes of a fleet, controlled from the benchmark."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks.timing import UnfitError

_ROOT = Path(__file__).parent.parent.parent
_PATIENCE = 10.0


class WorkerProcess:
    """One process: `benchmarks.shared.worker_process`."""

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
def worker_pool(number: int, library: str, url: str) -> Iterator[list[WorkerProcess]]:
    """Start worker processes of one library, and wait until all are ready."""
    command = [sys.executable, "-m", "benchmarks.shared.worker_process", library, url]
    pipe = subprocess.PIPE
    with ExitStack() as stack:
        workers = []
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
            workers.append(WorkerProcess(process))
        for worker in workers:
            worker.answer()
        yield workers


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
