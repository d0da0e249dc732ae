"""The record of one breaker in a store, and the arithmetic on it. lua/record.lua is its twin.

Moments are whole milliseconds of the store's clock, because Lua writes numbers with 14 digits.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any

from breaker_asgi._core.state import CLOSED, CLOSING, HALF_OPEN, OPEN, CircuitBreakerState
from breaker_asgi.stores import outages
from breaker_asgi.stores.protocol import Command, Counts, Reply, Shared, total, unidentified

if TYPE_CHECKING:
    from breaker_asgi.stores.outages import KeptOutage
    from breaker_asgi.stores.protocol import Change, Claim, Entry, Report, Settled

VERSION = 1
"""The version of a record. Those of version 0 have no identity and no command."""
DAY = 86_400_000
WITNESSED = 60_000
"""Milliseconds for which a failure makes its worker a witness, or longer if calls matter longer."""
WEEK = 7 * DAY
ROLL = 1_000
"""Number of workers above which those without a report for a day are forgotten."""
ALIVE = 30.0
"""Seconds after its last use of the store for which a worker counts."""


class UnreadableError(ValueError):
    """A record that can't be read: a newer version has written it, or it is damaged."""


@dataclass(slots=True)
class Record:
    """The record of one breaker. A change resets all fields below `workers`."""

    version: int = VERSION
    last: int = 0
    """The latest moment in the record."""
    ahead: int = 0
    """Milliseconds by which the clock was set back in all: the record's time never goes back."""
    generation: int = 0
    id: str = ""
    state: str = CLOSED.value
    reason: str = "new"
    by_hand: bool = False
    who: str | None = None
    worker: str | None = None
    changed: int = 0
    lasts: float | None = None
    openings: int = 0
    command: str | None = None
    command_at: int = 0
    outage: KeptOutage | None = None
    """The outage that goes on, or the last one."""
    workers: dict[str, list[int]] = field(default_factory=dict)
    """Number and time of each worker's last report."""
    keep: int = 0
    """The longest window of late reports: settings differ in a roll-out."""
    kept: int = 0
    """Time of the last report with that window."""
    seconds: dict[str, list[int]] = field(default_factory=dict)
    streak: int = 0
    failing: dict[str, int] = field(default_factory=dict)
    """Time of each worker's last failure or slow call; old ones are dropped."""
    tripped: dict[str, int] = field(default_factory=dict)
    """Time of the last report of each worker in which the breaker is open for itself only."""
    lent: int = 0
    leases: dict[str, int] = field(default_factory=dict)
    settled: list[int] = field(default_factory=lambda: [0, 0, 0])

    def now(self, clock: int) -> int:
        """Return the record's time. It stands still where the clock was set back."""
        self.ahead = max(self.ahead, self.last - clock)
        return clock + self.ahead

    def apply(self, worker: str, number: int, entry: Entry, now: int) -> tuple[Reply, Effect]:
        """Apply an entry. Return the reply, and what has become different."""
        touched = [self._settle(settled, now) for settled in entry.settled]
        if entry.report is not None:
            touched.append(self._add(worker, number, entry, entry.report, now))
        changed = entry.change is not None and entry.generation == self.generation
        if changed and entry.change is not None:
            self._change(entry.change, now)
        leases = [self._claim(worker, claim, now) for claim in entry.claims]
        lent = tuple(lease for lease in leases if lease is not None)
        effect = CHANGED if changed else TOUCHED if lent or any(touched) else NOTHING
        self.last = self.last if effect == NOTHING else now
        return Reply(self.shared(now, entry.window), lent), effect

    def _settle(self, settled: Settled, now: int) -> bool:
        """Take a lease back. Return False if it has ended before."""
        if settled.generation != self.generation or self.leases.get(settled.lease, 0) <= now:
            return False
        del self.leases[settled.lease]
        if settled.counts is not None:
            self.settled = _sums(self.settled, settled.counts)
        return True

    def _add(self, worker: str, number: int, entry: Entry, report: Report, now: int) -> bool:
        """Add up a report. Return False if it was added before, or counts for nothing.

        Of one of another generation the rejected calls still belong to the outage.
        """
        last_report = self.workers.get(worker)
        is_current = entry.generation == self.generation
        counts = is_current or (report.rejected > 0 and self.outage is not None)
        if not counts or (last_report and number <= last_report[0]):
            return False
        self._remember(worker, number, last_report, now)
        if self.outage is not None and report.rejected:
            self.outage = self.outage.rejecting(report.rejected, now)
        if is_current:
            self._add_calls(worker, entry, report, now)
        return True

    def _add_calls(self, worker: str, entry: Entry, report: Report, now: int) -> None:
        if entry.window >= self.keep or now - self.kept >= self.keep * 1000:
            self.keep, self.kept = entry.window, now
        second = now // 1000
        for name in [name for name in self.seconds if int(name) <= second - self.keep]:
            del self.seconds[name]
        for age, counts in report.seconds:
            if counts.failures or counts.slow_calls:
                self.failing[worker] = max(now - age * 1000, self.failing.get(worker, 0))
            if any(counts) and age < self.keep:
                then = str(second - age)
                self.seconds[then] = _sums(self.seconds.get(then, [0, 0, 0]), counts)
        if report.tripped:
            self.failing[worker] = self.tripped[worker] = now
        else:
            self.tripped.pop(worker, None)
        self.failing = self._lately(self.failing, now)
        self.tripped = self._lately(self.tripped, now)
        if report.seconds:
            added = self.streak + report.counts.failures
            self.streak = added if report.unbroken else report.streak

    def _remember(self, worker: str, number: int, last_report: list[int] | None, now: int) -> None:
        if last_report is None and len(self.workers) >= ROLL:
            for name, (_, reported) in list(self.workers.items()):
                if reported < now - DAY:
                    del self.workers[name]
        self.workers[worker] = [number, now]

    def _lately(self, workers: dict[str, int], now: int) -> dict[str, int]:
        oldest = now - max(WITNESSED, self.keep * 1000)
        return {worker: at for worker, at in workers.items() if at > oldest}

    def _change(self, change: Change, now: int) -> None:
        fresh = Record(
            last=now,
            ahead=self.ahead,
            generation=self.generation + 1,
            id=change.id,
            state=change.state.value,
            reason=change.reason,
            by_hand=change.by_hand,
            who=change.who,
            worker=change.worker,
            changed=now - round(change.age * 1000),
            lasts=change.lasts,
            openings=change.openings,
            outage=outages.after(self.outage, self.state, self.openings, change, now),
            workers=self.workers,
        )
        if change.command is not None:
            fresh.command = change.command.id
            fresh.command_at = now - round(change.command.age * 1000)
        for name in Record.__slots__:
            setattr(self, name, getattr(fresh, name))

    def _claim(self, worker: str, claim: Claim, now: int) -> str | None:
        """Lend a probe, if there is one left. The lease has a new, unique name."""
        self.leases = {lease: until for lease, until in self.leases.items() if until > now}
        if self.state != HALF_OPEN or len(self.leases) + self.settled[0] >= claim.most:
            return None
        self.lent += 1
        lease = f"{worker}:{self.lent}"
        self.leases[lease] = now + round(claim.seconds * 1000)
        return lease

    def shared(self, now: int, window: int) -> Shared:
        """Return the record in the form that stores return."""
        second = now // 1000
        command = self.command and Command(self.command, max(0, now - self.command_at) / 1000)
        recent = (sums for name, sums in self.seconds.items() if second - int(name) < window)
        return Shared(
            generation=self.generation,
            id=self.id or unidentified(self.generation),
            state=CircuitBreakerState(self.state),
            reason=self.reason,
            by_hand=self.by_hand,
            who=self.who,
            worker=self.worker,
            age=(now - self.changed) / 1000 if self.generation else 0.0,
            lasts=self.lasts,
            openings=self.openings,
            command=command or None,
            counts=total((Counts(), *(Counts(*sums) for sums in recent))),
            streak=self.streak,
            witnesses=len(self._lately(self.failing, now)),
            tripped=len(self._lately(self.tripped, now)),
            probes=sum(until > now for until in self.leases.values()),
            settled=Counts(*self.settled),
            outage=None if self.outage is None else self.outage.shared(now),
        )

    def kept_for(self) -> float:
        """Return the milliseconds for which it must be kept after its last use.

        An open breaker is called again once its time has ended, or is not needed any more. A
        change by hand holds until an operator undoes it.
        """
        if self.state == CLOSED:
            return DAY
        if self.state in {OPEN, HALF_OPEN}:
            return (self.lasts or 0) * 1000 + WEEK
        return inf

    def dump(self) -> bytes:
        """Serialise to JSON. Lone surrogates survive."""
        kept = {name: getattr(self, name) for name in Record.__slots__}
        return encode(json.dumps(kept, ensure_ascii=False, separators=(",", ":")))

    def _check(self) -> None:
        """Raise an exception if a value has another type than the arithmetic relies on."""
        sums, reports = [self.settled, *self.seconds.values()], self.workers.values()
        numbers = [self.last, self.ahead, self.generation, self.changed, self.lasts or 0]
        numbers += [self.openings, self.command_at, self.keep, self.kept, self.streak, self.lent]
        for moments in (self.failing, self.tripped, self.leases):
            numbers += moments.values()
        sum([*numbers, *map(int, self.seconds), *map(sum, sums), *map(sum, reports)])
        "".join([self.id, self.reason, self.who or "", self.worker or "", self.command or ""])
        lengths = {*map(len, sums)}, {*map(len, reports)} or {2}
        if lengths != ({3}, {2}) or not isinstance(self.by_hand, bool):
            raise ValueError(lengths)

    @classmethod
    def load(cls, text: bytes | str | None) -> Record:
        """Parse a record; without text return a new one. Raises `UnreadableError`."""
        if not text:
            return cls()
        try:
            kept: dict[str, Any] = json.loads(decode(text))
            check(kept.get("version", 0), kept["state"])
            record = cls(**{name: kept[name] for name in cls.__slots__ if name in kept})
            record._check()
        except UnreadableError:
            raise
        except Exception as error:
            raise UnreadableError("it is damaged") from error
        record.version = VERSION
        record.outage = outages.load(record.outage)
        if record.by_hand and kept.get("version", 0) == 0:
            record.command = unidentified(record.generation)
            record.command_at = record.changed
        return record


Effect = int
NOTHING, TOUCHED, CHANGED = range(3)
"""The effects of an entry: none, on counts and leases, or a change of state."""


def check(version: object, state: object) -> None:
    """Raise `UnreadableError` if a record is of a newer version, or in an unknown state."""
    if not isinstance(version, int) or version > VERSION:
        raise UnreadableError(f"it is of version {version}, and this is version {VERSION}")
    if state not in {member.value for member in CircuitBreakerState} - {CLOSING.value}:
        raise UnreadableError(f"it is in the unknown state {state!r}")


def _sums(sums: list[int], counts: Counts) -> list[int]:
    return [total + more for total, more in zip(sums, counts, strict=True)]


def encode(text: str) -> bytes:
    """Encode any text, lone surrogates included: a breaker may be named by a path."""
    return text.encode("utf-8", "surrogatepass")


def decode(text: bytes | str) -> str:
    """Decode the result of `encode`; a client may have decoded it already."""
    return text if isinstance(text, str) else text.decode("utf-8", "surrogatepass")
