"""Streams that are judged by their first event, or by their end."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breaker_asgi import BreakerConfig, CircuitBreaker, CountWindow
from breaker_asgi._core.outcome import FAILURE, IGNORED, SUCCESS
from breaker_asgi._core.state import CLOSED, HALF_OPEN, OPEN
from breaker_asgi._core.stream_events import Events, events_of
from breaker_asgi._core.stream_reading import StreamReading
from breaker_asgi._core.streams import Stream, stricter
from breaker_asgi.testing import FakeClock

Counts = tuple[int, int, int]


def counts(breaker: CircuitBreaker) -> Counts:
    return breaker.successes, breaker.failures, breaker.ignored


# Events


def events(content_type: str = "text/event-stream", encoding: str = "") -> Events:
    events = events_of(content_type, encoding)
    assert events is not None
    return events


def fed(body: bytes, content_type: str = "text/event-stream") -> list[Any]:
    return [*events(content_type).feed(body)]


@pytest.mark.parametrize(
    ("body", "number"),
    [
        (b"data: a\n\n", 1),
        (b"data:a\n\ndata:b\n\n", 2),
        (b"event: token\nid: 1\ndata: a\ndata: b\n\n", 1),
        (b"data: a\r\n\r\n", 1),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", 2),
        (b"data: not ended", 0),
        (b": a comment\n\n", 0),
        (b"event: ping\ndata: {}\n\n", 0),
        (b"retry: 2000\n\n", 0),
        (b"event: done\n\n", 0),
    ],
)
def test_an_event_has_data_and_an_end(body: bytes, number: int) -> None:
    assert fed(body) == [None] * number


@given(cuts=st.lists(st.integers(0, 90)), newline=st.sampled_from([b"\n", b"\r\n"]))
def test_events_are_the_same_however_they_are_cut(cuts: list[int], newline: bytes) -> None:
    body = b'data: a\n\n: ping\n\nevent: error\ndata: {"error":\ndata: 1}\n\ndata: b\n\n'
    body = body.replace(b"\n", newline)
    results: list[Any] = []
    feeder = events()
    bounds = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    for start, end in pairwise(bounds):
        results += feeder.feed(body[start:end])
    assert results == [None, (FAILURE, "an error event"), None]


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ({"choices": [{"delta": {"content": "an error"}}]}, None),
        ({"error": None, "token": "a"}, None),
        ({"error": {"type": "server_error"}}, (FAILURE, "error event server_error")),
        ({"error": {"code": 503, "status": "UNAVAILABLE"}}, (FAILURE, "error event 503")),
        ({"error": {"code": 400, "status": "INVALID_ARGUMENT"}}, (SUCCESS, "error event 400")),
        ({"error": {"code": 429}}, (IGNORED, "error event 429")),
        ({"error": {"code": 408}}, (FAILURE, "error event 408")),
        ({"error": {"code": 500}}, (FAILURE, "error event 500")),
        ({"error": {"code": 42}}, (FAILURE, "error event 42")),
        ({"error": {"code": 600, "status": 429}}, (IGNORED, "error event 600")),
        ({"error": {"status": 404}}, (SUCCESS, "error event 404")),
        ({"error": {"status": "UNAVAILABLE"}}, (FAILURE, "error event UNAVAILABLE")),
        ({"error": {"type": "", "code": "busy"}}, (FAILURE, "error event busy")),
        ({"error": "out of memory"}, (FAILURE, "an error event")),
        (
            {"type": "error", "error": {"type": "overloaded_error"}},
            (FAILURE, "error event overloaded_error"),
        ),
        (
            {"type": "error", "error": {"type": "rate_limit_error"}},
            (IGNORED, "error event rate_limit_error"),
        ),
        ({"type": "error", "code": "ERR"}, (FAILURE, "error event ERR")),
        (
            {"type": "response.failed", "response": {"error": {"code": "server_error"}}},
            (FAILURE, "error event server_error"),
        ),
        ({"type": "response.failed"}, (FAILURE, "error event response.failed")),
        (["error"], None),
    ],
    ids=json.dumps,
)
def test_an_error_event_is_judged_by_its_type_and_code(data: Any, error: Any) -> None:
    text = json.dumps(data).encode()
    assert fed(b"data: " + text + b"\n\n") == [error]
    assert fed(text + b"\n", "application/x-ndjson") == [error]


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_an_event_of_the_type_error_is_an_error(newline: bytes) -> None:
    body = b"event: error\ndata: it broke\n\n".replace(b"\n", newline)
    assert fed(body) == [(FAILURE, "an error event")]


def test_a_frame_of_aws_is_an_error_by_its_header() -> None:
    kind = "application/vnd.amazon.eventstream"
    assert fed(b"\0\0:event-type chunk", kind) == [None]
    for header in (b":exception-type throttlingException", b":error-code InternalError"):
        assert fed(b"\0\0" + header, kind) == [(FAILURE, "an error event")]


@pytest.mark.parametrize("kind", ["text/html", "", "application/json"])
def test_other_bodies_are_no_streams(kind: str) -> None:
    assert events_of(kind, "") is None


@pytest.mark.parametrize("kind", ["text/event-stream; charset=utf-8", "Text/Event-Stream "])
def test_the_type_of_a_stream_may_have_parameters_and_capitals(kind: str) -> None:
    assert fed(b": ping\n\ndata: a\n\n", kind) == [None]


@pytest.mark.parametrize("encoding", ["", "identity", "Identity"])
def test_a_body_that_is_not_compressed_is_read(encoding: str) -> None:
    assert [*events(encoding=encoding).feed(b": ping\n\n")] == []


def test_a_compressed_body_has_an_event_in_each_piece() -> None:
    compressed = events("text/event-stream", "gzip")
    assert [*compressed.feed(b"\x1f\x8b"), *compressed.feed(b""), *compressed.feed(b"error")] == [
        None,
        None,
    ]


def test_a_line_without_an_end_takes_no_more_memory_than_a_limit() -> None:
    feeder = events()
    for _ in range(100):
        assert [*feeder.feed(b"data: " + b"x" * 10_000)] == []
    assert len(vars(feeder)["_rest"]) <= 65_536


# Generators


class Story:
    """A guarded generator: each step is an item, or is raised, or is done before the next."""

    def __init__(self, clock: FakeClock, **settings: Any) -> None:
        self.clock = clock
        self.breaker = CircuitBreaker(clock=clock, **settings)

    def tell(self, *steps: Any, leave_after: int | None = None) -> None:
        raise NotImplementedError


class _Plain(Story):
    def tell(self, *steps: Any, leave_after: int | None = None) -> None:
        @self.breaker
        def tokens() -> Iterator[str]:
            for step in steps:
                if isinstance(step, Exception):
                    raise step
                if callable(step):
                    step()
                else:
                    yield step

        made = tokens()
        try:
            for number, _ in enumerate(made, 1):
                if number == leave_after:
                    break
        except ConnectionError:
            pass
        made.close()  # type: ignore[attr-defined]


class _Async(Story):
    def tell(self, *steps: Any, leave_after: int | None = None) -> None:
        @self.breaker
        async def tokens() -> AsyncIterator[str]:
            for step in steps:
                if isinstance(step, Exception):
                    raise step
                if callable(step):
                    step()
                else:
                    yield step

        async def read() -> None:
            made = tokens()
            number = 0
            try:
                async for _ in made:
                    number += 1
                    if number == leave_after:
                        break
            except ConnectionError:
                pass
            await made.aclose()  # type: ignore[attr-defined]

        asyncio.run(read())


@pytest.fixture(params=[_Plain, _Async])
def story(request: pytest.FixtureRequest, clock: FakeClock) -> Callable[..., Story]:
    return lambda **settings: request.param(clock, **settings)


Make = Callable[..., Story]


def test_by_its_first_event_a_stream_that_breaks_later_is_a_success(story: Make) -> None:
    tale = story(stream="event")
    tale.tell("a", ConnectionError())
    assert counts(tale.breaker) == (1, 0, 0)


def test_by_its_end_a_stream_that_breaks_is_a_failure(story: Make) -> None:
    tale = story(stream="end")
    tale.tell("a", ConnectionError())
    assert counts(tale.breaker) == (0, 1, 0)


@pytest.mark.parametrize("stream", ["event", "end"])
def test_a_stream_that_breaks_before_its_first_event_is_a_failure(story: Make, stream: str) -> None:
    tale = story(stream=stream)
    tale.tell(ConnectionError())
    assert counts(tale.breaker) == (0, 1, 0)


@pytest.mark.parametrize("stream", ["event", "end"])
@pytest.mark.parametrize("items", [(), ("a",), ("a", "b")])
def test_a_stream_that_ends_is_a_success(story: Make, stream: str, items: Any) -> None:
    tale = story(stream=stream)
    tale.tell(*items)
    assert counts(tale.breaker) == (1, 0, 0)


@pytest.mark.parametrize("stream", ["event", "end"])
def test_a_reader_that_leaves_after_an_event_is_a_success(story: Make, stream: str) -> None:
    tale = story(stream=stream)
    tale.tell("a", "b", leave_after=1)
    assert counts(tale.breaker) == (1, 0, 0)


def test_by_its_head_a_generator_that_is_left_is_ignored(story: Make) -> None:
    tale = story()
    tale.tell("a", "b", leave_after=1)
    assert counts(tale.breaker) == (0, 0, 1)


@pytest.mark.parametrize("stream", ["event", "end"])
def test_a_stream_is_slow_by_the_time_to_its_first_event(story: Make, stream: str) -> None:
    tale = story(stream=stream, slow_call_rate=1, slow_call_duration=1, window=CountWindow(2))
    tale.tell("a", lambda: tale.clock.advance(5), "b")
    assert tale.breaker.slow_calls == 0
    tale.tell(lambda: tale.clock.advance(5), "a")
    assert tale.breaker.slow_calls == 1


def test_by_its_head_a_generator_is_slow_by_all_of_its_time(story: Make) -> None:
    tale = story(slow_call_rate=1, slow_call_duration=1, window=CountWindow(2))
    tale.tell("a", lambda: tale.clock.advance(5), "b")
    assert tale.breaker.slow_calls == 1


def test_a_stream_that_stalls_is_a_failure_with_a_reason(story: Make) -> None:
    tale = story(stream="end", stream_idle_timeout=3, fail_max=1)
    tale.tell("a", lambda: tale.clock.advance(3), "b")
    assert counts(tale.breaker) == (1, 0, 0)
    tale.tell("a", lambda: tale.clock.advance(3.1), "b")
    assert tale.breaker.snapshot().reason == "1 failures in a row: stalled for 3 s"


def test_a_reader_that_takes_its_time_is_no_stall(clock: FakeClock) -> None:
    breaker = CircuitBreaker(stream="end", stream_idle_timeout=3, clock=clock)

    @breaker
    def tokens() -> Iterator[str]:
        yield from "abc"

    for _ in tokens():
        clock.advance(10)
    assert counts(breaker) == (1, 0, 0)


def test_a_body_that_is_not_read_yet_is_no_stall(clock: FakeClock) -> None:
    breaker = CircuitBreaker(stream="end", stream_idle_timeout=3, clock=clock)
    permit = breaker.acquire()
    reading = StreamReading(permit, permit.raised, events())
    clock.advance(10)
    reading.waits()
    reading.received(b"data: a\n\n")
    reading.ended()
    assert counts(breaker) == (1, 0, 0)


def test_a_reader_that_leaves_before_the_first_event_is_ignored(clock: FakeClock) -> None:
    breaker = CircuitBreaker(stream="end", clock=clock)
    permit = breaker.acquire()
    reading = StreamReading(permit, permit.raised, events())
    reading.waits()
    reading.received(b": a comment\n\n")
    reading.left()
    assert counts(breaker) == (0, 0, 1)


@pytest.mark.parametrize(
    ("body", "answers"),
    [
        (b": a comment\n\n", 0),
        (b"data: a\n\ndata: b\n\n", 1),
        (b"event: error\ndata: a\n\ndata: b\n\n", 0),
    ],
)
def test_an_answer_begins_with_the_first_event_unless_that_is_an_error(
    body: bytes, answers: int
) -> None:
    begun: list[None] = []
    stream = Stream(
        BreakerConfig(stream="end"),
        events(),
        settle=lambda *_: None,
        answered=lambda: begun.append(None),
    )
    stream.waits()
    stream.received(body)
    assert len(begun) == answers


async def test_a_silent_stream_is_a_failure_while_its_reader_waits() -> None:
    failed = asyncio.Event()

    class Listener:
        def failure(self, *_: object) -> None:
            failed.set()

    breaker = CircuitBreaker(stream="end", stream_idle_timeout=0.01, listeners=[Listener()])

    @breaker
    async def tokens() -> AsyncIterator[str]:
        yield "a"
        await asyncio.Event().wait()

    async def read() -> None:
        async for _ in tokens():
            pass

    reading = asyncio.ensure_future(read())
    await asyncio.wait_for(failed.wait(), 1)
    assert not reading.done()  # it is not cut
    reading.cancel()
    await asyncio.wait({reading})
    assert counts(breaker) == (0, 1, 0)


def test_an_item_that_is_a_failure_ends_the_judgement(story: Make) -> None:
    tale = story(stream="end", is_failure=lambda item: item == "sorry", fail_max=1)
    tale.tell("a", "sorry", "b")
    assert tale.breaker.state is OPEN
    assert tale.breaker.snapshot().reason.endswith(": an item that is a failure")


@pytest.mark.parametrize(
    ("stream", "steps", "state"),
    [
        ("event", ("a", ConnectionError()), CLOSED),
        ("end", ("a", ConnectionError()), OPEN),
        ("end", ("a", "b"), CLOSED),
    ],
)
def test_a_probe_is_judged_by_its_stream(
    story: Make, stream: str, steps: Any, state: object
) -> None:
    tale = story(stream=stream)
    tale.breaker.half_open()
    tale.tell(*steps)
    assert tale.breaker.state is state


def test_a_probe_that_is_left_before_its_first_event_gives_its_permit_back(
    clock: FakeClock,
) -> None:
    breaker = CircuitBreaker(stream="end", clock=clock)
    breaker.half_open()

    @breaker
    async def tokens() -> AsyncIterator[str]:
        await asyncio.Event().wait()
        yield "a"

    async def leave() -> None:
        first = asyncio.ensure_future(anext(tokens()))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait({first})

    asyncio.run(leave())
    assert breaker.state is HALF_OPEN
    assert breaker.acquire() is not None


# Corners


@pytest.mark.parametrize(
    ("content_type", "body"),
    [("application/vnd.amazon.eventstream", b""), ("application/x-ndjson", b"\n \n")],
)
def test_a_piece_without_data_is_not_an_event(content_type: str, body: bytes) -> None:
    assert fed(body, content_type) == []


class Timers:
    """The timers of an event loop, run by hand."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._due: list[tuple[float, Callable[..., object], tuple[Any, ...]]] = []

    @property
    def delays(self) -> list[float]:
        return [due - self._clock() for due, *_ in self._due]

    def call_later(self, delay: float, callback: Callable[..., object], *arguments: Any) -> None:
        self._due.append((self._clock() + delay, callback, arguments))

    def run(self) -> None:
        """Advance the clock to the next timer, and call it."""
        due, callback, arguments = self._due.pop(0)
        self._clock.advance(due - self._clock())
        callback(*arguments)


