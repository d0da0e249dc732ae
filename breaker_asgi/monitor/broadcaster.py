"""Feeds the streams of one registry: each text is made once for all of them."""

from __future__ import annotations

import asyncio
import json
import os
from collections import deque
from threading import RLock
from typing import TYPE_CHECKING, NamedTuple, cast
from weakref import WeakKeyDictionary

from breaker_asgi._core.windows import TimeWindow
from breaker_asgi.monitor.event_log import KEPT, Event, Journal
from breaker_asgi.monitor.history import SECONDS, History, shown
from breaker_asgi.monitor.listing import Json, Listing, now, steady, summary, told, without_details
from breaker_asgi.monitor.server_shutdown import begin_to_listen, server_is_ending, stop_listening
from breaker_asgi.monitor.workers import is_alone

if TYPE_CHECKING:
    from collections.abc import Callable

    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.monitor.stream import EventStream
    from breaker_asgi.registry import BreakerRegistry

MOST_STREAMS = 1_000

_LOOK_EVERY = 0.25
_SLICE = 100
"""Breakers that are looked at in one go: about a millisecond."""
_RETRY = b"retry: 2000\n\n"
_hubs: WeakKeyDictionary[BreakerRegistry, dict[asyncio.AbstractEventLoop, Hub]] = (
    WeakKeyDictionary()
)
"""Those that have streams: a hub keeps its registry alive."""
_making = RLock()


class _Seen(NamedTuple):
    """What was last told of a breaker."""

    totals: tuple[int, ...]
    until: int
    """The tick after which nothing changes any more by time alone."""
    told: Json | None


