"""Records of recent calls: a streak, the last N calls, the last N seconds.

`CountWindow` and `TimeWindow` are settings. A breaker keeps a `WindowRecord`: every generation
starts an empty one, so that the identity of the record tells a late result from a current one.

Several threads write to one record without a lock. CPython hands the GIL over at function calls
and backward jumps only, so every `add` below keeps its writes in one stretch without either.
"""

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, NamedTuple, TypeAlias

from breaker_asgi._core import validation

OK: Final = 0
FAILED: Final = 1
SLOW: Final = 2
"""Result of a call, as two bits: a failure that was slow too is `FAILED | SLOW`."""
RUNNING: Final = 8
"""A third bit of a call that is slow already, and has not ended."""

_EMPTY: Final = 4
_MOST_CALLS: Final = 1_000_000
_MOST_SECONDS: Final = 86_400
_NEVER: Final = -math.inf


class WindowCounts(NamedTuple):
    """Counts of a record at one moment."""

    calls: int = 0
    failures: int = 0
    slow_calls: int = 0
    streak: int = 0


NO_COUNTS: Final = WindowCounts()


def counts_of(record: "WindowRecord", now: float) -> WindowCounts:
    """Return the counts of `record` at `now`."""
    record.advance(now)
    return WindowCounts(record.calls, record.failures, record.slow_calls, record.streak)


@dataclass(frozen=True, slots=True)
class CountWindow:
    """The last `calls` calls."""

    calls: int = 100

    def __post_init__(self) -> None:
        validation.integer(
            "CountWindow calls", self.calls, "CountWindow(100) is usual", _MOST_CALLS
        )

    def record(self) -> "WindowRecord":
        """Return an empty record of this window."""
        return CountRecord(self.calls)


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """The calls of the last `seconds` whole seconds of the clock, the current one included."""

    seconds: int | timedelta = 60

    def __post_init__(self) -> None:
        number = self.seconds
        if isinstance(number, timedelta) and number % timedelta(seconds=1) == timedelta(0):
            number = number // timedelta(seconds=1)
        validation.integer("TimeWindow seconds", number, "TimeWindow(60) is usual", _MOST_SECONDS)
        object.__setattr__(self, "seconds", number)

    def record(self) -> "WindowRecord":
        """Return an empty record of this window."""
        return TimeRecord(self.seconds)  # type: ignore[arg-type] # a number since __post_init__


class Streak:
    """The failures in a row, and nothing else.

    While `settled`, a success would change nothing and need not be added.
    """

    __slots__ = ("settled", "streak")

    def __init__(self) -> None:
        self.streak = 0
        self.settled = True

    @property
    def calls(self) -> int:
        return self.streak

    failures = calls

    @property
    def slow_calls(self) -> int:
        return 0

    def add(self, call: int, now: float) -> None:  # noqa: ARG002
        if call & FAILED:
            self.streak += 1
            self.settled = False
        else:
            self.streak = 0
            self.settled = True

    def advance(self, now: float) -> None:
        """Do nothing: a streak has no end in time."""


class CountRecord:
    """A ring of the last calls with running sums: the same cost at any size.

    While `settled` (full, and of good calls only), a success would change nothing.
    """

    __slots__ = ("_next", "_ring", "calls", "failures", "settled", "slow_calls", "streak")

    def __init__(self, size: int, streak: int = 0) -> None:
        self._ring = bytearray((_EMPTY,)) * size
        self._next = 0
        self.calls = self.failures = self.slow_calls = 0
        self.streak = streak
        self.settled = False

    def add(self, call: int, now: float) -> None:  # noqa: ARG002
        position = self._next
        gone = self._ring[position]
        if gone != call:
            self._ring[position] = call
            if gone == _EMPTY:
                self.calls += 1
            self.failures += (call & FAILED) - (gone & FAILED)
            self.slow_calls += (call >> 1 & 1) - (gone >> 1 & 1)
            self.settled = self.calls == len(self._ring) and self.failures == 0 == self.slow_calls
        self._next = position + 1 if position + 1 < len(self._ring) else 0
        if call < RUNNING:
            self.streak = self.streak + 1 if call & FAILED else 0

    def place(self, now: float) -> "Place":  # noqa: ARG002
        """Return the place at which a call of `now` is added."""
        return self

    def end(self, call: int, place: "Place", now: float) -> None:  # noqa: ARG002
        """Complete a call that was added as a running one: the first of those that are left."""
        position = self._ring.find(SLOW | RUNNING, self._next)
        if position < 0:
            position = self._ring.find(SLOW | RUNNING)
        if position >= 0:
            self._ring[position] = call
            self.failures += call & FAILED
        self.streak = self.streak + 1 if call & FAILED else 0

    def advance(self, now: float) -> None:
        """Do nothing: the last calls stay so, however long ago they were."""


