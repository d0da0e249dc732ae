"""The stories of a registry: changes of state, those of one outage folded into one entry."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from breaker_asgi._core.logs import log_once
from breaker_asgi.monitor.kept_stories import KeptStories
from breaker_asgi.monitor.story import Story

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from threading import RLock

    from breaker_asgi._core.outage import Outage
    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.monitor.story import Change, Kind

_ID: Final = timedelta(microseconds=1)


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
