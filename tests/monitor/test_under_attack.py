"""The monitor under attack: it answers every request itself, logs nothing, and leaks nothing."""

from __future__ import annotations

import asyncio
import fnmatch
import gc
import json
import logging
import random
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from weakref import ref

import pytest

from breaker_asgi import BreakerMiddleware, BreakerRegistry, CircuitBreaker, CircuitBreakerMonitor
from breaker_asgi.asgi.types import ASGIApp, Message
from breaker_asgi.monitor.broadcaster import Broadcaster, _broadcasters
from breaker_asgi.monitor.event_log import EventLog
from breaker_asgi.monitor.history import History
from breaker_asgi.testing import fresh_registry
from tests.asgi.visitor import TEST_CLIENT, Fields, Reply, visit
from tests.monitor.conftest import HTML, allow

ANSWERS = {200, 303, 304, 400, 403, 404, 405}
CONTROL = [chr(number) for number in (*range(33), 127, 128, 133, 160, 0x2028, 0xFEFF)]
AWKWARD = [
    *CONTROL,
    "\ud800",
    "\udcff",
    "é",
    "🍵",
    '"',
    "'",
    "<",
    ">",
    "&",
    "%",
    "\\",
    ";",
    "..",
    "//",
]
MARKUP = "\"'><script>alert(1)</script>"


@pytest.fixture(autouse=True)
def _own_default_registry() -> Iterator[None]:
    """Keep the breakers of other tests away, which the middleware warns of."""
    with fresh_registry():
        yield


@pytest.fixture(autouse=True)
def _nothing_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    records = [record for record in caplog.get_records("call") if record.name == "breaker_asgi"]
    texts = [record.getMessage() for record in records if record.levelno >= logging.WARNING]
    expected = ("the monitor at ", "breaker '", 'breaker "')
    assert [
        text for text in texts if not (" failed in " in text or text.startswith(expected))
    ] == []


async def attack(
    app: ASGIApp, path: str, method: str = "GET", fields: Fields = (), **more: Any
) -> Reply:
    """Send one request, and check that the response is complete."""
    reply = await visit(app, path, method, fields, **more)
    assert reply.kinds == ["http.response.start", "http.response.body"]
    assert reply.status in ANSWERS
    for name, value in reply.messages[0]["headers"]:
        assert name.islower(), name
        assert min(value, default=32) >= 32, value
        assert max(value, default=32) < 127, value
    kind = reply.headers.get("content-type", "")
    if "json" in kind and reply.body:
        assert "\n" not in reply.text
        assert isinstance(reply.json, dict)
    if reply.status != 304:
        assert int(reply.headers["content-length"]) == len(reply.body) or method == "HEAD"
    return reply


@pytest.fixture
def payments(registry: BreakerRegistry) -> CircuitBreaker:
    return registry.get("payments")


# Requests


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "get", "", "\x00", "POST " * 9])
@pytest.mark.parametrize("accept", [(), [HTML]], ids=["JSON", "HTML"])
async def test_any_path_gets_an_answer(
    full: CircuitBreakerMonitor, payments: CircuitBreaker, method: str, accept: Fields
) -> None:
    around = ["", "/", "payments/", "payments", "static/", "events/", "stream/", "../"]
    for awkward in AWKWARD:
        for before in around:
            for after in ("", "/", "/open", "/events", "/../open"):
                await attack(full, f"/{before}{awkward}{after}", method, accept)


