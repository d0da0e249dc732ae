"""The broadcaster: feeds the streams of a registry, and makes each text once for all of them."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from threading import RLock
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

from breaker_asgi.monitor.audience import Audience, RowTexts, View, dumps
from breaker_asgi.monitor.compression import Piece
from breaker_asgi.monitor.event_log import KEPT, Event, EventLog
from breaker_asgi.monitor.history import History
from breaker_asgi.monitor.jobs import Jobs
from breaker_asgi.monitor.listing import Json, Listing
from breaker_asgi.monitor.log_listing import LogListing, mark
from breaker_asgi.monitor.moments import now
from breaker_asgi.monitor.rows import FIELDS
from breaker_asgi.monitor.scope import Elsewhere
from breaker_asgi.monitor.server_shutdown import begin_to_listen, server_is_ending, stop_listening
from breaker_asgi.monitor.stories import is_mark
from breaker_asgi.monitor.table import LATE, Table
from breaker_asgi.monitor.traffic import as_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.monitor.stories import Story
    from breaker_asgi.monitor.stream import EventStream
    from breaker_asgi.registry import BreakerRegistry

MOST_AUDIENCES = 100

_LOOK_EVERY = 0.25
_SLICE = 10
"""Breakers that are read before a change of state may go first."""
_BEAT_AFTER = 2.0
_MOST_STORIES = 20
"""Stories sent again in one text, as more calls were rejected: rows have these figures too."""
_RETRY = "retry: 2000\n\n"
_broadcasters: WeakKeyDictionary[BreakerRegistry, dict[asyncio.AbstractEventLoop, Broadcaster]] = (
    WeakKeyDictionary()
)
"""The broadcasters with streams; the value keeps its registry alive."""
_making = RLock()


class Broadcaster:
    """Sends events to the streams on one event loop: changes at once, figures once a second.

    Without streams it has no timer and no subscription. Its work is a row of jobs, done in steps so
    that requests are not held up. No job begins before the one before it has ended, so that each
    text goes on where the last one has ended.
    """

    def __init__(self, registry: BreakerRegistry, clock: Callable[[], float] | None = None) -> None:
        self._registry = registry
        self._event_log = EventLog.of(registry)
        self._history = History.of(registry)
        self._listing = Listing(registry, self._event_log, self._history)
        self._log = LogListing(registry, self._event_log, self._history)
        self._loop = asyncio.get_running_loop()
        self._process = os.getpid()
        self.clock = clock or self._loop.time
        self._table = Table(self._listing, self._history)
        self._audiences: dict[View, Audience] = {}
        self._streams: set[EventStream] = set()
        self._jobs = Jobs(self._loop)
        self._sent: Json = {}
        """The summary, the store and the latest seconds of all traffic, as last sent."""
        self._events: list[Event] = []
        """Changes of state to be sent with the next text."""
        self._new_events: deque[Event] = deque(maxlen=KEPT)
        self._new_stories: deque[Story] = deque(maxlen=KEPT)
        """Changes of state and their stories, appended by any thread."""
        self._is_scheduled = False
        self._stories: dict[int, Story] = {}
        """Stories to be sent, by their ids."""
        self._ticks = 0
        self._is_reading = False
        self._timer: asyncio.TimerHandle | None = None

    @staticmethod
    def of(registry: BreakerRegistry) -> Broadcaster:
        """Return the registry's broadcaster on the running event loop."""
        with _making:
            broadcasters = _broadcasters.get(registry, {})
            return broadcasters.get(asyncio.get_running_loop()) or Broadcaster(registry)

    def is_full(self, view: View) -> bool:
        """Return True if there is no room for the audience of one more filter."""
        return view not in self._audiences and len(self._audiences) >= MOST_AUDIENCES

    def join(self, stream: EventStream) -> None:
        """Add a stream; it gets a snapshot, and then what changes."""
        if not self._streams:
            self._begin()
        self._streams.add(stream)
        audience = self._audiences.get(stream.view)
        if audience is None:
            audience = self._audiences[stream.view] = Audience(stream.view)
        audience.members.add(stream)
        audience.waiting.append(stream)
        if len(audience.waiting) == 1:
            self._jobs.add(self._start(audience))

    def leave(self, stream: EventStream) -> None:
        """Remove a stream; stop with the last one."""
        self._streams.discard(stream)
        audience = self._audiences[stream.view]
        audience.members.discard(stream)
        audience.streams.discard(stream)
        if not audience.members:
            del self._audiences[stream.view]
        if not self._streams and self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._jobs.clear()
            self._detach()
            stop_listening()

    def _detach(self) -> None:
        self._event_log.unsubscribe(self._on_event)
        self._event_log.stories.unsubscribe(self._on_story)
        with _making:
            broadcasters = _broadcasters.get(self._registry, {})
            if broadcasters.get(self._loop) is self:
                del broadcasters[self._loop]
            if not broadcasters:
                _broadcasters.pop(self._registry, None)

    @property
    def _is_lost(self) -> bool:
        """True if its loop was closed under its streams, or runs in the process before a fork."""
        return self._loop.is_closed() or self._process != os.getpid()

    def _begin(self) -> None:
        with _making:
            broadcasters = _broadcasters.setdefault(self._registry, {})
            lost = [peer for peer in broadcasters.values() if peer._is_lost]
            broadcasters[self._loop] = self
        for peer in lost:
            peer._detach()
        begin_to_listen()
        self._event_log.subscribe(self._on_event)
        self._event_log.stories.subscribe(self._on_story)
        self._ticks = self._history.ticks
        self._table.clear()
        self._new_events.clear()
        self._new_stories.clear()
        self._is_scheduled = False
        self._read_all()
        self._timer = self._loop.call_later(_LOOK_EVERY, self._go_on)

    def _start(self, audience: Audience) -> Iterator[None]:
        """Send the first text to the streams of an audience that wait for it."""
        yield from self._flush()
        start, packed = audience.start, any(stream.is_packed for stream in audience.waiting)
        if start is None or (packed and start.packed is None):
            last_id = self._event_log.last_id
            head = _RETRY + _begin("snapshot", self._snapshot(audience.view), last_id)
            start = yield from audience.snapshot(self._table, head, packed=packed)
        audience.begin(start)

    def _snapshot(self, view: View) -> Json:
        """Return the members of a snapshot other than rows and seconds."""
        content = self._listing.head(details=view.details, controls=view.controls)
        content["fields"] = FIELDS
        traffic = self._log.traffic(None)
        content["traffic"] = {name: traffic[name] for name in ("seconds", "bars", "marks")}
        content["stories"] = self._log.latest(details=view.details)
        return content

    # Events

    def _on_event(self, event: Event) -> None:
        """Take an event, in the thread that records it; its story follows."""
        if event["kind"] == "transition":
            self._new_events.append(event)

    def _on_story(self, story: Story) -> None:
        """Schedule a change's broadcast, from any thread; the log of stories calls it in order."""
        if self._is_lost:
            self._detach()
            return
        self._new_stories.append(story)
        if self._new_events and not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon_threadsafe(self._jobs.add_first, self._send_events())

    def _send_events(self) -> Iterator[None]:
        """Send all new events as one text: one text per event would drop every reader."""
        self._is_scheduled = False
        while self._new_events:
            self._events.append(self._new_events.popleft())
        for name in {event["breaker"] for event in self._events}:
            yield from self._read([*map(ref, self._registry.all_named(name))])
        yield from self._flush()

    # Figures

    def _go_on(self) -> None:
        self._timer = self._loop.call_later(_LOOK_EVERY, self._go_on)
        self.look()

    def look(self) -> None:
        """Read the figures, if a second has passed; drop readers, or end with the server."""
        if server_is_ending():
            for stream in [*self._streams]:
                stream.end()
            return
        if self._ticks != self._history.ticks and not self._is_reading:
            self._ticks = self._history.ticks
            self._read_all()
        time = self.clock()
        for stream in [*self._streams]:
            stream.look(time)
        for audience in self._audiences.values():
            if audience.streams and time - audience.sent_at >= _BEAT_AFTER:
                audience.push(Piece(_text("beat", {"now": now()}).encode()), time)

    def _read_all(self) -> None:
        """Read all breakers, in jobs of a slice each: a change of state goes between them."""
        scope = self._table.scope = self._listing.scope()
        breakers = scope.breakers().values()
        every = [
            breaker if isinstance(breaker, Elsewhere) else ref(breaker) for breaker in breakers
        ]
        self._is_reading = True
        slices = [every[at : at + _SLICE] for at in range(0, len(every), _SLICE)]
        self._jobs.add(*map(self._read, slices), self._end_reading())

    def _read(self, breakers: list[ref[CircuitBreaker] | Elsewhere]) -> Iterator[None]:
        for breaker in breakers:
            self._read_living(breaker)
            yield

    def _read_living(self, reference: ref[CircuitBreaker] | Elsewhere) -> None:
        breaker = reference if isinstance(reference, Elsewhere) else reference()
        if breaker is not None:
            self._table.read(breaker)

    def _end_reading(self) -> Iterator[None]:
        self._is_reading = False
        self._table.keep(self._table.scope.breakers().values())
        yield from self._flush()

    def _flush(self) -> Iterator[None]:
        """Send what has changed to each audience."""
        changes, (events, self._events) = self._table.take(), (self._events, [])
        stories = self._take_stories({event["breaker"] for event in events})
        news = self._news(events)
        if not (changes or stories or news):
            return
        texts = RowTexts(self._table, changes)
        for audience in [*self._audiences.values()]:
            details = audience.view.details
            content = {"now": now(), "summary": self._sent["summary"], **news}
            if "store" in content:
                content["store"] = self._listing.store(details=details)
            end = self._stories_text(stories, details=details)
            piece = yield from audience.figures(texts, _begin("figures", content), end)
            audience.push(piece, self.clock())

    def _stories_text(self, stories: list[Story], *, details: bool) -> Iterator[str]:
        """Yield the text of stories, some at a time."""
        begin = _text("stories", [], self._event_log.last_id).removesuffix("]\n\n")
        for at in range(0, len(stories), _MOST_STORIES):
            part = [
                dumps(self._log.story(story, details=details))
                for story in stories[at : at + _MOST_STORIES]
            ]
            yield begin + ",".join(part)
            begin = ","
        if stories:
            yield "]\n\n"

    def _take_stories(self, changed: set[str]) -> list[Story]:
        """Return the stories to send: all of the changed breakers, and some with new figures."""
        while self._new_stories:
            story = self._new_stories.popleft()
            self._stories[story.id] = story
        urgent: list[Story] = []
        others: list[Story] = []
        for story in self._stories.values():
            (urgent if story.event["breaker"] in changed else others).append(story)
        taken = [*urgent, *others[:_MOST_STORIES]]
        for story in taken:
            del self._stories[story.id]
        return taken

    def _news(self, events: list[Event]) -> Json:
        """Return what is new but for rows; the summary is sent each time."""
        sent = self._sent
        store = self._listing.store(details=True)
        seconds = as_rows(self._history.all_seconds(fleet=True)[-LATE:])
        self._sent = {
            "summary": self._listing.summary(self._table.scope),
            "store": store,
            "seconds": seconds,
        }
        news: Json = {}
        if self._sent["summary"] != sent.get("summary"):
            news["summary"] = self._sent["summary"]
        if store != sent.get("store"):
            news["store"] = store
        if traffic := [second for second in seconds if second not in sent.get("seconds", ())]:
            news["traffic"] = traffic
        if marks := [mark(event) for event in events if is_mark(event)]:
            news["marks"] = marks
        return news


def _begin(kind: str, content: Json, last_id: int | None = None) -> str:
    """Return the text of an event up to the bracket at the end of its object."""
    return _text(kind, content, last_id).removesuffix("}\n\n")


def _text(kind: str, content: Any, last_id: int | None = None) -> str:
    number = "" if last_id is None else f"id: {last_id}\n"
    return f"event: {kind}\n{number}data: {dumps(content)}\n\n"
