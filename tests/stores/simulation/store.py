"""The store of a world."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from breaker_asgi.stores.memory import MemoryStore
from breaker_asgi.stores.protocol import NO_CALLS, Change, Claim, Counts, Report, Shared
from breaker_asgi.stores.record import Record
from tests.stores.simulation.terms import EPOCH, add, hold

if TYPE_CHECKING:
    from tests.stores.simulation.world import World


class Store(MemoryStore):
    """A store that checks its operations, and may lose records."""

    def __init__(self, world: World) -> None:
        super().__init__(clock=lambda: EPOCH + world.now)
        self._world = world
        self.reported: dict[tuple[str, int, str], Counts] = defaultdict(lambda: NO_CALLS)
        self._received: set[tuple[str, int, str]] = set()
        self.ends: dict[tuple[str, int, str], float] = {}
        """The end of each lease: the record drops ended ones."""
        self.lent: dict[tuple[str, str], float] = {}
        """The time when each lease of a breaker was lent."""
        self._counted: set[tuple[str, int, str]] = set()
        """Names, generations and leases of the probes that have counted."""
        self.version = 0
        """Raised by every write: results of a check hold until the next one."""
        self.commands: dict[str, int] = {}
        """The number of each breaker's last command."""

    def exchange(
        self, worker: str, number: int, reports: Sequence[Report], ask: Sequence[str]
    ) -> Mapping[str, Shared]:
        self.version += bool(reports)
        for report in reports:
            record = self.record(report.name)
            message = worker, number, report.name
            if report.generation == record.generation and message not in self._received:
                self._received.add(message)
                key = report.name, report.generation, worker
                self.reported[key] = add(self.reported[key], report.counts)
        return super().exchange(worker, number, reports, ask)

    def change(self, change: Change) -> Shared:
        self.version += 1
        before = self.record(change.name)
        was = before.generation, before.state
        settled, witnesses = before.settled, self.witnesses(change.name, before.generation)
        shared = super().change(change)
        after = self.record(change.name)
        if (after.generation, after.state) != was or change.expected == was[0]:
            hold(change.expected == was[0], "a change from an old generation")
            hold(after.generation == was[0] + 1, "a change raises the generation by one")
            if self._world.chance(0.3):
                self._world.copies.append(self.dump())
            number = self._world.commands.number(change.name, change.reason)
            if number is not None:
                self.commands[change.name] = number
            self._world.rules.has_changed(change, was[1])
            self._world.rules.check_evidence(change, was[1], settled, witnesses)
        elif (change.state, change.reason) == (after.state, after.reason):
            self._world.rules.same_was_done(change.name)
        return shared

    def witnesses(self, name: str, generation: int) -> int:
        """Workers that have reported a failure or a slow call."""
        return sum(
            counts.failures + counts.slow_calls > 0
            for key, counts in self.reported.items()
            if key[:2] == (name, generation)
        )

    def claim(self, worker: str, name: str, generation: int, most: int, seconds: float) -> Claim:
        claim = super().claim(worker, name, generation, most, seconds)
        if claim.lease is not None:
            self.ends[name, generation, claim.lease] = (
                self.record(name).leases[claim.lease] / 1000 - EPOCH
            )
            self.lent[name, claim.lease] = self._world.now
        return claim

    def settle(self, name: str, generation: int, lease: str, counts: Counts | None) -> Shared:
        before = self.record(name).settled
        shared = super().settle(name, generation, lease, counts)
        probe = name, generation, lease
        if not self._world.incarnation:
            outcome = None if counts is None else (counts.calls, counts.failures)
            hold(outcome == self._world.outcomes.get(probe), "a probe with another outcome", probe)
        if not self._world.incarnation and self.record(name).settled != before:
            hold(counts is not None and probe not in self._counted, "a probe has counted", probe)
            self._counted.add(probe)
        return shared

    @property
    def point(self) -> int:
        return self._point

    def record(self, name: str) -> Record:
        return self._records.get(name) or Record()

    def dump(self) -> Any:
        kept = self._records, self._points, self._point, self.reported, self._received
        return copy.deepcopy((kept, self.commands))

    def load(self, kept: Any) -> None:
        self.version += 1
        kept, self.commands = copy.deepcopy(kept)
        self._records, self._points, self._point, self.reported, self._received = kept

    def flush(self) -> None:
        self.version += 1
        self._records.clear()
        self._points.clear()
        self._point = 0
        self.reported.clear()
        self._received.clear()
        self.commands.clear()

    def evict(self, name: str) -> None:
        """Drop the record of one breaker unnoticed, as a server short of memory does."""
        self.version += 1
        self._records[name] = Record()
        self.commands.pop(name, None)
        self.reported = defaultdict(
            lambda: NO_CALLS, {key: sums for key, sums in self.reported.items() if key[0] != name}
        )
        self._received = {message for message in self._received if message[2] != name}

    def spoil(self, name: str, *, is_newer: bool) -> None:
        """Make a record unreadable: of a state that a newer version has, or malformed."""
        self.version += 1
        record = self._records.setdefault(name, Record())
        record.generation += 1
        if is_newer:
            record.state = "throttled"
        else:
            record.seconds = {"{": []}
        self._point += 1
        self._points[name] = self._point
        self._points.move_to_end(name)

    def is_readable(self, name: str) -> bool:
        """Return True if this version can read the record."""
        try:
            self.record(name).shared(0)
        except ValueError:
            return False
        return True
