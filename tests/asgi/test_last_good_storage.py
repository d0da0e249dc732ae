"""The parts of a response that `LastGood` keeps on its way to the client."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from breaker_asgi import (
    BreakerConfigError,
    BreakerMiddleware,
    BreakerRegistry,
    LastGood,
    protected,
)
from breaker_asgi.asgi.types import ASGIApp, Message, Receive, Scope, Send
from tests.asgi.visitor import visit

START = {"type": "http.response.start", "status": 200, "headers": []}


def body(chunk: bytes, *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": chunk, "more_body": more}


def sending(*messages: Message) -> ASGIApp:
    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        for message in messages:
            await send({**message})

    return app


async def echo(scope: Scope, _receive: Receive, send: Send) -> None:
    """Answer by a body whose length is the query."""
    await send({**START})
    await send(body(b"x" * int(scope["query_string"] or 1)))


async def kept(last_good: LastGood, path: str) -> bytes | None:
    """Return the body that would be served, if there is one."""
    registry = BreakerRegistry()
    registry.get("app").force_open()
    reply = await visit(BreakerMiddleware(echo, registry=registry, fallback=last_good), path)
    return reply.body if reply.status == 200 else None


async def keep(last_good: LastGood, path: str = "/", app: ASGIApp = echo) -> None:
    registry = BreakerRegistry()
    await visit(BreakerMiddleware(app, registry=registry, fallback=last_good), path)


async def test_a_body_in_several_messages_is_kept_as_one() -> None:
    last_good = LastGood()
    app = sending(
        START, body(b"a", more=True), body(b"", more=True), body(b"b", more=True), body(b"")
    )
    await keep(last_good, app=app)
    assert await kept(last_good, "/") == b"ab"


async def test_an_empty_body_is_kept() -> None:
    last_good = LastGood()
    await keep(last_good, app=sending(START, {"type": "http.response.body"}))
    assert await kept(last_good, "/") == b""


async def test_a_response_without_headers_is_kept() -> None:
    last_good = LastGood()
    start = {"type": "http.response.start", "status": 200}
    await keep(last_good, app=sending(start, body(b"bare")))
    assert await kept(last_good, "/") == b"bare"


@pytest.mark.parametrize(
    "messages",
    [
        [START],
        [START, body(b"half", more=True)],
        [START, {"type": "http.response.pathsend", "path": "/etc/hostname"}],
        [START, {"type": "http.response.zerocopysend", "file": 0}],
    ],
    ids=["no body", "half a body", "a path", "a file"],
)
async def test_an_incomplete_response_is_not_kept(messages: list[Message]) -> None:
    last_good = LastGood()
    await keep(last_good, app=sending(*messages))
    assert len(last_good) == 0


async def test_a_broken_stream_keeps_the_earlier_response() -> None:
    async def breaking(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({**START})
        await send(body(b"half", more=True))
        raise RuntimeError

    last_good = LastGood()
    await keep(last_good, app=sending(START, body(b"whole")))
    with pytest.raises(RuntimeError):
        await keep(last_good, app=breaking)
    assert await kept(last_good, "/") == b"whole"


async def test_a_response_that_the_client_did_not_receive_is_not_kept() -> None:
    async def gone(message: Message) -> None:
        if message["type"] == "http.response.body":
            raise OSError

    last_good = LastGood()
    app = BreakerMiddleware(echo, registry=BreakerRegistry(), fallback=last_good)
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
    with pytest.raises(OSError):
        await app(scope, NotImplemented, gone)
    assert len(last_good) == 0


async def test_a_response_that_may_not_be_kept_leaves_the_earlier_one() -> None:
    last_good = LastGood()
    await keep(last_good, app=sending(START, body(b"good")))
    await keep(last_good, app=sending({**START, "status": 500}, body(b"bad")))
    assert await kept(last_good, "/") == b"good"


async def test_headers_of_outer_middleware_are_not_kept() -> None:
    """A session's cookie, for one, is added to the message that the middleware has passed on."""

    async def count(_request: Request) -> Response:
        return PlainTextResponse("for all " * 1_000)

    class SignsIn:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                scope["session"]["user"] = "alice"
            await self.app(scope, receive, send)

    registry = BreakerRegistry()
    app = Starlette(
        routes=[Route("/", count)],
        middleware=[
            Middleware(GZipMiddleware),
            Middleware(SessionMiddleware, secret_key="secret"),
            Middleware(SignsIn),
            Middleware(BreakerMiddleware, registry=registry, fallback=LastGood()),
        ],
    )
    fields = [("accept-encoding", "gzip")]
    first = await visit(app, "/", "GET", fields)
    assert "set-cookie" in first.headers
    registry["GET /"].force_open()
    second = await visit(app, "/", "GET", fields)
    assert second.headers["age"] == "0"
    names = [name for name, _ in second.fields]
    assert names.count("set-cookie") == names.count("content-encoding") == 1


