"""The rows of a registry as its streams have them, and the changes since their last text."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeAlias, cast
from weakref import WeakKeyDictionary, ref

from breaker_asgi._core.snapshot import count_under_way
from breaker_asgi._core.windows import TimeWindow
from breaker_asgi.monitor.rows import (
    CHANGED_AT,
    REASON,
    RETRY_AFTER,
    STATE,
    Values,
    difference,
    duration,
    values_of,
    without_details,
)
from breaker_asgi.monitor.scope import Elsewhere
from breaker_asgi.monitor.traffic import SECONDS, as_rows
from breaker_asgi.monitor.workers import is_alone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.monitor.history import History
    from breaker_asgi.monitor.listing import Listing
    from breaker_asgi.monitor.scope import Scope
    from breaker_asgi.monitor.traffic import SecondOutcomes

Second: TypeAlias = list[int]

_SAME_MOMENT = 0.5
"""Seconds by which the end of an open time may differ from the one sent before."""
LATE = 10
"""Seconds in which calls of other workers may still be added to a second."""


class Row:
    """A breaker's row; it does not keep the breaker alive."""

    __slots__ = ("_clock", "breaker", "generation", "id", "seconds", "totals", "until", "values")

    def __init__(self, number: int, breaker: CircuitBreaker | Elsewhere) -> None:
        self.id = number
        self.breaker: Callable[[], CircuitBreaker | Elsewhere | None]
        if isinstance(breaker, Elsewhere):
            self.breaker, self._clock = lambda: breaker, time.monotonic
        else:
            self.breaker, self._clock = ref(breaker), breaker.config.clock
        self.values: Values = []
        """The fields' values; in place of `retry_after` the moment when that ends."""
        self.generation: object = None
        self.totals: tuple[object, ...] | None = None
        self.until = 0
        """The tick after which time alone changes no figure any more."""
        self.seconds: list[Second] = []
        """The latest seconds that were sent."""

    def now(self) -> float:
        """Return the seconds on the breaker's clock."""
        return self._clock()

    def current(self, *, details: bool) -> Values:
        """Return the values as sent now."""
        values = _at(self.values, self._clock())
        return values if details else without_details(values)

    def pairs(self, before: Values, *, details: bool) -> list[Any]:
        """Return indices and values of the fields that differ from those before."""
        now = self._clock()
        old, new = _at(before, now), _at(self.values, now)
        if before[RETRY_AFTER] != self.values[RETRY_AFTER]:
            old[RETRY_AFTER] = ...  # it ends at another moment, though it lasts as long
        return difference(old, new) if details else difference(*map(without_details, (old, new)))


def _at(values: Values, now: float) -> Values:
    """Return values with `retry_after` as it is at a moment."""
    values, due = values.copy(), values[RETRY_AFTER]
    values[RETRY_AFTER] = due if due is None else duration(max(0.0, due - now))
    return values


class Changes:
    """Changes since the last text."""

    def __init__(self) -> None:
        self.rows: dict[int, Values | None] = {}
        """The values before, by the row's id; None for a new row."""
        self.seconds: dict[int, list[Second]] = {}
        self.gone: list[int] = []

    def __bool__(self) -> bool:
        return bool(self.rows or self.seconds or self.gone)

    @property
    def ids(self) -> list[int]:
        return [*{**self.rows, **self.seconds}]


