"""Limits of streams: of the process, of an address, and of the time since they were allowed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from breaker_asgi import BreakerRegistry, CircuitBreakerMonitor
from breaker_asgi.monitor import public, stream_limits
from breaker_asgi.monitor.stream_limits import most_streams, take_place
from tests.asgi.visitor import visit
from tests.monitor.conftest import HTML
from tests.monitor.test_under_attack import Reader, settle

resource: Any = pytest.importorskip("resource")


@pytest.fixture
def descriptors(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Set the soft limit of descriptors."""

    def set_limit(number: int) -> None:
        monkeypatch.setattr(resource, "getrlimit", lambda _: (number, number))

    return set_limit


@pytest.mark.parametrize(
    ("soft", "most"), [(1024, 256), (256, 64), (3, 1), (1_000_000, 1_000), (-1, 1_000)]
)
def test_a_fourth_of_the_descriptors_is_for_streams(
    descriptors: Callable[[int], None], soft: int, most: int
) -> None:
    descriptors(soft)
    assert most_streams() == most


def test_without_such_a_limit_a_thousand_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_limits, "resource", None)
    assert most_streams() == 1_000


@asynccontextmanager
async def streaming(
    monitor: CircuitBreakerMonitor, address: str = "testclient"
) -> AsyncIterator[asyncio.Task[None]]:
    reader = Reader()
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/-/stream",
        "headers": [(b"host", b"localhost")],
        "client": (address, 1),
    }
    task = asyncio.ensure_future(monitor(scope, reader.receive, reader.send))
    await settle()
    try:
        yield task
    finally:
        reader.has_left.set()
        await task


@pytest.fixture
def shared(registry: BreakerRegistry) -> CircuitBreakerMonitor:
    return CircuitBreakerMonitor(registry=registry, authorize=public)


async def test_an_address_may_have_a_fourth_of_them(
    shared: CircuitBreakerMonitor, descriptors: Callable[[int], None]
) -> None:
    descriptors(32)  # 8 streams, 2 of an address
    async with streaming(shared, "10.0.0.1"), streaming(shared, "10.0.0.1"):
        reply = await visit(shared, "/stream", client=("10.0.0.1", 9))
        assert (reply.status, reply.headers["retry-after"]) == (503, "10")
        assert reply.json["detail"] == "Your address has 2 streams, which is its share."
        async with streaming(shared, "10.0.0.2") as other:
            assert not other.done()
    async with streaming(shared, "10.0.0.1") as later:
        assert not later.done()


async def test_all_of_the_process_count_together(
    shared: CircuitBreakerMonitor, descriptors: Callable[[int], None]
) -> None:
    descriptors(8)
    other = CircuitBreakerMonitor(registry=BreakerRegistry(), authorize=public)
    async with streaming(shared, "10.0.0.1"), streaming(other, "10.0.0.2"):
        reply = await visit(shared, "/stream", client=("10.0.0.3", 9))
        assert reply.json["detail"] == "All 2 streams of this process are taken."
        page = await visit(shared, "/stream", "GET", [HTML], client=("10.0.0.3", 9))
        assert (page.status, page.headers["retry-after"]) == (503, "10")
        assert "come back in a moment" in page.text


def test_a_network_of_ipv6_is_one_address(descriptors: Callable[[int], None]) -> None:
    descriptors(16)  # 4 streams, 1 of an address
    give_back = take_place({"client": ("2001:db8::1", 1)})
    with pytest.raises(stream_limits.TooManyStreamsError):
        take_place({"client": ("2001:db8::ffff:2", 1)})
    take_place({"client": ("2001:db8:0:1::1", 1)})()
    take_place({"client": ("::ffff:10.0.0.1", 1)})()
    give_back()
    assert not stream_limits._open


async def test_a_head_request_takes_no_place(
    shared: CircuitBreakerMonitor, descriptors: Callable[[int], None]
) -> None:
    descriptors(4)
    async with streaming(shared):
        assert (await visit(shared, "/stream", "HEAD")).status == 200


# Authorized anew


class Judge:
    """A function that allows requests until it is told otherwise."""

    def __init__(self) -> None:
        self.answer: object = True
        self.asked = 0

    async def __call__(self, _request: object) -> object:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Judge:
    """A judge whose decisions hold for no time at all."""
    monkeypatch.setattr(stream_limits, "AUTHORIZE_EVERY", 0.0)
    return Judge()


async def test_a_stream_goes_on_while_its_reader_is_allowed(
    registry: BreakerRegistry, judge: Judge
) -> None:
    async with streaming(CircuitBreakerMonitor(registry=registry, authorize=judge)) as task:
        await settle()
        assert judge.asked > 3
        assert not task.done()
    times = judge.asked
    await settle()
    assert judge.asked == times


@pytest.mark.parametrize("answer", [False, None, RuntimeError("no database")])
async def test_a_stream_ends_when_its_reader_is_not_allowed_any_more(
    registry: BreakerRegistry, judge: Judge, answer: object
) -> None:
    async with streaming(CircuitBreakerMonitor(registry=registry, authorize=judge)) as task:
        judge.answer = answer
        await settle()
        assert task.done()


async def test_a_stream_ends_when_its_reader_has_lost_the_controls(
    registry: BreakerRegistry, judge: Judge
) -> None:
    monitor = CircuitBreakerMonitor(registry=registry, authorize=public, authorize_control=judge)
    async with streaming(monitor) as task:
        judge.answer = False
        await settle()
        assert task.done()


async def test_a_stream_ends_when_its_authorization_hangs(
    registry: BreakerRegistry, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_limits, "_LONGEST_AUTHORIZATION", 0.0)

    async def hang_the_second_time(_request: object) -> bool:
        judge.asked += 1
        if judge.asked > 1:
            await asyncio.Event().wait()
        return True

    monitor = CircuitBreakerMonitor(registry=registry, authorize=hang_the_second_time)
    async with streaming(monitor) as task:
        await settle()
        assert task.done()


async def test_the_body_that_it_is_asked_with_is_empty(
    registry: BreakerRegistry, judge: Judge
) -> None:
    bodies: list[bytes] = []

    async def reads(request: Any) -> bool:
        if bodies or judge.asked:
            bodies.append(await request.body())
        judge.asked += 1
        return True

    async with streaming(CircuitBreakerMonitor(registry=registry, authorize=reads)):
        await settle()
    assert set(bodies) == {b""}
