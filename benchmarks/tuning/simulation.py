"""One run: the calls of a situation through the guards of a policy, on a clock of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random
from typing import Any

from benchmarks.tuning.calls import Call, Situation
from benchmarks.tuning.guards import Guard, Ticket
from breaker_asgi._core import rules
from breaker_asgi.testing import FakeClock

REJECTED, ANSWERED, FAILED = range(3)
"""Fates of a call. One that is tried again has the fate of its last try."""
_RETRY = 0.25
"""Seconds until a call is tried again that failed, or was rejected."""


@dataclass(slots=True)
class Run:
    """The fates of the calls of one run."""

    fates: bytearray
    sent: list[float] = field(default_factory=list)
    """The times at which calls were sent to the sick part of the dependency, tries included."""
    most_under_way: int = 0


@contextmanager
def _jitter_from(seed: int) -> Iterator[None]:
    """Draw the open times of breakers by a seed."""
    before, rules._random = rules._random, Random(seed)
    try:
        yield
    finally:
        rules._random = before


class Simulation:
    """A clock, a queue of events, and the calls. The jitter of open times is drawn by a seed."""

    def __init__(self, situation: Situation, calls: Sequence[Call], seed: int) -> None:
        self.clock = FakeClock()
        self.guards: Sequence[Sequence[Guard]] = ()
        """Guards by worker and service."""
        self._situation, self._calls, self._seed = situation, calls, seed
        make = situation.dependency
        self._answer = None if make is None else make(situation).answer
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = self._under_way = 0
        self._run = Run(bytearray(len(calls)))

    def at(self, moment: float, action: Callable[..., None], *arguments: Any) -> None:
        """Have an action done at a moment, after those that were asked for earlier."""
        self._count = number = self._count + 1
        heappush(self._events, (moment, number, action, arguments))

    def run(self) -> Run:
        with _jitter_from(self._seed):
            return self._run_all()

    def _run_all(self) -> Run:
        clock, events = self.clock, self._events
        for call in self._calls:
            moment = call.at
            while events and events[0][0] <= moment:
                clock.now, _, action, arguments = heappop(events)
                action(*arguments)
            clock.now = moment
            self._try(call, 0)
        end = self._situation.seconds
        while events and events[0][0] < end:
            clock.now, _, action, arguments = heappop(events)
            action(*arguments)
        for _, _, action, arguments in events:  # calls under way at the end have their fates
            if action == self._end:
                call, failed, _, _ = arguments
                self._run.fates[call.number] = FAILED if failed else ANSWERED
        return self._run

    def _try(self, call: Call, tries: int) -> None:
        run, now = self._run, self.clock.now
        guards = self.guards[call.worker % len(self.guards)]
        ticket = guards[call.service].admit()
        if ticket is None:
            self._again(call, tries, REJECTED)
            return
        if self._answer is None:
            failed, seconds = call.failed, call.seconds
        else:
            failed, seconds = self._answer(call, now)
        if self._situation.is_sick_part(call):
            run.sent.append(now)
        self._under_way += 1
        run.most_under_way = max(run.most_under_way, self._under_way)
        self.at(now + seconds, self._end, call, failed, ticket, tries)

    def _end(self, call: Call, failed: bool, ticket: Ticket, tries: int) -> None:  # noqa: FBT001
        self._under_way -= 1
        if failed:
            ticket.failure()
            self._again(call, tries, FAILED)
        else:
            ticket.success()
            self._run.fates[call.number] = ANSWERED

    def _again(self, call: Call, tries: int, fate: int) -> None:
        self._run.fates[call.number] = fate
        if tries < self._situation.retries:
            self.at(self.clock.now + _RETRY, self._try, call, tries + 1)
