"""The monitor's additions to what a worker publishes, for the monitors of other workers."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import ref

from breaker_asgi._fleet.published_outage import LONGEST, number
from breaker_asgi.monitor.hints import hints
from breaker_asgi.monitor.percentiles import Timed, histogram, timed_of
from breaker_asgi.monitor.rates import timed_of_last_minute

if TYPE_CHECKING:
    from collections.abc import Mapping

    from breaker_asgi._fleet.roster import Extra as PublishedExtra
    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.monitor.event_log import EventLog
    from breaker_asgi.monitor.history import History
    from breaker_asgi.registry import BreakerRegistry

_HINTS_EVERY = 30.0
"""Seconds between two looks at the hints of all breakers."""
_MOST = 600
"""Entries that are read of a list or an object of another worker."""


class Extra(NamedTuple):
    """Further figures of a breaker that a monitor publishes."""

    timed: Timed
    failure_types: dict[str, int]
    hints: list[dict[str, str]]


NOTHING = Extra([], {}, [])


class Publication:
    """An observer of the fleet: it publishes for the monitors of other workers, and records theirs.

    It does not keep the registry alive, which keeps it.
    """

    def __init__(self, registry: BreakerRegistry, event_log: EventLog, history: History) -> None:
        self._registry = ref(registry)
        self._event_log = event_log
        self._history = history
        self._hints: dict[str, list[dict[str, str]]] = {}
        self._hinted_at = -math.inf

    def extras(self, names: list[str]) -> dict[str, dict[str, Any]]:
        """Return the additions for some breakers, by name."""
        registry = self._registry()
        if registry is None:
            return {}
        breakers = {
            name: breaker for name in names if (breaker := registry.labelled(name)) is not None
        }
        self._look_for_hints(breakers)
        extras = {name: self._extra(breaker) for name, breaker in breakers.items()}
        return {name: extra for name, extra in extras.items() if extra}

    def _look_for_hints(self, breakers: Mapping[str, CircuitBreaker]) -> None:
        if time.monotonic() - self._hinted_at < _HINTS_EVERY:
            return
        self._hinted_at = time.monotonic()
        self._hints = {
            name: every_hint
            for name, breaker in breakers.items()
            if (every_hint := hints(breaker, self._event_log, self._history))
        }

    def _extra(self, breaker: CircuitBreaker) -> dict[str, Any]:
        buckets = histogram(timed_of_last_minute(self._history, breaker))
        extra = {
            "times": [[bucket, round(calls, 1)] for bucket, calls in sorted(buckets.items())],
            "failure_types": self._event_log.failure_types(breaker),
            "hints": self._hints.get(breaker.name),
        }
        return {name: value for name, value in extra.items() if value}

    def elsewhere(self, name: str, seconds: float, calls: tuple[int, int, int, int]) -> None:
        """Record calls of another worker, which were made in the last seconds."""
        until = self._history.now()
        self._history.elsewhere(name, until - max(1, round(seconds)), until, calls)


def publish(registry: BreakerRegistry, event_log: EventLog, history: History) -> None:
    """Have the registry's fleet publish what monitors in other workers need."""
    registry._observe(Publication(registry, event_log, history))


def read(extra: PublishedExtra | None) -> Extra:
    """Return the additions of another worker, as far as they are valid here."""
    if extra is None:
        return NOTHING
    if extra.parsed is None:
        extra.parsed = _read(extra.content)
    read: Extra = extra.parsed
    return read


def _read(content: Mapping[str, Any]) -> Extra:
    try:
        buckets = {_bounded(bucket): number(calls) for bucket, calls in _of(content, "times")}
        types = _of(content, "failure_types")
        counts = {str(kind)[:LONGEST]: int(number(types[kind])) for kind in types}
        every_hint = [_hint(hint) for hint in _of(content, "hints")]
    except (ValueError, TypeError, LookupError, OverflowError):
        return NOTHING
    failure_types = {kind: count for kind, count in counts.items() if count}
    return Extra(timed_of(buckets), failure_types, every_hint)


def _of(content: Mapping[str, Any], member: str) -> Any:
    value = content.get(member, ())
    if len(value) > _MOST:
        raise ValueError(member)
    return value


def _bounded(bucket: Any) -> int:
    return min(max(0, int(bucket)), _MOST)


def _hint(hint: Any) -> dict[str, str]:
    return {part: str(hint[part])[:LONGEST] for part in ("setting", "hint", "remedy")}