@pytest.mark.parametrize("path", ["x", "/", "\x00", "\ud800", "../", "payments/", "🍵"])
async def test_a_path_of_a_megabyte_gets_a_short_answer(
    full: CircuitBreakerMonitor, path: str
) -> None:
    for method in ("GET", "POST"):
        for end in ("", "/open", "/events"):
            reply = await attack(full, "/" + path * (1_000_000 // len(path)) + end, method)
            assert len(reply.body) < 4_000


SECRETS = ("db-7", "OSError", "failure rate", "ann", "by hand")


@pytest.mark.parametrize("accept", [(), [HTML]], ids=["JSON", "HTML"])
async def test_no_path_gives_a_stranger_more_than_names_and_states(
    registry: BreakerRegistry, accept: Fields
) -> None:
    operated = CircuitBreakerMonitor(registry=registry, authorize_control=by_token)
    bank = registry.get("bank", failure_rate=0.5, minimum_calls=1)
    bank.acquire().failure(OSError("db-7"))
    await attack(operated, "/bank/close", "POST", [("x-token", "ann")])
    around = ["", "bank", "~bank", "-/", "-/stream", "-/events", "-/log", "-/traffic", "-/static/"]
    around += ["stream", "events", "static/page.js", "bank/events", "bank/log", "bank/stream"]
    spoofed = [("x-forwarded-for", "127.0.0.1"), ("host", "localhost"), ("forwarded", "for=[::1]")]
    for path in around:
        for method in ("GET", "HEAD", "POST", "PUT", "OPTIONS", "get"):
            for after in ("", "/", "/open", "?name=*", "?sign-in", "?worker=1", "?log"):
                fields = [*accept, *spoofed]
                client = ("203.0.113.5", 1)
                reply = await attack(operated, f"/{path}{after}", method, fields, client=client)
                assert not any(secret in reply.text for secret in SECRETS), (path, after, method)
    assert bank.state == "closed"


def by_token(request: Any) -> str | None:
    name: str | None = request.headers.get("x-token")
    return name


QUERIES = [
    b"\xff\xfe\x80",
    b"name=\xff%ff%fe%00",
    b"name=%",
    b"name=%zz&&&&==&=;",
    b"name=" + b"%5b" * 300,
    b"state=",
    b"state=OPEN",
    b"state=\x00%0d%0aset-cookie:%20x",
    b"limit=-1",
    b"limit=99999999999999999999999999",
    b"limit=1e3",
    b"limit=%d9%a3",
    b"limit=%00",
    b"limit=" + b"9" * 60_000,
    b"after=" + b"%ed%a0%80" * 100,
    b"after=\xff",
    b"a" * 10_000_000,
    b"&".join(b"name=%d" % number for number in range(5_000)),
    b"&".join(b"a%d=" % number for number in range(900)),
    b"name=" + b"*" * 10_000,
    b"&" * 65_536,
    b"=" * 65_536,
    b"%" * 65_536,
]


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: repr(query[:20]))
@pytest.mark.parametrize("path", ["/", "/payments", "/events", "/static/icon.svg", "/nobody"])
async def test_any_query_gets_an_answer(
    full: CircuitBreakerMonitor, payments: CircuitBreaker, path: str, query: bytes
) -> None:
    for accept in ((), [HTML]):
        reply = await attack(full, path, "GET", accept, query_string=query)
        assert len(reply.body) < 100_000


PATTERNS = [
    "*" * 1_000,
    "*a" * 500,
    "?" * 1_000,
    "[" * 1_000,
    "[!" * 500,
    "[a-" * 333,
    "[]" * 500,
    "[[&&~~||--]" * 90,
    "(a+)+$" * 166,
    "\\" * 1_000,
    "[z-a]*",
    "*[!]",
    "\x00*",
]


async def test_any_pattern_matches_as_in_fnmatch(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    for number in range(100):
        registry.get("a" * number)
    signs = random.Random(1)
    drawn = ["".join(signs.choices("[]!-*?a&~|^\\z", k=30)) for _ in range(500)]
    for pattern in (*PATTERNS, *drawn):
        encoded = "".join(f"%{byte:02x}" for byte in pattern.encode())
        reply = await attack(monitor, f"/?name={encoded}")
        names = {breaker["name"] for breaker in reply.json["breakers"]}
        assert names == {"a" * n for n in range(100) if fnmatch.fnmatchcase("a" * n, pattern)}


async def test_patterns_of_clients_are_not_cached(
    monitor: CircuitBreakerMonitor, payments: CircuitBreaker
) -> None:
    kept = fnmatch._compile_pattern.cache_info().currsize  # type: ignore[attr-defined]
    for number in range(100):
        reply = await attack(monitor, f"/?name=no{number}*&name=pay*")
        assert [breaker["name"] for breaker in reply.json["breakers"]] == [payments.name]
    assert fnmatch._compile_pattern.cache_info().currsize == kept  # type: ignore[attr-defined]


HEADERS: list[Fields] = [
    [("accept", "text/html;q=" + "9" * 10_000)],
    [("accept", "," * 10_000 + "text/html")],
    [("accept", ";" * 10_000)],
    [("accept", "text/html;q=\x00")],
    [("accept", "\xff\xfe")],
    [("accept", "text/html")] * 1_000,
    [("if-none-match", "," * 100_000)],
    [("if-none-match", 'W/W/"')],
    [("if-none-match", "\xff"), ("if-none-match", "")],
    [("if-none-match", "x")] * 1_000,
    [("last-event-id", "-1")],
    [("host", "evil"), ("host", "evil")],
    [("origin", "http://[")],
    [("", "")],
]


@pytest.mark.parametrize("fields", HEADERS, ids=lambda fields: repr(fields[0])[:40])
async def test_any_header_gets_an_answer(
    full: CircuitBreakerMonitor, payments: CircuitBreaker, fields: Fields
) -> None:
    for path in ("/", "/payments", "/static/page.js", "/events"):
        await attack(full, path, "GET", fields)
        await attack(full, f"{path}/open", "POST", fields)


@pytest.mark.parametrize(
    "fields",
    [
        [("sec-fetch-site", "cross-site")],
        [("sec-fetch-site", "same-site")],
        [("sec-fetch-site", "")],
        [("sec-fetch-site", "Same-Origin")],
        [("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
        [("sec-fetch-site", "cross-site"), ("origin", "http://shop")],
        [("origin", "null")],
        [("origin", "")],
        [("origin", "http://evil")],
        [("origin", "http://shop.evil")],
        [("origin", "http://evil#shop")],
        [("origin", "http://shop:81")],
        [("origin", "http://shop@evil")],
        [("origin", "http://[::1")],
        [("origin", "http://shop"), ("origin", "http://evil")],
        [("origin", "http://evil"), ("x-forwarded-host", "evil")],
        [("origin", "http://evil"), ("host", "evil")],
        [("origin", "\xff")],
    ],
    ids=repr,
)
async def test_no_forged_post_changes_a_state(
    full: CircuitBreakerMonitor, payments: CircuitBreaker, fields: Fields
) -> None:
    reply = await attack(full, "/payments/force-open", "POST", fields)
    assert reply.status == 403
    assert payments.state == "closed"


async def test_an_opaque_origin_is_not_the_empty_host(
    full: CircuitBreakerMonitor, payments: CircuitBreaker
) -> None:
    headers = [(b"host", b""), (b"origin", b"null")]
    reply = await attack(full, "/payments/force-open", "POST", headers=headers)
    assert (reply.status, payments.state) == (403, "closed")


@pytest.mark.parametrize(
    "root",
    ["", "/", '/"', MARKUP, "/\r\nset-cookie: x", "//evil", "\\evil", "/\ud800", "/é/%", "/.."],
)
async def test_no_root_path_leads_to_another_origin(
    full: CircuitBreakerMonitor, payments: CircuitBreaker, root: str
) -> None:
    page = await attack(full, f"{root}/", "GET", [HTML], root_path=root)
    assert MARKUP not in page.text
    done = await attack(full, f"{root}/payments/open", "POST", [HTML], root_path=root)
    location = done.headers["location"]
    assert location.startswith("/")
    assert not location.startswith(("//", "/\\"))


@pytest.mark.parametrize(
    "name", [MARKUP, "a\r\nset-cookie: x", "\x00", "\ud800", "é 🍵", "\u2028", "."]
)
async def test_a_breakers_name_is_data_everywhere(
    full: CircuitBreakerMonitor, registry: BreakerRegistry, name: str
) -> None:
    breaker = registry.get(name)
    for path in ("/", f"/{name}", "/events", f"/{name}/events"):
        for accept in ((), [HTML]):
            reply = await attack(full, path, "GET", accept)
            assert not accept or MARKUP not in reply.text
    for accept in ((), [HTML]):
        await attack(full, f"/{name}/open", "POST", accept)
    assert breaker.state == "open"
    async with reading(full) as reader:
        breaker.close()
        await settle()
        assert all(line.startswith(FIELDS) for line in reader.text.splitlines() if line)
        assert reader.names == [name]


# Broken functions of the user


class Unjudgeable:
    def __bool__(self) -> bool:
        raise ValueError("neither")


class Unwaitable:
    def __await__(self) -> Iterator[None]:
        raise ValueError("never")


def a_generator(_request: Any) -> Iterator[bool]:
    yield False


async def an_async_generator(_request: Any) -> AsyncIterator[bool]:
    yield False


async def one_that_gives_another(_request: Any) -> Any:
    return allow


async def one_that_is_cancelled(_request: Any) -> bool:
    raise asyncio.CancelledError


async def one_whose_helper_is_cancelled(_request: Any) -> bool:
    helper = asyncio.ensure_future(asyncio.sleep(60))
    asyncio.get_running_loop().call_soon(helper.cancel)
    await helper
    return True


def no_arguments() -> bool:
    return True


BROKEN: list[Callable[..., Any]] = [
    lambda _: Unjudgeable(),
    lambda _: Unwaitable(),
    lambda _: NotImplemented,
    lambda _: allow,
    lambda _: Reply,
    lambda _: 1 / 0,
    a_generator,
    an_async_generator,
    one_that_gives_another,
    one_that_is_cancelled,
    one_whose_helper_is_cancelled,
    no_arguments,
]


@pytest.mark.parametrize("function", BROKEN)
async def test_a_result_that_is_no_decision_denies(
    registry: BreakerRegistry, payments: CircuitBreaker, function: Callable[..., Any]
) -> None:
    read = CircuitBreakerMonitor(registry=registry, authorize=function)
    for path in ("/", "/payments", "/stream", "/events", "/static/page.js"):
        assert (await attack(read, path)).status == 403
    control = CircuitBreakerMonitor(registry=registry, authorize_control=function)
    assert (await attack(control, "/payments/open", "POST")).status == 403
    assert not (await attack(control, "/")).json["controls"]
    assert payments.state == "closed"


async def test_a_request_whose_authorization_hangs_can_be_cancelled(
    registry: BreakerRegistry,
) -> None:
    async def hang(_request: Any) -> bool:
        await asyncio.Event().wait()
        return True

    monitor = CircuitBreakerMonitor(registry=registry, authorize=hang)
    task = asyncio.ensure_future(visit(monitor))
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


# Streams

FIELDS = ("event: ", "data: {", "data: [", "id: ", "retry: ")


class Reader:
    """A client of the stream that leaves at a given message."""

    def __init__(self, gone_at: int = sys.maxsize, how: BaseException | None = None) -> None:
        self.bodies: list[bytes] = []
        self.has_left = asyncio.Event()
        self._left, self._how = gone_at, how

    async def send(self, message: Message) -> None:
        self._left -= 1
        if self._left < 0:
            if self._how is None:
                await asyncio.Event().wait()
            else:
                raise self._how
        self.bodies.append(message.get("body", b""))
        await asyncio.sleep(0)

    async def receive(self) -> Message:
        await self.has_left.wait()
        return {"type": "http.disconnect"}

    @property
    def text(self) -> str:
        return b"".join(self.bodies).decode()

    @property
    def events(self) -> list[tuple[str, Any]]:
        blocks = [block.split("\n") for block in self.text.split("\n\n")]
        return [(lines[0][7:], json.loads(lines[-1][6:])) for lines in blocks if len(lines) > 1]

    @property
    def names(self) -> list[str]:
        """The breakers whose state has changed."""
        return [mark["breaker"] for figures in self.figures for mark in figures.get("marks", ())]

    @property
    def figures(self) -> list[Any]:
        return [content for kind, content in self.events if kind == "figures"]


def scope_of(method: str = "GET") -> dict[str, Any]:
    return {
        "type": "http",
        "method": method,
        "path": "/stream",
        "headers": [],
        "client": TEST_CLIENT,
    }


async def settle(turns: int = 50) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


@asynccontextmanager
async def reading(app: ASGIApp, reader: Reader | None = None) -> AsyncIterator[Reader]:
    reader = reader or Reader()
    task = asyncio.ensure_future(app(scope_of(), reader.receive, reader.send))
    await settle()
    try:
        yield reader
    finally:
        reader.has_left.set()
        await task


def is_detached(registry: BreakerRegistry) -> bool:
    return registry not in _broadcasters and EventLog.of(registry)._readers == ()


@pytest.mark.parametrize("how", [OSError("gone"), asyncio.CancelledError(), None], ids=repr)
@pytest.mark.parametrize("at", range(5))
async def test_a_client_may_leave_at_any_message(
    monitor: CircuitBreakerMonitor,
    registry: BreakerRegistry,
    payments: CircuitBreaker,
    at: int,
    how: BaseException | None,
) -> None:
    reader = Reader(at, how)
    task = asyncio.ensure_future(monitor(scope_of(), reader.receive, reader.send))
    for _ in range(4):
        await settle()
        payments.open()
        payments.close()
    reader.has_left.set()
    with suppress(asyncio.CancelledError):
        await task
    await settle()
    assert is_detached(registry)
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("turns", range(8))
async def test_a_stream_may_be_cancelled_at_any_moment(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry, turns: int
) -> None:
    reader = Reader()
    task = asyncio.ensure_future(monitor(scope_of(), reader.receive, reader.send))
    await settle(turns)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await settle()
    assert is_detached(registry)
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("error", [OSError(), RuntimeError("odd server"), KeyError()], ids=repr)
async def test_a_receive_that_raises_ends_the_stream(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry, error: Exception
) -> None:
    async def receive() -> Message:
        raise error

    await monitor(scope_of(), receive, Reader().send)
    assert is_detached(registry)


async def test_threads_may_change_states_while_a_stream_runs(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    """Each change is sent once, in order; breakers are added and removed meanwhile."""

    def change(number: int) -> None:
        for turn in range(40):
            breaker = registry.get(f"{number}")
            breaker.open()
            breaker.close()
            CircuitBreaker(name=f"{number} {turn}")
            registry.get(f"{number} {turn}").acquire().success()

    async with reading(monitor) as reader:
        threads = [threading.Thread(target=change, args=(number,)) for number in range(5)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            History.of(registry).tick()
            _broadcasters[registry][asyncio.get_running_loop()].look()
            await attack(monitor, "/")
            await settle()  # a reader that gets no turn is dropped
        await settle()
    assert Counter(reader.names) == {str(number): 80 for number in range(5)}
    rows = {row[1]: row[2] for content in reader.figures for row in content.get("rows", ())}
    assert rows.keys() >= {str(number) for number in range(5)}


async def test_a_breaker_may_be_dropped_while_it_is_listed(monitor: CircuitBreakerMonitor) -> None:
    registry = BreakerRegistry(limit=10)
    monitor = CircuitBreakerMonitor(registry=registry)
    async with reading(monitor) as reader:
        for number in range(200):
            registry.get(f"{number}").acquire().failure(ValueError())
            History.of(registry).tick()
            _broadcasters[registry][asyncio.get_running_loop()].look()
            assert (await attack(monitor, "/")).json["summary"]["total"] <= 10
            await settle()
        gone = [number for content in reader.figures for number in content.get("gone", ())]
    assert len(gone) >= 190
    assert len(gone) == len(set(gone))
    assert len(History.of(registry)._tracks) <= 10
    assert len(EventLog.of(registry)._failures) <= 10


STREAMS = 200


async def test_two_hundred_streams_time_and_again_leave_nothing_behind(
    monitor: CircuitBreakerMonitor,
    registry: BreakerRegistry,
    payments: CircuitBreaker,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL, "breaker_asgi")  # the records that caplog keeps are no leak

    def kept() -> tuple[int, int]:
        gc.collect()
        return len(gc.get_objects()), sys.getallocatedblocks()

    async def come_and_go() -> None:
        for _ in range(3):
            readers = [Reader() for _ in range(STREAMS)]
            tasks = [
                asyncio.ensure_future(monitor(scope_of(), reader.receive, reader.send))
                for reader in readers
            ]
            await settle()
            payments.open()
            payments.close()
            await settle()
            assert {reader.names.count("payments") for reader in readers} == {2}
            for number, (task, reader) in enumerate(zip(tasks, readers, strict=True)):
                task.cancel() if number % 2 else reader.has_left.set()
            await asyncio.gather(*tasks, return_exceptions=True)
        await settle()
        assert is_detached(registry)

    grown = (0, 0)
    for _ in range(8):
        objects, blocks = kept()
        await come_and_go()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        now = kept()
        grown = (now[0] - objects, now[1] - blocks)
        if all(growth < STREAMS / 2 for growth in grown):
            return
    pytest.fail(f"left behind, time and again: {grown}")


# Registries, loops and processes that come and go


def test_an_unreferenced_registry_is_collected() -> None:
    async def use() -> list[ref[Any]]:
        registry = BreakerRegistry()
        app = BreakerMiddleware(nothing, registry=registry)
        breaker = registry.get("payments")
        await visit(app, "/breakers")
        await visit(app, "/")
        async with reading(CircuitBreakerMonitor(registry=registry)):
            breaker.open()
            await settle()
            broadcaster = Broadcaster.of(registry)
        History.of(registry).tick()
        held = (registry, app, breaker, broadcaster, History.of(registry), EventLog.of(registry))
        return [ref(owner) for owner in held]

    async def look() -> None:
        references = await use()
        gc.collect()
        assert [reference() for reference in references] == [None] * len(references)
        later = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
        for handle in later:
            handle._run()
        assert len([handle for handle in later if not handle.cancelled()]) <= 2  # one is of heads

    asyncio.run(look())


async def nothing(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def test_one_loop_may_follow_another(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry, payments: CircuitBreaker
) -> None:
    async def use() -> None:
        async with reading(monitor) as reader:
            assert History.of(registry)._loop is asyncio.get_running_loop()
            payments.open()
            payments.close()
            await settle()
            assert reader.names == ["payments"] * 2

    for _ in range(3):
        asyncio.run(use())
        assert is_detached(registry)


def test_a_stopped_loop_hands_the_history_over_and_gets_it_back(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    one, other = asyncio.new_event_loop(), asyncio.new_event_loop()
    history = History.of(registry)
    for loop in (one, other, one, other, one):
        loop.run_until_complete(visit(monitor))
        assert history._loop is loop
    ticks = history.ticks
    for loop in (one, other):
        for handle in [*loop._scheduled]:  # type: ignore[attr-defined]
            handle._run()
        loop.close()
    assert history.ticks == ticks + 1


def test_a_loop_that_was_closed_under_its_streams_is_forgotten(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry, payments: CircuitBreaker
) -> None:
    loop = asyncio.new_event_loop()
    reader = Reader()
    task = loop.create_task(monitor(scope_of(), reader.receive, reader.send))
    loop.run_until_complete(settle())
    for pending in asyncio.all_tasks(loop):
        pending._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.close()
    payments.open()
    assert is_detached(registry)
    with suppress(RuntimeError):
        task.get_coro().close()


def test_two_loops_at_once_have_a_broadcaster_each(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry, payments: CircuitBreaker
) -> None:
    readers: list[Reader] = []
    both = threading.Barrier(2)

    async def use() -> None:
        async with reading(monitor) as reader, reading(monitor) as second:
            readers.extend([reader, second])
            await asyncio.to_thread(both.wait)
            payments.open()
            await asyncio.to_thread(both.wait)
            await settle()

    threads = [threading.Thread(target=asyncio.run, args=(use(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [reader.names for reader in readers] == [["payments"]] * 4
    assert is_detached(registry)


async def test_several_monitors_of_one_registry_share_its_broadcaster(
    monitor: CircuitBreakerMonitor,
    full: CircuitBreakerMonitor,
    registry: BreakerRegistry,
    payments: CircuitBreaker,
) -> None:
    other = BreakerMiddleware(nothing, registry=registry, monitor_path="/stream")
    async with reading(monitor) as one, reading(full) as second:
        assert len(_broadcasters[registry]) == 1
        await visit(other, "/stream")
        payments.open()
        await settle()
    assert one.names == second.names == ["payments"]
    assert [reader.names for reader in (one, second)] == [["payments"]] * 2
    assert EventLog.of(registry).last_id == 1
