"""The broadcaster: feeds the streams of a registry, and makes each text once for all of them."""

from __future__ import annotations

import asyncio
import json
import os
from collections import deque
from threading import RLock
from typing import TYPE_CHECKING, NamedTuple, cast
from weakref import WeakKeyDictionary

from breaker_asgi._core.snapshot import count_under_way
from breaker_asgi._core.windows import TimeWindow
from breaker_asgi.monitor.event_log import KEPT, Event, EventLog
from breaker_asgi.monitor.history import History
from breaker_asgi.monitor.listing import Json, Listing, mask, now, steady, summary, without_details
from breaker_asgi.monitor.log_listing import LogListing
from breaker_asgi.monitor.server_shutdown import begin_to_listen, server_is_ending, stop_listening
from breaker_asgi.monitor.traffic import SECONDS, as_rows
from breaker_asgi.monitor.workers import is_alone

if TYPE_CHECKING:
    from collections.abc import Callable

    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.monitor.stream import EventStream
    from breaker_asgi.registry import BreakerRegistry

MOST_STREAMS = 1_000

_LOOK_EVERY = 0.25
_SLICE = 100
"""Breakers compared in one callback of the loop: about a millisecond."""
_RETRY = b"retry: 2000\n\n"
_broadcasters: WeakKeyDictionary[BreakerRegistry, dict[asyncio.AbstractEventLoop, Broadcaster]] = (
    WeakKeyDictionary()
)
"""The broadcasters with streams; the value keeps its registry alive."""
_making = RLock()


class _Broadcast(NamedTuple):
    """The last broadcast of a breaker."""

    totals: tuple[float | None, ...]
    until: int
    """The tick after which time alone changes no figure any more."""
    content: Json | None


