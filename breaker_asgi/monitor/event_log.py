"""What has happened to the breakers of a registry: changes of state, rejections, failures."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from heapq import merge
from itertools import islice
from threading import RLock
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakKeyDictionary

from breaker_asgi._core.logs import log_once
from breaker_asgi._core.profiles import Doubt, doubt_about

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from breaker_asgi._core.generation import Generation
    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.registry import BreakerRegistry

Event: TypeAlias = dict[str, Any]
"""What happened, as JSON tells it."""

Doubted: TypeAlias = tuple[str, Doubt]
"""A type of failures, and what a profile says of them."""

KEPT = 1_000
"""Changes of state, and as many rejections: the latter must not drive out the former."""

OTHERS = "others"
"""Stands for the types of failures beyond those that are counted by name."""

_MOST_TYPES = 20
_journals: WeakKeyDictionary[BreakerRegistry, Journal] = WeakKeyDictionary()
_making = RLock()


class Journal:
    """The latest events of a registry's breakers.

    A listener that hears of changes and failures only: one that heard of calls or rejections would
    make each of them dearer.
    """

    def __init__(self) -> None:
        self._lock = RLock()  # not Lock: a collected generator may settle its probe at any line
        self._changes: deque[Event] = deque(maxlen=KEPT)
        self._rejections: deque[Event] = deque(maxlen=KEPT)
        self._failures: WeakKeyDictionary[CircuitBreaker, dict[str, int]] = WeakKeyDictionary()
        self._doubts: WeakKeyDictionary[CircuitBreaker, dict[Doubted, int]] = WeakKeyDictionary()
        self._readers: tuple[Callable[[Event], object], ...] = ()
        self.last_id = 0

    @staticmethod
    def of(registry: BreakerRegistry) -> Journal:
        """The registry's own; it begins when it is first asked for."""
        with _making:
            journal = _journals.get(registry)
            if journal is None:
                journal = _journals[registry] = Journal()
                registry.add_listener(journal)
        return journal

    # What is heard

    def _changed(self, breaker: CircuitBreaker, before: Generation, after: Generation) -> None:
        """Enter a change, one that leaves the state as it was included.

        An operator may set a state once more, and another worker's probe may have failed.
        """
        made = after.transition
        change = {"from": before.state, "to": after.state, "reason": made.reason, "who": made.who}
        self._enter(self._changes, breaker, {"kind": "transition", **change})

    def failure(self, breaker: CircuitBreaker, exception: Exception | None) -> None:
        """Count a failure by the type of its exception, or by what the breaker knows of it."""
        failed_by = breaker._failed_by
        if exception is not None:
            kind = name_of(type(exception))
        else:
            kind = failed_by if isinstance(failed_by, str) else "no exception"
        counts = self._failures.setdefault(breaker, {})
        if kind not in counts and len(counts) >= _MOST_TYPES:
            kind = OTHERS
        counts[kind] = counts.get(kind, 0) + 1
        if exception is not None and breaker.config.judgement.profile is None:
            self._doubt(breaker, kind, doubt_about(exception))

    def _doubt(self, breaker: CircuitBreaker, kind: str, doubt: Doubt | None) -> None:
        """Count a failure that a profile knows to be none."""
        if doubt is None:
            return
        counts = self._doubts.setdefault(breaker, {})
        doubted = (kind, doubt)
        if doubted in counts or len(counts) < _MOST_TYPES:
            counts[doubted] = counts.get(doubted, 0) + 1

    def rejections(self, breaker: CircuitBreaker, count: int) -> None:
        """Enter how many calls were rejected in one second."""
        self._enter(self._rejections, breaker, {"kind": "rejections", "count": count})

    def _enter(self, ring: deque[Event], breaker: CircuitBreaker, what: Event) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        with self._lock:
            self.last_id += 1
            event = {"id": self.last_id, "at": at, "breaker": breaker.name, **what}
            ring.append(event)
            for reader in self._readers:
                try:
                    reader(event)
                except Exception as error:  # noqa: BLE001
                    log_once(reader, "the journal", error)

    # What is told

    def latest(self, limit: int, breaker: str | None = None) -> list[Event]:
        """The newest first, of one breaker or of all."""
        found = self._newest_first()
        return list(
            islice((each for each in found if breaker in {None, each["breaker"]}), limit),
        )

    def since(self, last_id: int) -> list[Event]:
        """What came after an event, as far as it is kept; the oldest first."""
        return [each for each in self._newest_first() if each["id"] > last_id][::-1]

    def failure_types(self, breaker: CircuitBreaker) -> dict[str, int]:
        """Failures by the type of their exception, the most frequent first."""
        counts = self._failures.get(breaker, {}).copy()
        return dict(sorted(counts.items(), key=lambda pair: -pair[1]))

    def doubts(self, breaker: CircuitBreaker) -> dict[Doubted, int]:
        """Return the failures that a profile knows to be none, by type and by what it says."""
        return self._doubts.get(breaker, {}).copy()

    def subscribe(self, reader: Callable[[Event], object]) -> None:
        """Tell `reader` of each event from now on, in their order, in whatever thread."""
        with self._lock:
            self._readers = (*self._readers, reader)

    def unsubscribe(self, reader: Callable[[Event], object]) -> None:
        """Tell `reader` no more."""
        with self._lock:
            self._readers = tuple(each for each in self._readers if each != reader)

    def _newest_first(self) -> list[Event]:
        with self._lock:
            changes, rejections = reversed([*self._changes]), reversed([*self._rejections])
        return [*merge(changes, rejections, key=lambda event: event["id"], reverse=True)]


def merged(events: Iterable[Event]) -> list[Event]:
    """The newest first, with what a breaker rejected between two of its changes as one event.

    It stands where the first of its rejections stood.
    """
    found: list[Event] = []
    under_way: dict[str, Event] = {}
    for event in sorted(events, key=lambda each: each["id"]):
        name = event["breaker"]
        if event["kind"] != "rejections":
            under_way.pop(name, None)
        elif name in under_way:
            under_way[name]["count"] += event["count"]
            continue
        else:
            under_way[name] = event = dict(event)  # noqa: PLW2901
        found.append(event)
    return found[::-1]


def name_of(thing: Any) -> str:
    """A type or function by its name, with its module where that is not the builtins."""
    name = getattr(thing, "__qualname__", type(thing).__qualname__)
    module = getattr(thing, "__module__", None)
    return name if module in {None, "builtins"} else f"{module}.{name}"
