"""`LastGood` is bounded in memory, with any clients and applications."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Awaitable

import pytest

from breaker_asgi import BreakerMiddleware, BreakerRegistry, LastGood
from breaker_asgi.asgi.types import Receive, Scope, Send
from tests.asgi.test_last_good_storage import START, body, echo, keep, kept, sending
from tests.asgi.visitor import Reply, visit


async def test_above_max_entries_the_least_recently_used_is_dropped() -> None:
    last_good = LastGood(max_entries=2)
    for path in ("/?1", "/?2"):
        await keep(last_good, path)
    assert await kept(last_good, "/?1") == b"x"
    await keep(last_good, "/?3")
    assert [await kept(last_good, f"/?{size}") for size in (1, 2, 3)] == [b"x", None, b"xxx"]
    assert len(last_good) == 2


async def test_a_url_that_is_kept_again_counts_as_used() -> None:
    last_good = LastGood(max_entries=2)
    for path in ("/?1", "/?2", "/?1", "/?3"):
        await keep(last_good, path)
    assert await kept(last_good, "/?2") is None
    assert await kept(last_good, "/?1") == b"x"


async def test_above_max_bytes_the_least_recently_used_are_dropped() -> None:
    last_good = LastGood(max_bytes=100_000)
    for path in ("/a?40000", "/b?40000", "/c?60000"):
        await keep(last_good, path)
    assert [await kept(last_good, path) is None for path in ("/a?40000", "/b?40000")] == [True] * 2
    assert len(await kept(last_good, "/c?60000") or b"") == 60_000


async def test_a_replaced_response_frees_its_bytes() -> None:
    last_good = LastGood(max_bytes=100_000)
    await keep(last_good, "/other?10000")
    for _ in range(10):
        await keep(last_good, "/same?40000")
    assert len(last_good) == 2


@pytest.mark.parametrize("chunks", [1, 30])
async def test_a_response_above_max_bytes_is_passed_on_and_not_kept(chunks: int) -> None:
    last_good = LastGood(max_bytes=20_000)
    await keep(last_good, "/small?10")
    parts = [
        body(b"x" * (30_000 // chunks), more=number < chunks) for number in range(1, chunks + 1)
    ]
    registry = BreakerRegistry()
    app = BreakerMiddleware(sending(START, *parts), registry=registry, fallback=last_good)
    assert len((await visit(app, "/big")).body) == 30_000
    assert await kept(last_good, "/big") is None
    assert await kept(last_good, "/small?10") == b"x" * 10


@pytest.mark.parametrize(
    ("path", "field"), [("/" + "x" * 60_000, "short"), ("/", "x" * 60_000)], ids=["path", "vary"]
)
async def test_the_path_and_the_varying_headers_count_as_bytes(path: str, field: str) -> None:
    start = {**START, "headers": [(b"vary", b"x-made-up")]}
    last_good = LastGood(max_bytes=50_000)
    app = BreakerMiddleware(
        sending(start, body(b"")), registry=BreakerRegistry(), fallback=last_good
    )
    await visit(app, path, "GET", [("x-made-up", field)])
    assert len(last_good) == 0


async def test_a_flood_of_urls_takes_a_bounded_memory() -> None:
    last_good = LastGood(max_entries=1_000_000, max_bytes=200_000)
    app = BreakerMiddleware(echo, registry=BreakerRegistry(), fallback=last_good)
    for number in range(2_000):
        await visit(app, f"/{number}", headers=[])
    assert len(last_good) < 200


async def open_streams(last_good: LastGood, sizes: list[int]) -> list[asyncio.Task[None]]:
    """Start streams that send bytes of these sizes, and then hang until they are cancelled."""

    async def stream(scope: Scope, _receive: Receive, send: Send) -> None:
        await send({**START})
        for _ in range(10):
            await send(body(bytes(int(scope["query_string"]) // 10), more=True))
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await send(body(b""))

    app = BreakerMiddleware(stream, registry=BreakerRegistry(), fallback=last_good)
    visits = [visit(app, f"/{number}?{size}") for number, size in enumerate(sizes)]
    tasks = [asyncio.ensure_future(discard(visiting)) for visiting in visits]
    await asyncio.sleep(0)
    return tasks


async def discard(coming: Awaitable[Reply]) -> None:
    await coming


async def test_responses_in_progress_take_a_bounded_memory_and_the_longest_is_given_up() -> None:
    last_good = LastGood(max_bytes=100_000)
    sizes = [10_000, 90_000, 20_000, 500_000, 30_000]
    tasks = await open_streams(last_good, sizes)
    for task in tasks:
        task.cancel()  # the streams end then
    await asyncio.gather(*tasks)
    paths = [f"/{number}?{size}" for number, size in enumerate(sizes)]
    kept_sizes = [len(await kept(last_good, path) or b"") for path in paths]
    assert kept_sizes == [10_000, 0, 20_000, 0, 30_000]


async def test_the_overhead_of_small_chunks_counts_as_bytes() -> None:
    parts = [body(b"x", more=True) for _ in range(5_000)]
    last_good = LastGood(max_bytes=100_000)
    await keep(last_good, app=sending(START, *parts, body(b"")))
    assert len(last_good) == 0


async def test_broken_streams_free_their_bytes() -> None:
    async def breaking(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({**START})
        await send(body(bytes(90_000), more=True))
        raise RuntimeError

    last_good = LastGood(max_bytes=100_000)
    for _ in range(5):
        with pytest.raises(RuntimeError):
            await keep(last_good, "/broken", app=breaking)
    await keep(last_good, "/whole?90000")
    assert len(await kept(last_good, "/whole?90000") or b"") == 90_000


async def test_no_body_is_held_after_its_request() -> None:
    class Marked(bytes):
        pass

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        await send({**START, "headers": [(b"set-cookie", b"session=1")]})
        await send(body(Marked(b"for one alone")))

    last_good = LastGood()
    await keep(last_good, app=app)
    gc.collect()
    assert not [item for item in gc.get_objects() if isinstance(item, Marked)]