class Broadcaster:
    """Sends events to the streams on one event loop: changes at once, figures once a second.

    Without streams it has no timer and no subscription.
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
        self._streams: set[EventStream] = set()
        self._last: dict[str, _Broadcast] = {}
        self._store: Json | None = None
        """The store as last broadcast."""
        self._starts: dict[tuple[bool, bool], bytes] = {}
        """The first text of a new stream by its rights, cached until the next change."""
        self._pending: deque[Event] = deque(maxlen=KEPT)
        """Events to broadcast."""
        self._ticks = 0
        self._timer: asyncio.TimerHandle | None = None

    @staticmethod
    def of(registry: BreakerRegistry) -> Broadcaster:
        """Return the registry's broadcaster on the running event loop."""
        with _making:
            broadcasters = _broadcasters.get(registry, {})
            return broadcasters.get(asyncio.get_running_loop()) or Broadcaster(registry)

    @property
    def is_full(self) -> bool:
        """True if there is no room for one more stream."""
        return len(self._streams) >= MOST_STREAMS

    def join(self, stream: EventStream) -> None:
        """Add a stream."""
        if not self._streams:
            self._begin()
        self._streams.add(stream)

    def leave(self, stream: EventStream) -> None:
        """Remove a stream; stop with the last one."""
        self._streams.discard(stream)
        if not self._streams and self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._detach()
            stop_listening()

    def _detach(self) -> None:
        self._event_log.unsubscribe(self._on_event)
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
        self._ticks = self._history.ticks
        self._last = {
            self._registry.label_of(breaker): self._initial(breaker) for breaker in self._registry
        }
        self._store = self._listing.store(details=True)
        self._starts.clear()
        self._timer = self._loop.call_later(_LOOK_EVERY, self._go_on)

    def start_of(self, stream: EventStream, last_id: int | None) -> bytes:
        """Return the first text of a stream: a snapshot, and the events its reader has missed."""
        rights = (stream.details, stream.controls)
        start = self._starts.get(rights)
        if start is None:
            start = self._snapshot(details=stream.details, controls=stream.controls)
            self._starts[rights] = start
        if last_id is None or last_id > self._event_log.last_id:
            return start
        missed = self._event_log.since(last_id)
        return start + b"".join(_change(event, details=stream.details) for event in missed)

    def _snapshot(self, *, details: bool, controls: bool) -> bytes:
        last_id = self._event_log.last_id
        content = self._listing.page(None, details=details, controls=controls, history=True)
        content["stories"] = self._log.latest(details=details)
        return _RETRY + _text("snapshot", content, last_id)

    # Events

    def _on_event(self, event: Event) -> None:
        """Schedule an event's broadcast, from any thread; the event log calls it in order."""
        if self._is_lost:
            self._detach()
            return
        self._pending.append(event)
        if len(self._pending) == 1:
            self._loop.call_soon_threadsafe(self._broadcast_events)

    def _broadcast_events(self) -> None:
        """Send all pending events as one text: one text per event would drop every reader."""
        events = []
        while self._pending:  # also an event added right now: it schedules no broadcast of its own
            events.append(self._pending.popleft())
        self._starts.clear()
        for name in {event["breaker"] for event in events}:
            self._invalidate_namesakes(name)
        self._push(lambda details: b"".join(_change(event, details=details) for event in events))

    def _invalidate_namesakes(self, name: str) -> None:
        """Broadcast all breakers of a shared name at the next look: an event names only that."""
        namesakes = self._registry.all_named(name)
        if len(namesakes) > 1:
            for breaker in namesakes:
                self._last.pop(self._registry.label_of(breaker), None)

    def _push(self, text_of: Callable[[bool], bytes]) -> None:
        """Push to each stream the text for its rights."""
        texts = {details: text_of(details) for details in self._audiences()}
        for stream in self._streams:
            stream.push(texts[stream.details])

    def _audiences(self) -> set[bool]:
        return {stream.details for stream in self._streams}

    def _go_on(self) -> None:
        self._timer = self._loop.call_later(_LOOK_EVERY, self._go_on)
        self.look()

    def look(self) -> None:
        """Broadcast the changes of the last second, if a second has passed."""
        if server_is_ending():
            for stream in self._streams:
                stream.end()
            return
        if self._ticks != self._history.ticks:
            self._ticks = self._history.ticks
            self._starts.clear()
            self._compare(list(self._registry), 0, {})
        time = self.clock()
        for stream in self._streams:
            stream.look(time)

    def _compare(
        self, every: list[CircuitBreaker], begin: int, changed: dict[bool, list[str]]
    ) -> None:
        """Collect changed breakers, a slice per callback, so that requests are not held up.

        `changed` holds their texts, with and without details.
        """
        end = begin + _SLICE
        contents = self._changes(every[begin:end])
        for details in self._audiences():
            allowed = contents if details else map(without_details, contents)
            changed.setdefault(details, []).extend(map(json.dumps, allowed))
        if end < len(every):
            self._loop.call_soon(self._compare, every, end, changed)
        else:
            self._push_figures(every, changed)

    def _push_figures(self, every: list[CircuitBreaker], changed: dict[bool, list[str]]) -> None:
        names = {self._registry.label_of(breaker) for breaker in every}
        gone = [name for name in self._last if name not in names]
        for name in gone:
            del self._last[name]
        before, self._store = self._store, self._listing.store(details=True)
        if not gone and not any(changed.values()) and before == self._store:
            return
        content = json.dumps({"now": now(), "summary": summary(every), "gone": gone})
        stores = {
            details: json.dumps(self._listing.store(details=details)) for details in (False, True)
        }

        def text_of(details: bool) -> bytes:  # noqa: FBT001
            breakers = ", ".join(changed.get(details, ()))
            more = f'"store": {stores[details]}, "breakers": [{breakers}]'
            return f"event: breakers\ndata: {content[:-1]}, {more}}}\n\n".encode()

        self._push(text_of)

    def _changes(self, breakers: list[CircuitBreaker]) -> list[Json]:
        """Return the JSON of breakers that differ from their last broadcast."""
        changed = []
        for breaker in breakers:
            name = self._registry.label_of(breaker)
            last = self._last.get(name)
            if last is not None and last.totals == _totals(breaker) and last.until < self._ticks:
                continue
            content = self._listing.breaker(breaker, details=True)
            if last is None or last.totals != _totals(breaker) or _differ(last.content, content):
                newest = as_rows(self._history.seconds(breaker)[-1:])
                changed.append({**content, "second": newest[0] if newest else None})
            self._last[name] = self._broadcast_of(breaker, content, last)
        return changed

    def _broadcast_of(
        self, breaker: CircuitBreaker, content: Json | None, before: _Broadcast | None = None
    ) -> _Broadcast:
        totals = _totals(breaker)
        if before is not None and before.totals == totals:
            return before._replace(content=content)
        window = breaker.config.window
        longest = cast("int", window.seconds) if isinstance(window, TimeWindow) else 0
        return _Broadcast(totals, self._ticks + max(SECONDS, longest) + 1, content)

    def _initial(self, breaker: CircuitBreaker) -> _Broadcast:
        """Return the state before the first look; an idle breaker needs no comparison."""
        initial = self._broadcast_of(breaker, None)
        record = breaker._generation.record
        fades = isinstance(breaker.config.window, TimeWindow) and record and record.calls
        return initial if fades or self._history.seconds(breaker) else initial._replace(until=-1)


def _totals(breaker: CircuitBreaker) -> tuple[float | None, ...]:
    """Return values of which one changes with each event of a breaker.

    Time changes two: calls under way become slow, and a closing breaker admits more.
    """
    moment = breaker.config.clock()
    return (
        id(breaker),
        breaker._generation.number,
        breaker.successes,
        breaker.failures,
        breaker.ignored,
        breaker.rejected,
        breaker.slow_calls,
        is_alone(breaker),
        *count_under_way(breaker, moment),
        breaker._generation.admitted_share(moment),
    )


def _differ(before: Json | None, content: Json) -> bool:
    """Return True if time alone has changed a breaker's figures."""
    return before is None or steady(before) != steady(content)


def _change(event: Event, *, details: bool) -> bytes:
    return _text("change", mask(event, details=details), event["id"])


def _text(kind: str, content: Json, last_id: int | None = None) -> bytes:
    number = "" if last_id is None else f"id: {last_id}\n"
    return f"event: {kind}\n{number}data: {json.dumps(content)}\n\n".encode()
