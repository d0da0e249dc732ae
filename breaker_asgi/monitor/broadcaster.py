"""The broadcaster: feeds the streams of a registry, and makes each text once for all of them."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from threading import RLock
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, ref

from breaker_asgi.monitor.audience import Audience, RowTexts, View
from breaker_asgi.monitor.board import Board
from breaker_asgi.monitor.compression import Piece
from breaker_asgi.monitor.event_log import KEPT, Event, EventLog
from breaker_asgi.monitor.event_text import event_begin, event_text
from breaker_asgi.monitor.history import History
from breaker_asgi.monitor.jobs import Jobs
from breaker_asgi.monitor.listing import Json, Listing
from breaker_asgi.monitor.log_listing import LogListing
from breaker_asgi.monitor.moments import now
from breaker_asgi.monitor.rows import FIELDS
from breaker_asgi.monitor.server_shutdown import begin_to_listen, server_is_ending, stop_listening
from breaker_asgi.monitor.story_queue import StoryQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from breaker_asgi.monitor.story import Story
    from breaker_asgi.monitor.stream import EventStream
    from breaker_asgi.registry import BreakerRegistry

MOST_AUDIENCES = 100

_LOOK_EVERY = 0.25
_SLICE = 50
"""Breakers that are read before a change of state may go first."""
_BEAT_AFTER = 2.0
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
        self._boards: dict[tuple[str | None, bool], Board] = {}
        self._audiences: dict[View, Audience] = {}
        self._streams: set[EventStream] = set()
        self._jobs = Jobs(self._loop)
        self._new_events: deque[Event] = deque(maxlen=KEPT)
        """Changes of state, appended by any thread."""
        self._events: list[Event] = []
        """Changes of state to be sent with the next text."""
        self._stories = StoryQueue(self._log)
        self._is_scheduled = False
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
        audience = self._audience_of(stream.view)
        audience.members.add(stream)
        audience.waiting.append(stream)
        if len(audience.waiting) == 1:
            self._jobs.add(self._start(audience))

    def _audience_of(self, view: View) -> Audience:
        if view not in self._audiences:
            self._audiences[view] = Audience(view)
        if view.board not in self._boards:
            board = Board(self._listing, self._history, view.worker, details=view.board[1])
            self._boards[view.board] = board
            self._read_all(board)
        return self._audiences[view]

    def leave(self, stream: EventStream) -> None:
        """Remove a stream; stop with the last one."""
        self._streams.discard(stream)
        audience = self._audiences[stream.view]
        audience.members.discard(stream)
        audience.streams.discard(stream)
        if not audience.members:
            del self._audiences[stream.view]
        if not any(view.board == stream.view.board for view in self._audiences):
            self._boards.pop(stream.view.board, None)
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
        self._events = []
        self._new_events.clear()
        self._stories.clear()
        self._is_scheduled = self._is_reading = False
        self._timer = self._loop.call_later(_LOOK_EVERY, self._go_on)

    def _start(self, audience: Audience) -> Iterator[None]:
        """Send the first text to the streams of an audience that wait for it."""
        yield from self._flush()
        start, packed = audience.start, any(stream.is_packed for stream in audience.waiting)
        board = self._boards.get(audience.view.board)
        if board is not None and (start is None or (packed and start.packed is None)):
            content = self._snapshot(audience.view, board)
            head = _RETRY + event_begin("snapshot", content, self._event_log.last_id)
            start = yield from audience.snapshot(board.table, head, packed=packed)
        if start is not None:
            audience.begin(start)

    def _snapshot(self, view: View, board: Board) -> Json:
        """Return the members of a snapshot other than rows and seconds."""
        content = self._listing.head(
            board.table.scope, details=view.details, controls=view.controls
        )
        content["fields"] = FIELDS
        content["traffic"] = board.traffic(self._log)
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
        self._stories.add(story)
        if self._new_events and not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon_threadsafe(self._jobs.add_first, self._send_events())

    def _send_events(self) -> Iterator[None]:
        """Send all new events as one text: one text per event would drop every reader."""
        self._is_scheduled = False
        while self._new_events:
            self._events.append(self._new_events.popleft())
        for name in {event["breaker"] for event in self._events}:
            for board in [*self._boards.values()]:
                yield from board.read([*map(ref, self._registry.all_named(name))])
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
            self._is_reading = True
            for board in self._boards.values():
                self._read_all(board)
            self._jobs.add(self._end_reading())
        time = self.clock()
        for stream in [*self._streams]:
            stream.look(time)
        for audience in self._audiences.values():
            if audience.streams and time - audience.sent_at >= _BEAT_AFTER:
                audience.push(Piece(event_text("beat", {"now": now()}).encode()), time)

    def _read_all(self, board: Board) -> None:
        """Read all breakers, in jobs of a slice each: a change of state goes between them."""
        every = board.look()
        slices = [every[at : at + _SLICE] for at in range(0, len(every), _SLICE)]
        self._jobs.add(*map(board.read, slices))

    def _end_reading(self) -> Iterator[None]:
        self._is_reading = False
        for board in [*self._boards.values()]:
            board.end_look()
            yield
        yield from self._flush()

    def _flush(self) -> Iterator[None]:
        """Send what has changed to each audience."""
        events, self._events = self._events, []
        stories = self._stories.take({event["breaker"] for event in events})
        for key, board in [*self._boards.items()]:
            changes, news = board.table.take(), board.news(events)
            yield
            if not (changes or stories or news):
                continue
            texts = RowTexts(board.table, changes)
            for view, audience in [*self._audiences.items()]:
                if view.board == key:
                    head = event_begin("figures", self._figures(view, board, news))
                    end = self._stories.text(stories, self._event_log.last_id, details=view.details)
                    piece = yield from audience.figures(texts, head, end)
                    audience.push(piece, self.clock())

    def _figures(self, view: View, board: Board, news: Json) -> Json:
        """Return the members of figures other than rows and seconds."""
        content = {"now": now(), "summary": board.summary, **news}
        if "store" in content:
            content["store"] = self._listing.store(details=view.details)
        return content
