"""The event log of a registry: transitions, rejections, stories, and failures by type."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from heapq import merge
from operator import itemgetter
from threading import RLock
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakKeyDictionary

from breaker_asgi._core.logs import log_once
from breaker_asgi._core.profiles import Doubt, doubt_about
from breaker_asgi.monitor.stories import Stories
from breaker_asgi.monitor.story import Change, is_mark

if TYPE_CHECKING:
    from collections.abc import Callable

    from breaker_asgi._core.generation import Generation
    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.registry import BreakerRegistry

Event: TypeAlias = dict[str, Any]
"""An event as JSON."""

Doubted: TypeAlias = tuple[str, Doubt]
"""A type of failures, and a profile's doubt about it."""

EVENT_KINDS = ("transition", "rejections")
KEPT = 1_000
"""Transitions kept, and as many rejections: in rings of their own, so that none displaces the
others."""

OTHERS = "others"
"""The type of failures beyond the `_MOST_TYPES` counted by name."""

_MOST_TYPES = 20
_event_logs: WeakKeyDictionary[BreakerRegistry, EventLog] = WeakKeyDictionary()
_making = RLock()


class EventLog:
    """The latest events of a registry's breakers.

    A listener for transitions and failures only: listening to calls or rejections would make each
    of them slower.
    """

    def __init__(self) -> None:
        self._lock = RLock()  # not Lock: a collected generator may settle its probe at any line
        self._changes: deque[Event] = deque(maxlen=KEPT)
        self._rejections: deque[Event] = deque(maxlen=KEPT)
        self._failures: WeakKeyDictionary[CircuitBreaker, dict[str, int]] = WeakKeyDictionary()
        self._doubts: WeakKeyDictionary[CircuitBreaker, dict[Doubted, int]] = WeakKeyDictionary()
        self._marks: deque[Event] = deque(maxlen=KEPT)
        self._readers: tuple[Callable[[Event], object], ...] = ()
        self.stories = Stories(self._lock)
        self.last_id = 0

    @staticmethod
    def of(registry: BreakerRegistry) -> EventLog:
        """Return the registry's event log; the first call creates it."""
        with _making:
            event_log = _event_logs.get(registry)
            if event_log is None:
                event_log = _event_logs[registry] = EventLog()
                registry.add_listener(event_log)
        return event_log

    # Recording

    def _changed(self, breaker: CircuitBreaker, before: Generation, after: Generation) -> None:
        """Record a transition, also one into the same state.

        An operator may set a state again, and another worker's probe may have failed.
        """
        made = after.transition
        content = {"from": before.state, "to": after.state, "reason": made.reason, "who": made.who}
        with self._lock:
            event = self._record(self._changes, breaker, {"kind": "transition", **content})
            self.stories.add(breaker, Change.of(breaker, before, after, event))
            if is_mark(event):
                self._marks.append(event)

    def failure(self, breaker: CircuitBreaker, exception: Exception | None) -> None:
        """Count a failure by the type of its exception, else by the breaker's reason."""
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
        """Count a failure that a profile would not count as one."""
        if doubt is None:
            return
        counts = self._doubts.setdefault(breaker, {})
        doubted = (kind, doubt)
        if doubted in counts or len(counts) < _MOST_TYPES:
            counts[doubted] = counts.get(doubted, 0) + 1

    def rejections(self, breaker: CircuitBreaker, count: int) -> None:
        """Record the number of calls rejected in one second."""
        self._record(self._rejections, breaker, {"kind": "rejections", "count": count})
        self.stories.note_rejections(breaker)

    def _record(self, ring: deque[Event], breaker: CircuitBreaker, content: Event) -> Event:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        with self._lock:
            self.last_id += 1
            event = {"id": self.last_id, "at": at, "breaker": breaker.name, **content}
            ring.append(event)
            for reader in self._readers:
                try:
                    reader(event)
                except Exception as error:  # noqa: BLE001
                    log_once(reader, "the journal", error)
        return event

    # Reading

    def newest_first(self) -> list[Event]:
        """Return the kept events."""
        with self._lock:
            changes, rejections = reversed([*self._changes]), reversed([*self._rejections])
        return [*merge(changes, rejections, key=itemgetter("id"), reverse=True)]

    def changes_of(self, breaker: str) -> list[Event]:
        """Return the kept transitions of the breakers of a name, the newest first."""
        with self._lock:
            changes = [*self._changes]
        return [event for event in reversed(changes) if event["breaker"] == breaker]

    def marks(self, since: datetime) -> list[Event]:
        """Return the latest changes of state, the oldest first, without those of probes."""
        first = since.isoformat(timespec="milliseconds")
        with self._lock:
            return [event for event in self._marks if event["at"] >= first]

    def since(self, last_id: int) -> list[Event]:
        """Return the kept events after an id, the oldest first."""
        return [event for event in self.newest_first() if event["id"] > last_id][::-1]

    def failure_types(self, breaker: CircuitBreaker) -> dict[str, int]:
        """Return the failures by the type of their exception, the most frequent first."""
        counts = self._failures.get(breaker, {}).copy()
        return dict(sorted(counts.items(), key=lambda pair: -pair[1]))

    def doubts(self, breaker: CircuitBreaker) -> dict[Doubted, int]:
        """Return the failures that a profile would not count as such, by type and doubt."""
        return self._doubts.get(breaker, {}).copy()

    def subscribe(self, reader: Callable[[Event], object]) -> None:
        """Call `reader` with each further event, in order, in the recording thread."""
        with self._lock:
            self._readers = (*self._readers, reader)

    def unsubscribe(self, reader: Callable[[Event], object]) -> None:
        """Stop calling `reader`."""
        with self._lock:
            self._readers = tuple(other for other in self._readers if other != reader)


def name_of(thing: Any) -> str:
    """Return the name of a type or function, with its module unless that is the builtins."""
    name = getattr(thing, "__qualname__", type(thing).__qualname__)
    module = getattr(thing, "__module__", None)
    return name if module in {None, "builtins"} else f"{module}.{name}"