async def test_a_credential_that_an_inner_middleware_removes_counts() -> None:
    async def strip(scope: Scope, receive: Receive, send: Send) -> None:
        scope["headers"] = []
        await echo(scope, receive, send)

    last_good = LastGood()
    app = BreakerMiddleware(strip, registry=BreakerRegistry(), fallback=last_good)
    await visit(app, "/", "GET", [("authorization", "Bearer x")])
    assert len(last_good) == 0


async def test_a_mount_that_rewrites_the_path_does_not_mix_the_responses() -> None:
    async def rewrite(scope: Scope, receive: Receive, send: Send) -> None:
        scope["path"], scope["raw_path"] = "/", b"/"
        await echo(scope, receive, send)

    last_good = LastGood()
    await keep(last_good, "/private?3", app=rewrite)
    assert await kept(last_good, "/?3") is None
    assert await kept(last_good, "/private?3") == b"xxx"


async def test_two_routes_may_have_separate_fallbacks() -> None:
    async def answer(request: Request) -> Response:
        return PlainTextResponse(request.url.path)

    registry = BreakerRegistry()
    orders, users = LastGood(), LastGood()
    shop = Starlette(routes=[Route("/orders", answer), Route("/users", answer)])
    rules: dict[str, Any] = {
        "/orders": protected("orders", fallback=orders),
        "/users": protected("users", fallback=users),
    }
    app = BreakerMiddleware(shop, registry=registry, rules=rules)
    await visit(app, "/orders")
    assert (len(orders), len(users)) == (1, 0)
    registry["orders"].force_open()
    assert (await visit(app, "/orders")).text == "/orders"


async def test_a_websocket_gets_the_plain_refusal() -> None:
    registry = BreakerRegistry()
    registry.get("app").force_open()
    app = BreakerMiddleware(echo, registry=registry, fallback=LastGood(), websockets=True)
    reply = await visit(app, type="websocket")
    assert reply.kinds[-1] == "websocket.close"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_age": 0}, "max_age=0"),
        ({"max_age": -1}, "max_age=-1"),
        ({"max_age": float("inf")}, "max_age=inf"),
        ({"max_age": "300"}, "max_age='300'"),
        ({"max_age": None}, "max_age=None"),
        ({"max_entries": 0}, "max_entries=0"),
        ({"max_entries": 1.5}, "max_entries=1.5"),
        ({"max_entries": True}, "max_entries=True"),
        ({"max_bytes": 0}, "max_bytes=0"),
        ({"max_bytes": "10 MB"}, "max_bytes='10 MB'"),
        ({"max_bytes": 1_000}, "max_bytes=1000 has no effect"),
    ],
)
def test_a_wrong_setting_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(BreakerConfigError) as refusal:
        LastGood(**settings)
    assert str(refusal.value).startswith(message)


def test_the_class_in_place_of_an_instance_is_refused() -> None:
    with pytest.raises(BreakerConfigError, match=r"LastGood\(\)"):
        BreakerMiddleware(echo, fallback=LastGood)  # type: ignore[arg-type]
