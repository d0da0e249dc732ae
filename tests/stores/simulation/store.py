"""The store of a world."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from breaker_asgi.stores.memory import MemoryStore
from breaker_asgi.stores.protocol import NO_CALLS, Change, Counts, Entry, Reply, Settled
from breaker_asgi.stores.record import Record, UnreadableError
from tests.stores.simulation.terms import EPOCH, add, at_most, hold

if TYPE_CHECKING:
    from tests.stores.simulation.world import World


class Store(MemoryStore):
    """A store that checks its operations, and may lose records."""

    def __init__(self, world: World) -> None:
        super().__init__(clock=lambda: EPOCH + world.now)
        self._world = world
        self.reported: dict[tuple[str, tuple[int, str], str], Counts] = defaultdict(
            lambda: NO_CALLS
        )
        """The reported calls by breaker, number and identity of its change, and worker."""
        self._seconds: dict[tuple[str, tuple[int, str]], dict[int, Counts]] = defaultdict(
            lambda: defaultdict(lambda: NO_CALLS)
        )
        """The reported calls of each second, by breaker and change."""
        self._narrowest: dict[str, int] = {}
        """The narrowest window of each breaker: for so long its calls are kept."""
        self._witnesses: dict[tuple[str, tuple[int, str]], set[str]] = defaultdict(set)
        """The workers that have seen failures or slow calls, or have tripped, since a change."""
        self._received: set[tuple[str, int, str]] = set()
        self.ends: dict[tuple[str, int, str], float] = {}
        """The end of each lease: the record drops ended ones."""
        self.lent: dict[tuple[str, str], float] = {}
        """The time when each lease of a breaker was lent."""
        self._counted: set[tuple[str, int, str]] = set()
        """Names, generations and leases of the probes that have counted."""
        self.delays: dict[str, float] = defaultdict(float)
        """The seconds from the sending of a change to its arrival, by its identity."""
        self.version = 0
        """Raised by every write: results of a check hold until the next one."""
        self.commands: dict[str, int] = {}
        """The number of each breaker's last command."""

    def _apply(self, worker: str, number: int, entry: Entry) -> Reply:
        """Apply an entry part by part, and check each; as a whole it has to have the same result.

        A part that changes nothing is checked like the others.
        """
        name, whole = entry.name, _copy_of(self.record(entry.name))
        expected, _ = whole.apply(worker, number, entry, whole.now(self._now))
        reply = Reply(expected.shared)
        for part in _parts(entry):
            was = _copy_of(self.record(name))
            reply = super()._apply(worker, number, part)
            if part.settled:
                self._check_settled(name, part.settled[0], was)
            elif part.report is not None:
                self._check_report(worker, number, part, was)
            elif part.change is not None:
                self._check_change(part, part.change, was)
            self._note_leases(name, reply)
        hold(reply == expected, "the parts of an entry have another result", reply, expected)
        self._check_counts(entry, reply, self._now // 1000)
        return reply

    @property
    def _now(self) -> int:
        """The milliseconds of its clock."""
        return round((EPOCH + self._world.now) * 1000)

    def _check_report(self, worker: str, number: int, entry: Entry, was: Record) -> None:
        self.version += 1
        message = worker, number, entry.name
        if entry.report and entry.generation == was.generation and message not in self._received:
            self._received.add(message)
            key = entry.name, (was.generation, was.id), worker
            counts = entry.report.counts
            self.reported[key] = add(self.reported[key], counts)
            second = self._now // 1000
            for age, part in entry.report.seconds:
                sums = self._seconds[key[:2]]
                sums[second - age] = add(sums[second - age], part)
            narrowest = self._narrowest.get(entry.name, entry.window)
            self._narrowest[entry.name] = min(narrowest, entry.window)
            if counts.failures or counts.slow_calls or entry.report.tripped:
                self._witnesses[key[:2]].add(worker)

    def _check_counts(self, entry: Entry, reply: Reply, second: int) -> None:
        """Check that the answer has the calls of the window that was asked for, and no older ones.

        Windows follow the traffic. The calls of before a narrow one are dropped some time.
        """
        if self._world.incarnation:
            return
        shared, least, most = reply.shared, NO_CALLS, NO_CALLS
        kept = self._narrowest.get(entry.name, entry.window)
        for then, counts in self._seconds[entry.name, (shared.generation, shared.id)].items():
            if second - then < entry.window:
                most = add(most, counts)
                least = add(least, counts) if second - then < kept else least
        holds = at_most(least, shared.counts) and at_most(shared.counts, most)
        hold(holds, "the counts of another window", entry, shared.counts, least, most)

    def _check_change(self, entry: Entry, change: Change, was: Record) -> None:
        self.version += 1
        name, after = entry.name, self.record(entry.name)
        if (after.generation, after.state) != (was.generation, was.state) or (
            entry.generation == was.generation
        ):
            hold(entry.generation == was.generation, "a change from an old generation")
            hold(after.generation == was.generation + 1, "a change raises the generation by one")
            self.delays[change.id] = self._world.now - self._world.sent_at
            hold((after.id, after.state) == (change.id, change.state), "another change was made")
            if self._world.chance(0.3):
                self._world.copies.append(self.dump())
            self._note_command(name, change)
            self._world.rules.has_changed(name, change, was.state)
            witnesses = self._witnesses[name, (was.generation, was.id)]
            self._world.rules.check_evidence(name, change, was, len(witnesses))
        elif change.id == after.id:
            self._world.rules.same_was_done(name)

    def _note_command(self, name: str, change: Change) -> None:
        """Note the command that a change makes, or brings along."""
        number = self._world.commands.number(name, change)
        if number is not None:
            if not self._world.incarnation:
                self._world.commands.check_order(self.commands.get(name, number), number)
            self.commands[name] = number

    def _note_leases(self, name: str, reply: Reply) -> None:
        for lease in reply.leases:
            record = self.record(name)
            self.ends[name, record.generation, lease] = record.leases[lease] / 1000 - EPOCH
            self.lent[name, lease] = self._world.now

    def _check_settled(self, name: str, settled: Settled, was: Record) -> None:
        probe, counts = (name, settled.generation, settled.lease), settled.counts
        if self._world.incarnation:
            return
        outcome = None if counts is None else (counts.calls, counts.failures)
        hold(outcome == self._world.outcomes.get(probe), "a probe with another outcome", probe)
        if self.record(name).settled != was.settled:
            hold(counts is not None and probe not in self._counted, "a probe has counted", probe)
            self._counted.add(probe)

    def has_counted(self, probe: tuple[str, int, str] | None) -> bool:
        """Return True if that probe has ended for the store."""
        return probe in self._counted

    @property
    def point(self) -> int:
        return self._point

    def record(self, name: str) -> Record:
        return self._records.get(name) or Record()

    def dump(self) -> Any:
        kept = self._records, self._points, self._point, self.reported, self._received
        return copy.deepcopy((kept, self.commands, self.unreadable))

    def load(self, kept: Any) -> None:
        self.version += 1
        kept, self.commands, self.unreadable = copy.deepcopy(kept)
        self._records, self._points, self._point, self.reported, self._received = kept

    def flush(self) -> None:
        self.version += 1
        self._records.clear()
        self._points.clear()
        self._point = 0
        self.reported.clear()
        self._received.clear()
        self.commands.clear()
        self.unreadable.clear()

    def evict(self, name: str) -> None:
        """Drop the record of one breaker unnoticed, as a server short of memory does."""
        self.version += 1
        self._records[name] = Record()
        self.commands.pop(name, None)
        self.unreadable.pop(name, None)
        self.reported = defaultdict(
            lambda: NO_CALLS, {key: sums for key, sums in self.reported.items() if key[0] != name}
        )
        self._received = {message for message in self._received if message[2] != name}

    def spoil(self, name: str, *, is_newer: bool, is_noticed: bool) -> None:
        """Make a record unreadable: of a state that a newer version has, or malformed."""
        self.version += 1
        record = self._records.setdefault(name, Record())
        record.generation += 1
        if is_newer:
            record.state = "throttled"
        else:
            record.seconds = {"{": []}
        try:
            Record.load(record.dump())
        except UnreadableError as error:
            self.unreadable[name] = str(error)
        if is_noticed:
            self._point += 1
            self._points[name] = self._point
            self._points.move_to_end(name)

    def is_readable(self, name: str) -> bool:
        """Return True if this version can read the record."""
        return name not in self.unreadable


def _copy_of(record: Record) -> Record:
    """Return a copy of a record, at a tenth of what `deepcopy` takes for its many seconds."""
    parts = {name: getattr(record, name) for name in Record.__slots__}
    for name in ("seconds", "workers"):
        parts[name] = {key: [*numbers] for key, numbers in parts[name].items()}
    for name in ("failing", "tripped", "leases"):
        parts[name] = {**parts[name]}
    return Record(**{**parts, "settled": [*record.settled]})


def _parts(entry: Entry) -> Iterator[Entry]:
    """Yield an entry for each part of one, and the plain request for its record at the end."""
    bare = replace(entry, settled=(), report=None, change=None, claims=())
    for settled in entry.settled:
        yield replace(bare, settled=(settled,))
    if entry.report is not None:
        yield replace(bare, report=entry.report)
    if entry.change is not None:
        yield replace(bare, change=entry.change)
    yield replace(bare, claims=entry.claims)
