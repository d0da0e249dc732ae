"""The stories of a registry: changes of state, those of one outage folded into one entry."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias
from weakref import WeakKeyDictionary, ref

from breaker_asgi._core.logs import log_once
from breaker_asgi._core.state import CLOSING, HALF_OPEN, OPEN
from breaker_asgi.monitor.kept_stories import KeptStories

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from threading import RLock

    from breaker_asgi._core.generation import Generation
    from breaker_asgi._core.outage import Outage
    from breaker_asgi.breaker import CircuitBreaker

Kind: TypeAlias = Literal["outage", "by_hand", "change"]
KINDS: Final[tuple[Kind, ...]] = ("outage", "by_hand", "change")

_PROBING: Final = {OPEN, HALF_OPEN}
_ID: Final = timedelta(microseconds=1)


class Change(NamedTuple):
    """A change of a breaker's state: its event, and the breaker's latest outage after it."""

    event: dict[str, Any]
    by_hand: bool = False
    outage: Outage | None = None
    is_part: bool = False
    """True if it is part of an outage that began before: the end of a ramp is, too."""

    @classmethod
    def of(
        cls, breaker: CircuitBreaker, before: Generation, after: Generation, event: dict[str, Any]
    ) -> Change:
        """Return the change from one generation to the next."""
        earlier, made = before.transition.outage, after.transition
        outage = made.outage
        return cls(
            event,
            made.by_hand,
            outage and outage.as_outage(breaker.config.clock(), breaker.rejected),
            earlier is not None and (earlier.ended is None or before.state is CLOSING),
        )

    @property
    def begins_outage(self) -> bool:
        """Return True if an outage begins by it."""
        return self.outage is not None and self.outage.ended_at is None and not self.is_part


class Story:
    """One entry of the log. Only an outage changes."""

    __slots__ = (
        "_breaker",
        "_more",
        "_outage",
        "_seen_at",
        "_total",
        "changes",
        "event",
        "id",
        "kind",
        "state",
    )

    def __init__(
        self,
        number: int,
        kind: Kind,
        breaker: CircuitBreaker,
        event: dict[str, Any],
        outage: Outage | None = None,
    ) -> None:
        self.id = number
        self.kind = kind
        self.event = event
        """The first event: `at`, `breaker`, `from`, `to`, `reason`, `who`."""
        self.changes = 0
        """Changes of state in the outage."""
        self.state: str = event["to"]
        """The breaker's state after the last of them."""
        self._outage = outage
        self._breaker = ref(breaker)
        self._seen_at = datetime.now(UTC)
        self._total = breaker.rejected
        """Calls that the breaker had rejected in all, when the outage was last read."""
        self._more = 0
        """Calls that it has rejected since."""

    @property
    def breaker(self) -> CircuitBreaker | None:
        """The breaker, while it exists."""
        return self._breaker()

    @property
    def outage(self) -> Outage | None:
        """The outage as it was last read; one that went on has ended with its breaker."""
        outage = self._outage
        if outage is None or outage.ended_at is not None or self._breaker() is not None:
            return outage
        ended_at = max(self._seen_at, outage.began_at)
        return replace(outage, ended_at=ended_at, rejected=outage.rejected + self._more)

    @property
    def goes_on(self) -> bool:
        """Return True of an outage that goes on."""
        outage = self._outage
        return outage is not None and outage.ended_at is None and self._breaker() is not None

    def watch(self, gone: Callable[[int], object]) -> None:
        """Call `gone` with the id once the breaker no longer exists, in any thread."""
        number, breaker = self.id, self._breaker()
        if breaker is not None:
            self._breaker = ref(breaker, lambda _breaker: gone(number))

    def follow(self, change: Change) -> None:
        """Fold a change into the outage."""
        self.changes += 1
        self.state = change.event["to"]
        self._keep(change.outage)

    def note_rejections(self, total: int) -> None:
        """Note the calls rejected in all: reading the outage would take much longer."""
        self._more, self._seen_at = total - self._total, datetime.now(UTC)

    def _keep(self, outage: Outage | None) -> None:
        breaker = self._breaker()
        self._outage, self._seen_at, self._more = outage, datetime.now(UTC), 0
        self._total = 0 if breaker is None else breaker.rejected

    def read(self) -> None:
        """Read the present figures of the outage: calls are rejected without a change."""
        breaker = self._breaker()
        latest = None if breaker is None else breaker._latest_outage()
        if latest is None or self._outage is None:
            return
        if (latest.ended_at is None) == (self._outage.ended_at is None):  # else a change is to come
            self._keep(latest)


