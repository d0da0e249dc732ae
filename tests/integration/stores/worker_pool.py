"""Worker processes of a fleet, controlled from the test."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.integration.stores.processes import DEADLINE, ROOT, until

FAILED, REJECTED = "SickError", "CircuitBreakerError"
CALLS = 200


class WorkerProcess:
    """A process of `tests.integration.stores.worker_process`, and its log."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self.was_killed = False
        self._log = log

    def ask(self, *request: Any) -> Any:
        self.begin(*request)
        return self.answer()

    def begin(self, *request: Any) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        assert self.process.stdout
        return json.loads(self.process.stdout.readline())

    def kill(self) -> None:
        self.was_killed = True
        self.process.kill()
        self.process.wait()

    def logged(self, words: str) -> int:
        return self._log.read_text().count(words)


class WorkerPool(list[WorkerProcess]):
    """All worker processes of a fleet."""

    def ask(self, *request: Any) -> list[Any]:
        for worker in self:
            worker.begin(*request)
        return [worker.answer() for worker in self]

    def all_are(self, name: str, state: str) -> None:
        until(lambda: set(self.ask("state", name)) == {state}, f"{name} is {state} for all")

    def all_find_the_store(self, *, out: bool) -> None:
        state = f"the store is {'out' if out else 'there'}"
        until(lambda: set(self.ask("is_out")) == {out}, state)

    def call_unaffected(self, name: str) -> None:
        """Check that no call of a healthy dependency fails or waits because of the store.

        A busy machine may delay one call in a hundred, besides its waits for a processor.
        """
        for answer in self.ask("calls", name, CALLS):
            assert answer["outcomes"] == {"ok": CALLS}
            assert answer["slow"] <= CALLS / 100

    def decide_alone(self, name: str) -> None:
        """Check that each worker opens its breaker, and rejects, without the store."""
        for answer in self.ask("calls", name, CALLS, "fail"):
            assert set(answer["outcomes"]) == {FAILED, REJECTED}
            assert answer["outcomes"][FAILED] < CALLS / 10
            assert answer["slow"] <= CALLS / 100

    def wait_until_logged(self, words: str) -> None:
        until(lambda: all(worker.logged(words) for worker in self), f"logged: {words}")

    def wait_until_the_trouble_is(self, words: str) -> None:
        """Wait until all workers have the trouble: the log has only what an outage began with."""
        until(
            lambda: all(words in (trouble or "") for trouble in self.ask("trouble")),
            f"the trouble: {words}",
        )

    def have_logged_the_outage_once(self) -> None:
        counts = [(worker.logged("does not work"), worker.logged("works again")) for worker in self]
        assert counts == [(1, 1)] * len(self)


@contextmanager
def worker_pool(
    number: int, url: str, folder: Path, through: Sequence[str] = ()
) -> Iterator[WorkerPool]:
    """Start worker processes."""
    with ExitStack() as stack:
        pool = WorkerPool()
        for place in range(number):
            log = folder / f"log{len(list(folder.glob('log*')))}-{place}"
            pool.append(stack.enter_context(_worker_process(url, log, through)))
        pool.ask("state", "nothing-1")
        yield pool


@contextmanager
def _worker_process(url: str, log: Path, through: Sequence[str]) -> Iterator[WorkerProcess]:
    command = [*through, sys.executable, "-m", "tests.integration.stores.worker_process", url]
    pipe = subprocess.PIPE
    with (
        log.open("w") as errors,
        subprocess.Popen(
            command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=errors, text=True
        ) as process,
    ):
        try:
            worker = WorkerProcess(process, log)
            yield worker
            assert process.stdin
            process.stdin.close()
            assert worker.was_killed or process.wait(DEADLINE) == 0
        finally:
            process.kill()
