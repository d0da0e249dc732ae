"""Lifetime counters and sampled durations. Trip rules use the record instead."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple
from weakref import WeakKeyDictionary

from breaker_asgi._core import process

if TYPE_CHECKING:
    from threading import RLock

    from breaker_asgi._core.config import BreakerConfig
    from breaker_asgi._core.outcome import Outcome
    from breaker_asgi._core.state import CircuitBreakerState
    from breaker_asgi._core.under_way import UnderWay
    from breaker_asgi._core.windows import Place, WindowRecord


TIMED: Final = 4
"""Calls sampled per breaker and second while an observer is attached."""
KEPT_FAILURES: Final = 20
"""Latest failures of which it is kept what failed."""
_KEPT: Final = 16
"""Durations that are kept: those of four seconds, for an observer that looks once a second."""


class Times(NamedTuple):
    """Durations of calls, in seconds: the latest of `number` that were timed."""

    number: int = 0
    latest: tuple[float, ...] = ()

    def since(self, number: int) -> tuple[float, ...]:
        """Return those that came after the first `number`, as far as they are kept."""
        new = self.number - number
        return self.latest[-new:] if new > 0 else ()


NOT_TIMED: Final = Times()
_NO_CLASSES: Final[frozenset[type]] = frozenset()


class Counters:
    """Totals since the start, the last failure, and how long some of the calls took."""

    __slots__ = (
        "_failed_at",
        "_failed_by",
        "_failed_lately",
        "_failed_saying",
        "_fast_record",
        "_note",
        "_plain_failures",
        "_rare_counts",
        "_times",
        "_to_time",
        "_under_way",
        "config",
        "excluded",
        "failures",
        "ignored",
        "rejected",
        "slow_calls",
        "successes",
    )

    config: BreakerConfig
    successes: int
    failures: int
    ignored: int
    excluded: int
    rejected: int
    slow_calls: int
    _fast_record: WindowRecord | None
    """The record of calls that need no permit; None while there are none, as sampled ones do."""
    _under_way: UnderWay | None
    """The calls under way, where their durations matter."""

    @property
    def _unended_slow_calls(self) -> int:
        """Calls that were counted as slow while they ran, and have no other outcome so far."""
        return 0 if self._under_way is None else self._under_way.counted

    def _start_counters(self) -> None:
        self.successes = self.failures = self.ignored = self.excluded = self.rejected = 0
        self.slow_calls = 0
        self._failed_by: type | str = type(None)
        """The class of the exception, or a text where there was none."""
        self._failed_saying: str | None = None
        self._failed_lately: deque[type | str] | None = None
        """Classes of the latest failures, or texts; None before the first one."""
        self._failed_at: float | None = None
        self._note: str | None = None
        self._plain_failures: frozenset[type] = _NO_CLASSES
        """Classes that are failures by themselves, where neither attributes nor causes differ."""
        self._rare_counts: (
            dict[Outcome | tuple[CircuitBreakerState, CircuitBreakerState], int] | None
        )
        self._rare_counts = None
        self._times = NOT_TIMED
        self._to_time = 0

    @property
    def _lock(self) -> RLock:
        """The lock that is held while counts of probes and changes are written."""
        return process.lock

    @abstractmethod
    def _end_timed(self, now: float, place: Place | None, *, is_counted: bool = True) -> None:
        """End a timed call, and count those that are overdue by now."""

    @abstractmethod
    def _update_fast_paths(self) -> None:
        """Set the fast paths: calls that are sampled need a permit."""

    def _sample_next(self, calls: int) -> Times:
        """Return the samples so far, and sample the next `calls` calls, one or more.

        Sampled calls take a permit, so that the samples cost the rest of the calls nothing. Any
        number of observers may do so, each by its own `number`.
        """
        with self._lock:
            self._to_time = calls
            self._fast_record = None
        return self._times

    def _sample_since(self, number: int | None) -> Times:
        """Return the samples so far, and sample some more calls unless none came after `number`."""
        if self._times.number == number and self._to_time > 0:
            return self._times
        return self._sample_next(TIMED)

    def _is_sampled(self) -> bool:
        """Return True if a call is sampled.

        It is called when the call is admitted: of those that end first most would be quick. Where
        all calls are timed, one is as good as another at its end.
        """
        if self._to_time <= 0:
            return False
        self._to_time -= 1
        if self._to_time <= 0:
            self._update_fast_paths()
        return True

    def _record_duration(self, seconds: float, now: float, place: Place | None = None) -> bool:
        """Record the duration of a call that ends. Return True if it was slow.

        One that was counted as slow while it ran has its `place` in the window already.
        """
        under_way = self._under_way
        if under_way is not None and (now >= under_way.edge or place is not None):
            self._end_timed(now, place)
        if not self.config.measures_duration or (self._to_time > 0 and self._is_sampled()):
            number, latest = self._times
            self._times = Times(number + 1, (*latest[1 - _KEPT :], seconds))
        if seconds <= self.config.slow_after:
            return False
        self.slow_calls += place is None
        return True

    def _keep_failures(self) -> deque[type | str]:
        """Begin to keep what failed: most breakers have no failure."""
        lately: deque[type | str] = deque(maxlen=KEPT_FAILURES)
        self._failed_lately = lately
        return lately

    def _count(self, what: Outcome | tuple[CircuitBreakerState, CircuitBreakerState]) -> None:
        """Count a probe by its outcome, or a change of state; the lock is held.

        Most breakers have had neither, and keep no counts.
        """
        if self._rare_counts is None:
            self._rare_counts = {}
        self._rare_counts[what] = self._rare_counts.get(what, 0) + 1

    def _record_if_not_slow(self, started: float) -> bool:
        """Record the duration of a call whose answer has begun. Return False if it was slow."""
        now = self.config.clock()
        took = now - started
        return took <= self.config.slow_after and not self._record_duration(took, now)


class Recent:
    """A cursor over sampled durations: `take` returns those since its last call.

    Each observer has one of its own.
    """

    def __init__(self) -> None:
        self._seen: WeakKeyDictionary[Counters, int] = WeakKeyDictionary()

    def take(self, breaker: Counters) -> tuple[float, ...]:
        """Return the new durations, in seconds, and sample some more calls."""
        number = self._seen.get(breaker)
        times = breaker._sample_since(number)
        if times.number == number:
            return ()
        self._seen[breaker] = times.number
        return () if number is None else times.since(number)


def name_of(kind: type | str) -> str | None:
    """Return the name of a class of exceptions with its module; None for that of None."""
    if isinstance(kind, str):
        return kind
    if kind is type(None):
        return None
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def words_for(exception: BaseException) -> str:
    """Return the class of an exception, and its text."""
    return f"{type(exception).__name__}: {text_of(exception)}"


def text_of(exception: BaseException | None) -> str | None:
    """Return the text of an exception, even of one whose `__str__` fails."""
    try:
        return None if exception is None else str(exception)
    except Exception:  # noqa: BLE001
        return f"<{type(exception).__name__} without a text>"
