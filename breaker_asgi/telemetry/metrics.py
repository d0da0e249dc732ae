"""The metrics, and the samples of each breaker."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias
from weakref import WeakKeyDictionary

from breaker_asgi._core.outcome import Outcome
from breaker_asgi._core.state import CLOSED, HALF_OPEN, OPEN, CircuitBreakerState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.telemetry.collector import ExportedBreakers, Row


class Metric(NamedTuple):
    """One metric. `mode` is the way in which the gauges of several workers become one."""

    name: str
    kind: Literal["gauge", "counter", "histogram"]
    text: str
    labels: tuple[str, ...] = ("name",)
    mode: Literal["livesum", "livemax", "livemin"] = "livemax"


STATE = Metric(
    "circuitbreaker_state",
    "gauge",
    "1 for the state that the breaker is in, 0 for the others; "
    "in multiprocess mode the number of live workers in which it is in that state.",
    ("name", "state"),
    "livesum",
)
CALLS = Metric(
    "circuitbreaker_calls",
    "counter",
    "Calls that were admitted and have ended, by what they said of the dependency.",
    ("name", "outcome"),
)
SLOW_CALLS = Metric(
    "circuitbreaker_slow_calls",
    "counter",
    "Calls that took longer than slow_call_duration, or are under way for longer than that.",
)
CALLS_UNDER_WAY = Metric(
    "circuitbreaker_calls_under_way",
    "gauge",
    "Calls that were admitted and have not ended; absent without a slow_call_duration.",
    mode="livesum",
)
SLOW_CALLS_UNDER_WAY = Metric(
    "circuitbreaker_slow_calls_under_way",
    "gauge",
    "Calls under way for longer than slow_call_duration; absent without one.",
    mode="livesum",
)
REJECTED_CALLS = Metric("circuitbreaker_rejected_calls", "counter", "Calls that were not admitted.")
CALL_DURATION = Metric(
    "circuitbreaker_call_duration_seconds",
    "histogram",
    "How long calls took, of a sample: up to a few calls of each breaker and second.",
)
FAILURE_RATE = Metric(
    "circuitbreaker_failure_rate",
    "gauge",
    "Share of the window's calls that failed, 0 to 1; unknown below minimum_calls.",
)
FAILURE_RATE_THRESHOLD = Metric(
    "circuitbreaker_failure_rate_threshold",
    "gauge",
    "The failure rate that opens the breaker; absent where none does.",
)
SLOW_CALL_RATE = Metric(
    "circuitbreaker_slow_call_rate",
    "gauge",
    "Share of the window's calls that were slow, 0 to 1; unknown below minimum_calls.",
)
SLOW_CALL_RATE_THRESHOLD = Metric(
    "circuitbreaker_slow_call_rate_threshold",
    "gauge",
    "The slow-call rate that opens the breaker; absent where none does.",
)
CONSECUTIVE_FAILURES = Metric(
    "circuitbreaker_consecutive_failures", "gauge", "Failures in a row, up to now."
)
CONSECUTIVE_FAILURES_THRESHOLD = Metric(
    "circuitbreaker_consecutive_failures_threshold",
    "gauge",
    "Failures in a row that open the breaker (fail_max); absent where only rates do.",
)
TRANSITIONS = Metric(
    "circuitbreaker_transitions",
    "counter",
    "Changes of state; those that no breaker makes by itself only once they have happened.",
    ("name", "from_state", "to_state"),
)
PROBES = Metric(
    "circuitbreaker_probes",
    "counter",
    "Calls that were admitted half-open and have ended.",
    ("name", "outcome"),
)
OUTAGE_SECONDS = Metric(
    "circuitbreaker_outage_seconds",
    "gauge",
    "Seconds since the running outage began; absent without one.",
)
OUTAGE_PROBES_FAILED = Metric(
    "circuitbreaker_outage_probes_failed",
    "gauge",
    "Times that probing has failed in the running outage; absent without one.",
)
OUTAGE_REJECTED = Metric(
    "circuitbreaker_outage_rejected",
    "gauge",
    "Calls that were not admitted in the running outage, with a store those of all workers; "
    "absent without one.",
)
STORE_UP = Metric(
    "circuitbreaker_store_up",
    "gauge",
    "1 while the store works by which workers share their breakers, "
    "0 while one of them decides alone; absent without a store.",
    ("store",),
    "livemin",
)
NOT_EXPORTED = Metric(
    "circuitbreaker_not_exported", "gauge", "Breakers beyond the limit of those exported.", ()
)

METRICS = (
    STATE,
    CALLS,
    SLOW_CALLS,
    CALLS_UNDER_WAY,
    SLOW_CALLS_UNDER_WAY,
    REJECTED_CALLS,
    CALL_DURATION,
    FAILURE_RATE,
    FAILURE_RATE_THRESHOLD,
    SLOW_CALL_RATE,
    SLOW_CALL_RATE_THRESHOLD,
    CONSECUTIVE_FAILURES,
    CONSECUTIVE_FAILURES_THRESHOLD,
    TRANSITIONS,
    PROBES,
    OUTAGE_SECONDS,
    OUTAGE_PROBES_FAILED,
    OUTAGE_REJECTED,
    STORE_UP,
    NOT_EXPORTED,
)


# A series that begins with 1 has never risen: Prometheus would not see the first trip.
_NO_TRANSITIONS = {
    (old.value, new.value): 0
    for old, new in ((CLOSED, OPEN), (OPEN, HALF_OPEN), (HALF_OPEN, OPEN), (HALF_OPEN, CLOSED))
}
_NO_PROBES = {outcome.value: 0 for outcome in Outcome}
_STATES = tuple((state, state.value) for state in CircuitBreakerState)


Series: TypeAlias = tuple[Metric, tuple[str, ...]]
"""A metric with its labels."""


Sample: TypeAlias = tuple[Metric, tuple[str, ...], float]
"""A metric that is no histogram, its labels, and its value."""


def samples_of(row: Row) -> Iterator[Sample]:
    """Yield the samples of a name: the gauges of the worst breaker, and the calls of all."""
    yield from gauges_of(row)
    if not row.namesakes:
        yield from counters_of(row)
        return
    totals: Counter[Series] = Counter()
    for alike in row.alike:
        for metric, labels, value in counters_of(alike):
            totals[metric, labels] += int(value)
    yield from ((*series, total) for series, total in totals.items())


def gauges_of(row: Row) -> Iterator[Sample]:
    """Yield the gauges of one breaker, without unknown values and limits not set."""
    name, snapshot, config = row.name, row.snapshot, row.config
    for state, text in _STATES:
        yield STATE, (name, text), state is snapshot.state
    yield CONSECUTIVE_FAILURES, (name,), snapshot.consecutive_failures
    for metric, value in (
        (FAILURE_RATE, snapshot.failure_rate),
        (FAILURE_RATE_THRESHOLD, config.failure_rate),
        (SLOW_CALL_RATE, snapshot.slow_call_rate),
        (SLOW_CALL_RATE_THRESHOLD, config.slow_call_rate),
        (CONSECUTIVE_FAILURES_THRESHOLD, config.effective_fail_max),
    ):
        if value is not None:
            yield metric, (name,), value
    outage = row.breaker._generation.transition.outage
    if outage is not None and outage.ended is None:
        yield OUTAGE_SECONDS, (name,), outage.length(config.clock())
        yield OUTAGE_PROBES_FAILED, (name,), outage.probes_failed
        yield OUTAGE_REJECTED, (name,), outage.rejected_by(snapshot.rejected)
    measured = [alike.snapshot for alike in row.alike if alike.snapshot.calls_under_way is not None]
    if measured:
        yield CALLS_UNDER_WAY, (name,), sum(one.calls_under_way or 0 for one in measured)
        yield SLOW_CALLS_UNDER_WAY, (name,), sum(one.slow_calls_under_way or 0 for one in measured)


def counters_of(row: Row) -> Iterator[Sample]:
    """Yield the counters of one breaker."""
    name, snapshot = row.name, row.snapshot
    yield CALLS, (name, "success"), snapshot.successes
    yield CALLS, (name, "failure"), snapshot.failures
    yield CALLS, (name, "ignored"), snapshot.ignored
    yield SLOW_CALLS, (name,), snapshot.slow_calls
    yield REJECTED_CALLS, (name,), snapshot.rejected
    for (old, new), count in {**_NO_TRANSITIONS, **row.transitions}.items():
        yield TRANSITIONS, (name, old, new), count
    for outcome, count in {**_NO_PROBES, **row.probes}.items():
        yield PROBES, (name, outcome), count


def samples_beside(exported: ExportedBreakers) -> Iterator[Sample]:
    """Yield the samples of the registry as a whole, after its rows were read."""
    if store := exported.store():
        yield STORE_UP, (store.label,), store.is_up
    yield NOT_EXPORTED, (), exported.left_out


class _Line(NamedTuple):
    """The counts of the breakers of one name, former breakers included."""

    totals: dict[Series, float]
    counted: WeakKeyDictionary[CircuitBreaker, dict[Series, float]]
    """The part of each breaker that lives."""


class CumulativeCounters:
    """Counters that continue where a breaker is replaced by one of the same name.

    The latest `most` names are remembered; others begin at 0 again.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._lines: dict[str, _Line] = {}

    def of(self, row: Row) -> list[Sample]:
        """Return the samples of a name, with the counts of its former breakers."""
        line = self._lines.pop(row.name, None) or _Line({}, WeakKeyDictionary())
        for alike in row.alike:
            before = line.counted.get(alike.breaker, {})
            line.counted[alike.breaker] = counted = {
                (metric, labels): value for metric, labels, value in counters_of(alike)
            }
            for series, value in counted.items():
                new = value - before.get(series, 0)
                line.totals[series] = line.totals.get(series, 0) + new
        self._lines[row.name] = line
        while len(self._lines) > self.most:
            del self._lines[next(iter(self._lines))]
        return [*gauges_of(row), *((*series, total) for series, total in line.totals.items())]