class Hub:
    """Tells the streams on one event loop what happens: changes at once, figures once a second.

    While it has no streams it does nothing.
    """

    def __init__(self, registry: BreakerRegistry, clock: Callable[[], float] | None = None) -> None:
        self._registry = registry
        self._journal = Journal.of(registry)
        self._history = History.of(registry)
        self._listing = Listing(registry, self._journal, self._history)
        self._loop = asyncio.get_running_loop()
        self._process = os.getpid()
        self.clock = clock or self._loop.time
        self._streams: set[EventStream] = set()
        self._seen: dict[str, _Seen] = {}
        self._store: Json | None = None
        """What was last told of the store."""
        self._starts: dict[tuple[bool, bool], bytes] = {}
        """What a new stream begins with, until something happens."""
        self._heard: deque[Event] = deque(maxlen=KEPT)
        """What is not told yet."""
        self._ticks = 0
        self._timer: asyncio.TimerHandle | None = None

    @staticmethod
    def of(registry: BreakerRegistry) -> Hub:
        """The registry's own on the running event loop."""
        with _making:
            hubs = _hubs.get(registry, {})
            return hubs.get(asyncio.get_running_loop()) or Hub(registry)

    @property
    def is_full(self) -> bool:
        """Whether there are too many streams for one more."""
        return len(self._streams) >= MOST_STREAMS

    def join(self, stream: EventStream) -> None:
        """Feed one more."""
        if not self._streams:
            self._begin()
        self._streams.add(stream)

    def leave(self, stream: EventStream) -> None:
        """Feed one less."""
        self._streams.discard(stream)
        if not self._streams and self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._let_go()
            stop_listening()

    def _let_go(self) -> None:
        self._journal.unsubscribe(self._hear)
        with _making:
            hubs = _hubs.get(self._registry, {})
            if hubs.get(self._loop) is self:
                del hubs[self._loop]
            if not hubs:
                _hubs.pop(self._registry, None)

    @property
    def _is_lost(self) -> bool:
        """Whether its loop was closed under its streams, or runs in the process before a fork."""
        return self._loop.is_closed() or self._process != os.getpid()

    def _begin(self) -> None:
        with _making:
            hubs = _hubs.setdefault(self._registry, {})
            lost = [each for each in hubs.values() if each._is_lost]
            hubs[self._loop] = self
        for each in lost:
            each._let_go()
        begin_to_listen()
        self._journal.subscribe(self._hear)
        self._ticks = self._history.ticks
        self._seen = {
            self._registry.label_of(each): self._first_see(each) for each in self._registry
        }
        self._store = self._listing.store(details=True)
        self._starts.clear()
        self._timer = self._loop.call_later(_LOOK_EVERY, self._go_on)

    def start_of(self, stream: EventStream, last_id: int | None) -> bytes:
        """What a stream begins with: all as it is, and what its reader has missed."""
        rights = (stream.details, stream.controls)
        start = self._starts.get(rights)
        if start is None:
            start = self._snapshot(details=stream.details, controls=stream.controls)
            self._starts[rights] = start
        if last_id is None or last_id > self._journal.last_id:
            return start
        missed = self._journal.since(last_id)
        return start + b"".join(_change(each, details=stream.details) for each in missed)

    def _snapshot(self, *, details: bool, controls: bool) -> bytes:
        last_id = self._journal.last_id
        content = self._listing.page(None, details=details, controls=controls, history=True)
        content["events"] = self._listing.log(details=details)
        return _RETRY + _text("snapshot", content, last_id)

    # What happens

    def _hear(self, event: Event) -> None:
        """In any thread, one after the other."""
        if self._is_lost:
            self._let_go()
            return
        self._heard.append(event)
        if len(self._heard) == 1:
            self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        """What was heard meanwhile is one text: many changes at once would drop every reader."""
        heard = []
        while self._heard:  # also what is heard right now: nobody would ask for it any more
            heard.append(self._heard.popleft())
        self._starts.clear()
        for name in {event["breaker"] for event in heard}:
            self._tell_again(name)
        self._push(lambda details: b"".join(_change(each, details=details) for each in heard))

    def _tell_again(self, name: str) -> None:
        """Tell all breakers that share a name at the next look: a change is of any of them."""
        namesakes = self._registry.all_named(name)
        if len(namesakes) > 1:
            for breaker in namesakes:
                self._seen.pop(self._registry.label_of(breaker), None)

    def _push(self, text_of: Callable[[bool], bytes]) -> None:
        """Give every stream the text that it may see."""
        texts = {details: text_of(details) for details in {each.details for each in self._streams}}
        for stream in self._streams:
            stream.push(texts[stream.details])

    def _go_on(self) -> None:
        self._timer = self._loop.call_later(_LOOK_EVERY, self._go_on)
        self.look()

    def look(self) -> None:
        """Tell what has changed since the last second, if a second has passed."""
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
        """Find out what has changed, a slice at a time: requests do not wait for all of it.

        `changed` are the texts, with and without details as the streams may see them.
        """
        end = begin + _SLICE
        found = self._changes(every[begin:end])
        for details in {each.details for each in self._streams}:
            visible = found if details else map(without_details, found)
            changed.setdefault(details, []).extend(map(json.dumps, visible))
        if end < len(every):
            self._loop.call_soon(self._compare, every, end, changed)
        else:
            self._tell_figures(every, changed)

    def _tell_figures(self, every: list[CircuitBreaker], changed: dict[bool, list[str]]) -> None:
        names = {self._registry.label_of(each) for each in every}
        gone = [name for name in self._seen if name not in names]
        for name in gone:
            del self._seen[name]
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
        """Those of which something else is to be told than the last time."""
        changed = []
        for breaker in breakers:
            name = self._registry.label_of(breaker)
            seen = self._seen.get(name)
            if seen is not None and seen.totals == _totals(breaker) and seen.until < self._ticks:
                continue
            content = self._listing.breaker(breaker, details=True)
            if seen is None or seen.totals != _totals(breaker) or _differ(seen.told, content):
                newest = shown(self._history.seconds(breaker)[-1:])
                changed.append({**content, "second": newest[0] if newest else None})
            self._seen[name] = self._see(breaker, content, seen)
        return changed

    def _see(
        self, breaker: CircuitBreaker, content: Json | None, before: _Seen | None = None
    ) -> _Seen:
        totals = _totals(breaker)
        if before is not None and before.totals == totals:
            return before._replace(told=content)
        window = breaker.config.window
        longest = cast("int", window.seconds) if isinstance(window, TimeWindow) else 0
        return _Seen(totals, self._ticks + max(SECONDS, longest) + 1, content)

    def _first_see(self, breaker: CircuitBreaker) -> _Seen:
        """All streams begin with what is known; an idle breaker's figures stay as they are."""
        seen = self._see(breaker, None)
        record = breaker._generation.record
        fades = isinstance(breaker.config.window, TimeWindow) and record and record.calls
        return seen if fades or self._history.seconds(breaker) else seen._replace(until=-1)


def _totals(breaker: CircuitBreaker) -> tuple[int, ...]:
    """What moves with everything that happens to a breaker."""
    return (
        id(breaker),
        breaker._generation.number,
        breaker.successes,
        breaker.failures,
        breaker.ignored,
        breaker.rejected,
        is_alone(breaker),
    )


def _differ(told: Json | None, content: Json) -> bool:
    """Whether time alone has changed a breaker's figures."""
    return told is None or steady(told) != steady(content)


def _change(event: Event, *, details: bool) -> bytes:
    return _text("change", told(event, details=details), event["id"])


def _text(kind: str, content: Json, last_id: int | None = None) -> bytes:
    number = "" if last_id is None else f"id: {last_id}\n"
    return f"event: {kind}\n{number}data: {json.dumps(content)}\n\n".encode()
