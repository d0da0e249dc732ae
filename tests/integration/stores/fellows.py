"""Processes of a fleet, from outside."""

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


class Fellow:
    """One process: `tests.integration.stores.worker`, and what it has logged."""

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


class Fellows(list[Fellow]):
    """All of them."""

    def ask(self, *request: Any) -> list[Any]:
        for each in self:
            each.begin(*request)
        return [each.answer() for each in self]

    def all_are(self, name: str, state: str) -> None:
        until(lambda: set(self.ask("state", name)) == {state}, f"{name} is {state} for all")

    def all_find_the_store(self, *, out: bool) -> None:
        what = f"the store is {'out' if out else 'there'}"
        until(lambda: set(self.ask("is_out")) == {out}, what)

    def call_as_ever(self, name: str) -> None:
        """Callers of a dependency that is well see nothing of what happens to the store.

        That one call in a hundred waits is the machine's doing.
        """
        for said in self.ask("calls", name, CALLS):
            assert said["outcomes"] == {"ok": CALLS}
            assert said["slow"] <= CALLS / 100

    def decide_alone(self, name: str) -> None:
        """Each opens its breaker, and rejects, without the store."""
        for said in self.ask("calls", name, CALLS, "fail"):
            assert set(said["outcomes"]) == {FAILED, REJECTED}
            assert said["outcomes"][FAILED] < CALLS / 10
            assert said["slow"] <= CALLS / 100

    def wait_until_logged(self, words: str) -> None:
        until(lambda: all(each.logged(words) for each in self), f"logged: {words}")

    def have_said_it_once(self) -> None:
        said = [(each.logged("does not work"), each.logged("works again")) for each in self]
        assert said == [(1, 1)] * len(self)


@contextmanager
def fellows(number: int, url: str, folder: Path, through: Sequence[str] = ()) -> Iterator[Fellows]:
    """So many, all started."""
    with ExitStack() as stack:
        found = Fellows()
        for each in range(number):
            log = folder / f"log{len(list(folder.glob('log*')))}-{each}"
            found.append(stack.enter_context(_fellow(url, log, through)))
        found.ask("state", "nothing-1")
        yield found


@contextmanager
def _fellow(url: str, log: Path, through: Sequence[str]) -> Iterator[Fellow]:
    command = [*through, sys.executable, "-m", "tests.integration.stores.worker", url]
    pipe = subprocess.PIPE
    with (
        log.open("w") as errors,
        subprocess.Popen(
            command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=errors, text=True
        ) as process,
    ):
        try:
            fellow = Fellow(process, log)
            yield fellow
            assert process.stdin
            process.stdin.close()
            assert fellow.was_killed or process.wait(DEADLINE) == 0
        finally:
            process.kill()