class Stories:
    """The stories of a registry's breakers: the newest, and the outages that go on."""

    def __init__(self, lock: RLock) -> None:
        self._lock = lock
        self._began = datetime.now(UTC)
        self._kept = KeptStories()
        """Outages without a first event in this process have ids below zero."""
        self._latest: WeakKeyDictionary[CircuitBreaker, Story] = WeakKeyDictionary()
        """The latest outage of each breaker."""
        self._readers: tuple[Callable[[Story], object], ...] = ()

    # Recording

    def add(self, breaker: CircuitBreaker, change: Change) -> None:
        """Add a change: to its outage, or as a story of its own."""
        event = change.event
        with self._lock:
            latest = self._latest.get(breaker)
            if change.is_part or (latest is not None and latest.goes_on):
                story = latest or self._begin_earlier(breaker, change.outage)
                story.follow(change)
                self._kept.update(story)
                self._notify(story)
                if change.by_hand:
                    self._put(Story(event["id"], "by_hand", breaker, event))
            elif change.begins_outage:
                story = Story(event["id"], "outage", breaker, event)
                story.follow(change)
                self._latest[breaker] = story
                self._put(story)
            else:
                kind: Kind = "by_hand" if change.by_hand else "change"
                self._put(Story(event["id"], kind, breaker, event))

    def note_rejections(self, breaker: CircuitBreaker) -> None:
        """Note that calls were rejected: a figure of the outage that goes on."""
        with self._lock:
            latest = self._latest.get(breaker)
            if latest is not None and latest.goes_on:
                latest.note_rejections(breaker.rejected)
                self._notify(latest)

    def complete(self, breakers: Iterable[CircuitBreaker]) -> None:
        """Add the outages that began before this process, or before its log."""
        for breaker in breakers:
            if breaker not in self._latest and (outage := breaker._latest_outage()) is not None:
                with self._lock:
                    if breaker not in self._latest:
                        self._begin_earlier(breaker, outage)

    def _begin_earlier(self, breaker: CircuitBreaker, outage: Outage | None) -> Story:
        began = self._began if outage is None else outage.began_at
        number = min(-1, (began - self._began) // _ID)
        while number in self._kept:
            number -= 1
        at = began.isoformat(timespec="milliseconds")
        event = {"at": at, "breaker": breaker.name, "to": breaker.state.value}
        story = Story(number, "outage", breaker, event, outage)
        self._latest[breaker] = story
        self._kept.add(story)
        return story

    def _put(self, story: Story) -> None:
        self._kept.add(story)
        self._notify(story)

    def _notify(self, story: Story) -> None:
        for reader in self._readers:
            try:
                reader(story)
            except Exception as error:  # noqa: BLE001
                log_once(reader, "the journal", error)

    # Reading

    def newest_first(self) -> list[Story]:
        """Return all stories that are kept."""
        with self._lock:
            return self._kept.newest_first()

    def outage_of(self, story: Story) -> Outage | None:
        """Return a story's outage, with its present figures."""
        breaker = story.breaker
        if breaker is not None:
            with self._lock:
                if self._latest.get(breaker) is story:
                    story.read()
        return story.outage

    def subscribe(self, reader: Callable[[Story], object]) -> None:
        """Call `reader` with each new story and each that changes, in the recording thread.

        The figures of an outage change without a change of state once a second at most.
        """
        with self._lock:
            self._readers = (*self._readers, reader)

    def unsubscribe(self, reader: Callable[[Story], object]) -> None:
        """Stop calling `reader`."""
        with self._lock:
            self._readers = tuple(other for other in self._readers if other != reader)


def is_mark(event: dict[str, Any]) -> bool:
    """Return True if a change is to be marked on a chart of traffic: probes would fill it."""
    return event["from"] != event["to"] and not {event["from"], event["to"]} <= _PROBING