class _Second:
    """The sums as they stood when a second began."""

    __slots__ = ("calls", "failed_later", "failures", "next", "second", "slow_calls")

    def __init__(self, second: float, calls: int, failures: int, slow_calls: int) -> None:
        self.second = second
        self.failed_later = 0
        """Calls that were added as running ones in this second, and have failed since."""
        self.calls = calls
        self.failures = failures
        self.slow_calls = slow_calls
        self.next: _Second | None = None


class TimeRecord:
    """Sums over the window, and a chain of what they were at the start of each second with calls.

    Adding a call costs the same for any number of seconds. Until `settled_until` (the end of the
    current second, if the window holds good calls only) a success need only raise `calls`.
    """

    __slots__ = (
        "_edge",
        "_failed_later",
        "_newest",
        "_oldest",
        "_seconds",
        "calls",
        "failures",
        "settled_until",
        "slow_calls",
        "streak",
    )

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self._edge = self.settled_until = _NEVER
        self.calls = self.failures = self.slow_calls = self.streak = self._failed_later = 0
        self._oldest = self._newest = _Second(_NEVER, 0, 0, 0)

    def add(self, call: int, now: float) -> None:
        if not self._edge - 1 <= now < self._edge:
            self.advance(now)
        self.calls += 1
        if call != OK:
            self.failures += call & FAILED
            self.slow_calls += call >> 1 & 1
            self.settled_until = _NEVER
        elif self.failures == 0 == self.slow_calls:
            self.settled_until = self._edge
        if call < RUNNING:
            self.streak = self.streak + 1 if call & FAILED else 0

    def place(self, now: float) -> "Place":
        """Return the place at which a call of `now` is added: its second."""
        self.advance(now)
        return self._newest

    def end(self, call: int, place: "Place", now: float) -> None:
        """Complete a call that was added as a running one, unless its second has left."""
        self.advance(now)
        self.streak = self.streak + 1 if call & FAILED else 0
        if call & FAILED and isinstance(place, _Second) and place.second >= self._oldest.second:
            place.failed_later += 1
            self._failed_later += 1
            self.failures += 1

    def advance(self, now: float) -> None:
        """Forget what has left the window by `now`."""
        second = now // 1
        newest, oldest = self._newest, self._oldest
        if newest.second - self._seconds < second <= newest.second:
            return  # this second, or a clock that was set back a little: it counts as this second
        started = _Second(
            second,
            self.calls + oldest.calls,
            self.failures - self._failed_later + oldest.failures,
            self.slow_calls + oldest.slow_calls,
        )
        newest.next = self._newest = started
        gone = 0
        while not second - self._seconds < oldest.second <= second and oldest.next is not None:
            gone += oldest.failed_later
            oldest = oldest.next
        self._edge = second + 1
        self.settled_until = _NEVER
        before = self._oldest
        self._oldest = oldest
        self.calls -= oldest.calls - before.calls
        self.failures -= oldest.failures - before.failures + gone
        self._failed_later -= gone
        self.slow_calls -= oldest.slow_calls - before.slow_calls


RatedRecord: TypeAlias = CountRecord | TimeRecord
"""Record that rates look at."""
Place: TypeAlias = CountRecord | _Second
"""Place of a running call in such a record."""
WindowRecord: TypeAlias = Streak | CountRecord | TimeRecord
"""Record of one generation of a breaker."""
