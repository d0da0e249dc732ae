"""The record of one breaker in a store, and the arithmetic on it. lua/record.lua is its twin.

Moments are whole milliseconds of the store's clock, because Lua writes numbers with 14 digits.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING

from breaker_asgi._core.state import CLOSED, HALF_OPEN, OPEN, CircuitBreakerState
from breaker_asgi.stores.protocol import Counts, Second, Shared

if TYPE_CHECKING:
    from breaker_asgi.stores.protocol import Change, Report

DAY = 86_400_000
WITNESSED = 60_000
"""Milliseconds for which a failure makes its worker a witness, or longer if calls matter longer."""
WEEK = 7 * DAY
ROLL = 1_000
"""Number of workers above which those without a report for a day are forgotten."""


@dataclass(slots=True)
class Record:
    """The record of one breaker. A change resets all fields below `openings`."""

    last: int = 0
    """The latest moment in the record."""
    ahead: int = 0
    """Milliseconds by which the clock was set back in all: the record's time never goes back."""
    generation: int = 0
    state: str = CLOSED.value
    reason: str = "new"
    by_hand: bool = False
    who: str | None = None
    worker: str | None = None
    changed: int = 0
    lasts: float | None = None
    openings: int = 0
    keep: int = 0
    """The longest `keep` of late reports: settings differ in a roll-out."""
    kept: int = 0
    """Time of the last report with that `keep`."""
    seconds: dict[str, list[int]] = field(default_factory=dict)
    streak: int = 0
    failing: dict[str, int] = field(default_factory=dict)
    """Time of each worker's last failure or slow call; old ones are dropped."""
    lent: int = 0
    leases: dict[str, int] = field(default_factory=dict)
    settled: list[int] = field(default_factory=lambda: [0, 0, 0])
    workers: dict[str, list[int]] = field(default_factory=dict)
    """Number and time of each worker's last report."""

    def now(self, clock: int) -> int:
        """Return the record's time. It stands still where the clock was set back."""
        self.ahead = max(self.ahead, self.last - clock)
        return clock + self.ahead

    def add(self, worker: str, number: int, report: Report, now: int) -> bool:
        """Add up a report. Return False if it is of another generation, or was added before."""
        last_report = self.workers.get(worker)
        if report.generation != self.generation or (last_report and number <= last_report[0]):
            return False
        self._remember(worker, number, last_report, now)
        if report.keep >= self.keep or now - self.kept >= self.keep * 1000:
            self.keep, self.kept = report.keep, now
        second = now // 1000
        for name in [name for name in self.seconds if int(name) <= second - self.keep]:
            del self.seconds[name]
        for age, counts in report.seconds:
            if counts.failures or counts.slow_calls:
                self.failing[worker] = max(now - age * 1000, self.failing.get(worker, 0))
            if counts.calls and age < self.keep:
                then = str(second - age)
                self.seconds[then] = _sums(self.seconds.get(then, [0, 0, 0]), counts)
        self.failing = self._witnesses(now)
        self.streak = self.streak + report.counts.failures if report.unbroken else report.streak
        self.last = now
        return True

    def _remember(self, worker: str, number: int, last_report: list[int] | None, now: int) -> None:
        if last_report is None and len(self.workers) >= ROLL:
            for name, (_, reported) in list(self.workers.items()):
                if reported < now - DAY:
                    del self.workers[name]
        self.workers[worker] = [number, now]

    def _witnesses(self, now: int) -> dict[str, int]:
        oldest = now - max(WITNESSED, self.keep * 1000)
        return {worker: at for worker, at in self.failing.items() if at > oldest}

    def change(self, change: Change, now: int) -> bool:
        """Make a change. Return False if it expects another generation."""
        if change.expected != self.generation:
            return False
        fresh = Record(
            last=now,
            ahead=self.ahead,
            generation=self.generation + 1,
            state=change.state.value,
            reason=change.reason,
            by_hand=change.by_hand,
            who=change.who,
            worker=change.worker,
            changed=now - round(change.age * 1000),
            lasts=change.lasts,
            openings=change.openings,
        )
        for name in Record.__slots__:
            setattr(self, name, getattr(fresh, name))
        return True

    def claim(
        self, worker: str, generation: int, most: int, seconds: float, now: int
    ) -> str | None:
        """Lend a probe, if there is one left. The lease has a new, unique name."""
        out = [lease for lease, until in self.leases.items() if until > now]
        if generation != self.generation or len(out) + self.settled[0] >= most:
            return None
        self.leases = {lease: self.leases[lease] for lease in out}
        self.lent += 1
        lease = f"{worker}:{self.lent}"
        self.leases[lease] = now + round(seconds * 1000)
        self.last = now
        return lease

    def settle(self, generation: int, lease: str, counts: Counts | None, now: int) -> bool:
        """Take a lease back. Return False if it has ended before."""
        if generation != self.generation or self.leases.get(lease, 0) <= now:
            return False
        del self.leases[lease]
        if counts is not None:
            self.settled = _sums(self.settled, counts)
        self.last = now
        return True

    def shared(self, now: int) -> Shared:
        """Return the record in the form that stores return."""
        second = now // 1000
        ages = sorted((second - int(name), sums) for name, sums in self.seconds.items())
        return Shared(
            generation=self.generation,
            state=CircuitBreakerState(self.state),
            reason=self.reason,
            by_hand=self.by_hand,
            who=self.who,
            worker=self.worker,
            age=(now - self.changed) / 1000 if self.generation else 0.0,
            lasts=self.lasts,
            openings=self.openings,
            seconds=tuple(Second(age, Counts(*sums)) for age, sums in ages if age < self.keep),
            streak=self.streak,
            witnesses=len(self._witnesses(now)),
            probes=sum(until > now for until in self.leases.values()),
            settled=Counts(*self.settled),
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

    @classmethod
    def load(cls, text: bytes | str | None) -> Record:
        """Parse a record that another version may have written; without text return a new one."""
        kept = json.loads(decode(text)) if text else {}
        return cls(**{name: kept[name] for name in cls.__slots__ if name in kept})


def _sums(sums: list[int], counts: Counts) -> list[int]:
    return [total + more for total, more in zip(sums, counts, strict=True)]


def encode(text: str) -> bytes:
    """Encode any text, lone surrogates included: a breaker may be named by a path."""
    return text.encode("utf-8", "surrogatepass")


def decode(text: bytes | str) -> str:
    """Decode the result of `encode`; a client may have decoded it already."""
    return text if isinstance(text, str) else text.decode("utf-8", "surrogatepass")
