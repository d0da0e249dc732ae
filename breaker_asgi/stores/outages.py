"""The outage in the record of a breaker, and the arithmetic on it. lua/outage.lua is its twin.

Nothing is decided by it: a damaged one is dropped, and the record still can be read.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from breaker_asgi._core.state import CLOSED, FORCED_OPEN, HALF_OPEN, OPEN
from breaker_asgi.stores.protocol import Counts, SharedOutage

if TYPE_CHECKING:
    from breaker_asgi.stores.protocol import Change

_AWAY = {OPEN, HALF_OPEN, FORCED_OPEN}
_LATE = 60_000
"""Milliseconds after its end in which calls that were rejected before it may be reported."""


class Cause(NamedTuple):
    """The part of an outage that does not change, in the order of `SharedOutage`."""

    reason: str
    failure_type: str | None
    by_hand: bool
    who: str | None
    counts: Counts
    streak: int


class KeptOutage(NamedTuple):
    """An outage as a record keeps it: moments are milliseconds of the store's clock."""

    cause: Cause
    began: int
    ended: int | None
    probed: int | None
    probes_failed: int
    rejected: int

    def changed(self, state: str, openings: int, change: Change, now: int) -> KeptOutage | None:
        """Return it after a change from `state`; None if it does not go on.

        A breaker that is closing is closed here, with a row of openings that goes on.
        """
        at = max(self.began, _before(now, change.age))
        if change.state not in _AWAY:
            return self if self.ended is not None else self._replace(ended=at)
        is_row = openings > 0 and change.openings > (change.state is OPEN)
        relapses = state == CLOSED and is_row and change.state is not HALF_OPEN
        if self.ended is not None and not relapses:
            return None
        is_counted = change.state is OPEN and not change.by_hand
        failed = max(0, change.openings - openings) if is_counted else 0
        is_probe = failed > 0 or change.state is HALF_OPEN
        return self._replace(
            ended=None,
            probed=at if is_probe else self.probed,
            probes_failed=self.probes_failed + failed,
        )

    def rejecting(self, calls: int, now: int) -> KeptOutage:
        """Return it with more rejected calls, unless it ended long ago."""
        if self.ended is not None and now - self.ended >= _LATE:
            return self
        return self._replace(rejected=self.rejected + calls)

    def shared(self, now: int) -> SharedOutage:
        """Return it in the form that stores return."""
        return SharedOutage(
            _since(self.began, now),
            None if self.ended is None else _since(self.ended, now),
            *self.cause,
            self.probes_failed,
            None if self.probed is None else _since(self.probed, now),
            self.rejected,
        )


def begun_by(change: Change) -> SharedOutage | None:
    """Return the outage that a change brings along, or begins; None if there is none."""
    if change.outage is not None or change.state not in {OPEN, FORCED_OPEN}:
        return change.outage
    return SharedOutage(
        age=change.age, reason=change.reason, by_hand=change.by_hand, who=change.who
    )


def after(
    kept: KeptOutage | None, state: str, openings: int, change: Change, now: int
) -> KeptOutage | None:
    """Return the outage of a record after a change from `state`."""
    goes_on = None if kept is None else kept.changed(state, openings, change, now)
    brought = begun_by(change)
    if goes_on is not None or brought is None:
        return goes_on or kept
    begun = KeptOutage(
        cause_of(brought),
        _before(now, brought.age),
        None if brought.ended is None else _before(now, brought.ended),
        None if brought.last_probe is None else _before(now, brought.last_probe),
        brought.probes_failed,
        brought.rejected,
    )
    if change.state in _AWAY:
        return begun._replace(ended=None)
    return begun.changed(state, openings, change, now)


def cause_of(outage: SharedOutage) -> Cause:
    """Return the part of an outage that does not change."""
    return Cause(*outage[2:8])


def dump_cause(outage: SharedOutage) -> str:
    """Serialise the part of an outage that does not change."""
    return json.dumps(cause_of(outage), ensure_ascii=False, separators=(",", ":"))


def load(kept: Any) -> KeptOutage | None:
    """Parse an outage of a record; None if there is none, or it is damaged."""
    if kept is None:
        return None
    try:
        cause, began, ended, probed, probes_failed, rejected = kept
        sum([began, ended or 0, probed or 0, probes_failed, rejected])
        return KeptOutage(_cause(cause), began, ended, probed, probes_failed, rejected)
    except (TypeError, ValueError):
        return None


def parse(cause: str, ages: str) -> SharedOutage | None:
    """Parse an outage of a record in Redis; None if it is damaged."""
    try:
        age, ended, last_probe, probes_failed, rejected = (
            None if word == "-" else int(word) for word in ages.split()
        )
        return SharedOutage(
            (age or 0) / 1000,
            None if ended is None else ended / 1000,
            *_cause(json.loads(cause)),
            probes_failed or 0,
            None if last_probe is None else last_probe / 1000,
            rejected or 0,
        )
    except (TypeError, ValueError):
        return None


def _cause(kept: Any) -> Cause:
    """Return a cause from its JSON. Raises `TypeError` or `ValueError`."""
    reason, failure_type, by_hand, who, counts, streak = kept
    "".join([reason, failure_type or "", who or ""])
    calls, failures, slow_calls = counts
    sum([calls, failures, slow_calls, streak])
    return Cause(
        reason, failure_type, bool(by_hand), who, Counts(calls, failures, slow_calls), streak
    )


def _before(now: int, age: float) -> int:
    return now - round(age * 1000)


def _since(at: int, now: int) -> float:
    return max(0, now - at) / 1000