class Table:
    """The rows of a registry."""

    def __init__(self, listing: Listing, history: History, scope: Scope) -> None:
        self._listing = listing
        self._history = history
        self.scope = scope
        """The workers whose figures the rows have, as they were at the last look."""
        self._ids: WeakKeyDictionary[CircuitBreaker | Elsewhere, int] = WeakKeyDictionary()
        self._last_id = 0
        self.rows: dict[int, Row] = {}
        self.changes = Changes()

    def take(self) -> Changes:
        """Return the changes, and begin to collect new ones."""
        changes, self.changes = self.changes, Changes()
        return changes

    def keep(self, breakers: Iterable[CircuitBreaker | Elsewhere]) -> None:
        """Remove the rows of all other breakers."""
        kept = {self._ids.get(breaker) for breaker in breakers}
        for number in [number for number in self.rows if number not in kept]:
            del self.rows[number]
            self.changes.rows.pop(number, None)
            self.changes.seconds.pop(number, None)
            self.changes.gone.append(number)

    def read(self, breaker: CircuitBreaker | Elsewhere) -> bool:
        """Read a breaker's figures if they may have changed. Return True if so."""
        totals = (*_totals(breaker), *self.scope.marks(breaker))
        ticks = self._history.ticks
        row = self.rows.get(self._ids.get(breaker, 0))
        if row is not None and totals == row.totals and row.until < ticks:
            return False
        if row is None:
            row = self._add(breaker)
            self._update(row, breaker)
            row.totals, row.until = totals, ticks
            if row.seconds or _fades(breaker):
                row.until += _fades_after(breaker)
        else:
            if totals != row.totals:
                row.totals, row.until = totals, ticks + _fades_after(breaker)
            self._update(row, breaker)
        return True

    def _add(self, breaker: CircuitBreaker | Elsewhere) -> Row:
        self._last_id += 1
        self._ids[breaker] = self._last_id
        row = self.rows[self._last_id] = Row(self._last_id, breaker)
        self.changes.rows[row.id] = None
        return row

    def _update(self, row: Row, breaker: CircuitBreaker | Elsewhere) -> None:
        before = row.values
        values = values_of(self._listing.breaker(breaker, self.scope, details=True))
        now, wait, generation = row.now(), values[RETRY_AFTER], _generation_of(breaker, values)
        values[RETRY_AFTER] = None if wait is None else now + wait
        if generation == row.generation:
            values[CHANGED_AT] = before[CHANGED_AT]
            if _is_same_moment(before[RETRY_AFTER], values[RETRY_AFTER], now):
                values[RETRY_AFTER] = before[RETRY_AFTER]
        row.generation = generation
        if before != values:
            self.changes.rows.setdefault(row.id, before)
            row.values = values
        self._update_seconds(row, breaker)

    def _update_seconds(self, row: Row, breaker: CircuitBreaker | Elsewhere) -> None:
        latest = as_rows(self._seconds_of(breaker)[-LATE:])
        if fresh := [second for second in latest if second not in row.seconds]:
            row.seconds = latest
            self.changes.seconds.setdefault(row.id, []).extend(fresh)

    def seconds(self, row: Row) -> list[Second]:
        """Return the last minute of a row's breaker."""
        breaker = row.breaker()
        return [] if breaker is None else as_rows(self._seconds_of(breaker))

    def _seconds_of(self, breaker: CircuitBreaker | Elsewhere) -> list[SecondOutcomes]:
        fleet = self.scope.worker is None
        if not fleet and not self.scope.has_own:
            return []
        return self._history.seconds(breaker, fleet=fleet)


def _is_same_moment(before: float | None, due: float | None, now: float) -> bool:
    """Return True if an open time ends when it was said to end, or has ended as said."""
    if before is None or due is None:
        return before is due
    return abs(max(before, now) - due) < _SAME_MOMENT


def _generation_of(breaker: CircuitBreaker | Elsewhere, values: Values) -> object:
    """Return what stays the same until the breaker's state changes."""
    if isinstance(breaker, Elsewhere):
        return values[STATE], values[REASON]
    return breaker._generation


def _fades(breaker: CircuitBreaker | Elsewhere) -> bool:
    """Return True if time alone changes figures of a breaker without recent calls."""
    if isinstance(breaker, Elsewhere):
        return True
    record = breaker._generation.record
    return isinstance(breaker.config.window, TimeWindow) and bool(record and record.calls)


def _fades_after(breaker: CircuitBreaker | Elsewhere) -> int:
    if isinstance(breaker, Elsewhere):
        return SECONDS + 1
    window = breaker.config.window
    longest = cast("int", window.seconds) if isinstance(window, TimeWindow) else 0
    return max(SECONDS, longest) + 1


def _totals(breaker: CircuitBreaker | Elsewhere) -> tuple[float | None, ...]:
    """Return values of which one changes with each event of a breaker.

    Time changes two: calls under way become slow, and a closing breaker admits more.
    """
    if isinstance(breaker, Elsewhere):
        return ()
    moment = breaker.config.clock()
    return (
        breaker._generation.number,
        breaker.successes,
        breaker.failures,
        breaker.ignored,
        breaker.rejected,
        breaker.slow_calls,
        is_alone(breaker),
        *count_under_way(breaker, moment),
        breaker._generation.admitted_share(moment),
    )