@pytest.fixture
def timers(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Timers:
    """The timers of the running event loop."""
    clock.advance(1000)
    timers = Timers(clock)
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: timers)
    return timers


class Watched(Stream):
    """A stream that records its outcome, with an idle limit of 30 seconds or of another time."""

    def __init__(self, clock: FakeClock, limit: float | None = 30) -> None:
        self.settled: list[Any] = []
        config = BreakerConfig(stream="end", stream_idle_timeout=limit, clock=clock)
        super().__init__(
            config, Events(), settle=lambda *outcome: self.settled.append(outcome), answered=int
        )


def test_a_stream_is_looked_at_when_it_may_have_stalled(timers: Timers, clock: FakeClock) -> None:
    stream = Watched(clock)
    clock.advance(10)
    stream.waits()
    assert timers.delays == [20]
    timers.run()
    assert (timers.delays, stream.settled) == ([10], [])
    timers.run()
    assert (timers.delays, stream.settled) == ([], [(FAILURE, "stalled for 30 s")])


def test_a_stream_that_is_not_read_is_looked_at_again(timers: Timers, clock: FakeClock) -> None:
    stream = Watched(clock)
    for _ in range(3):
        timers.run()
        assert (timers.delays, stream.settled) == ([30], [])


def test_a_stream_that_has_ended_is_not_looked_at_again(timers: Timers, clock: FakeClock) -> None:
    stream = Watched(clock)
    stream.ended()
    timers.run()
    assert (timers.delays, stream.settled) == ([], [(SUCCESS, None)])


def test_a_stream_that_is_dropped_is_not_looked_at_again(timers: Timers, clock: FakeClock) -> None:
    stream = Watched(clock)
    del stream
    gc.collect()
    timers.run()
    assert timers.delays == []


def test_a_stream_without_an_idle_limit_is_not_looked_at(timers: Timers, clock: FakeClock) -> None:
    Watched(clock, limit=None)
    assert timers.delays == []


@pytest.mark.parametrize(
    ("shorter", "longer"), [("head", "event"), ("event", "end"), ("head", "end")]
)
def test_of_two_breakers_the_one_that_looks_longer_at_a_stream_decides(
    shorter: Any, longer: Any
) -> None:
    short, long = BreakerConfig(stream=shorter), BreakerConfig(stream=longer)
    assert stricter(short, long) is stricter(long, short) is long
