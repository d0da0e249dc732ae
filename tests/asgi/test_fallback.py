"""`fallback`: an answer in the place of the 503."""

from __future__ import annotations

import functools
import logging
from collections.abc import AsyncIterator, Awaitable
from types import MappingProxyType
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from breaker_asgi import (
    BreakerConfigError,
    BreakerMiddleware,
    BreakerRegistry,
    CircuitBreaker,
    CircuitBreakerError,
    protected,
)
from breaker_asgi.asgi.types import ASGIApp, Receive, Scope, Send
from tests.asgi.visitor import Reply, visit


async def nothing(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """The application behind a breaker that never lets a request through."""
    raise AssertionError


async def answer_by(fallback: Any, method: str = "GET", /, **more: Any) -> Reply:
    """Return the response to a rejected request."""
    registry = BreakerRegistry()
    registry.get("app", timeout_duration=20).force_open()
    app = BreakerMiddleware(nothing, registry=registry, fallback=fallback, websockets=True)
    return await visit(app, "/orders?id=7", method, **more)


class Apology:
    """An ASGI application, as an object."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("sorry", 200)(scope, receive, send)


async def apology(scope: Scope, receive: Receive, send: Send) -> None:
    await Apology()(scope, receive, send)


@pytest.mark.parametrize(
    "fallback",
    [
        PlainTextResponse("sorry", 200),
        apology,
        Apology(),
        Apology().__call__,
        functools.partial(apology),
        Starlette(routes=[Route("/orders", lambda _: PlainTextResponse("sorry", 200))]),
    ],
    ids=["response", "function", "object", "method", "partial", "starlette"],
)
async def test_the_response_of_an_asgi_application_is_not_changed(fallback: ASGIApp) -> None:
    reply = await answer_by(fallback)
    assert (reply.status, reply.text) == (200, "sorry")
    assert "retry-after" not in reply.headers


RETRY_AFTER = [(b"Retry-After", b"7")]


def answering(status: int, headers: Any = ()) -> ASGIApp:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": status}
        await send(start if headers is None else start | {"headers": headers})
        await send({"type": "http.response.body", "body": b"sorry"})

    return app


@pytest.mark.parametrize(
    "fallback",
    [
        JSONResponse({"so": "sorry"}, 503),
        PlainTextResponse("sorry", 429),
        answering(503, None),
        answering(502, iter([(b"content-type", b"text/plain")])),
        lambda _request, _error: JSONResponse({"so": "sorry"}, 503),
    ],
)
async def test_an_error_response_gets_retry_after(fallback: Any) -> None:
    assert 20 <= int((await answer_by(fallback)).headers["retry-after"]) <= 24


async def test_an_error_response_keeps_its_own_retry_after() -> None:
    reply = await answer_by(answering(503, RETRY_AFTER))
    assert reply.fields == [("Retry-After", "7")]


async def test_the_messages_of_an_application_are_not_changed() -> None:
    start = {"type": "http.response.start", "status": 503, "headers": []}

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(start)
        await send({"type": "http.response.body"})

    assert "retry-after" in (await answer_by(app)).headers
    assert start["headers"] == []


async def test_an_error_response_to_a_handshake_gets_retry_after() -> None:
    reply = await answer_by(PlainTextResponse("sorry", 503), **WITH_HTTP)
    assert 20 <= int(reply.headers["retry-after"]) <= 24


@pytest.mark.parametrize(("fallback", "text"), [(dict, "{}"), (str, "")])
async def test_dict_and_str_stand_for_an_empty_body(fallback: Any, text: str) -> None:
    reply = await answer_by(fallback)
    assert (reply.status, reply.text) == (503, text)


async def test_a_response_is_sent_repeatedly() -> None:
    fallback = JSONResponse({"orders": []})
    for _ in range(2):
        assert (await answer_by(fallback)).text == '{"orders":[]}'


@pytest.mark.parametrize(
    ("fallback", "kind", "text"),
    [
        ({"detail": "Später."}, "application/json", '{"detail": "Sp\\u00e4ter."}'),
        ({}, "application/json", "{}"),
        (MappingProxyType({"a": [1, None]}), "application/json", '{"a": [1, null]}'),
        ("Später.", "text/plain; charset=utf-8", "Später."),
        ("", "text/plain; charset=utf-8", ""),
    ],
)
async def test_a_mapping_and_a_string_are_the_body_of_a_503(
    fallback: object, kind: str, text: str
) -> None:
    reply = await answer_by(fallback)
    assert (reply.status, reply.text) == (503, text)
    assert reply.headers["content-type"] == kind
    assert reply.headers["content-length"] == str(len(text.encode()))
    assert 20 <= int(reply.headers["retry-after"]) <= 24
    assert reply.headers["cache-control"] == "no-store"


def by_path(request: Request, error: CircuitBreakerError) -> str:
    return f"{request.url.path} of {request.query_params['id']}: {error.name}"


async def by_path_async(request: Request, error: CircuitBreakerError) -> str:
    return by_path(request, error)


def by_path_of_any(*arguments: Any) -> str:
    return by_path(*arguments)


class ByPath:
    def __call__(self, request: Request, error: CircuitBreakerError) -> Awaitable[str]:
        return by_path_async(request, error)

    def method(self, request: Request, error: CircuitBreakerError) -> str:
        return by_path(request, error)


@pytest.mark.parametrize(
    "fallback",
    [
        by_path,
        by_path_async,
        ByPath(),
        ByPath().method,
        functools.partial(by_path_async),
        by_path_of_any,
    ],
    ids=["plain", "async", "object", "method", "partial", "variadic"],
)
async def test_a_function_gets_the_request_and_the_error(fallback: Any) -> None:
    assert (await answer_by(fallback)).text == "/orders of 7: app"


@pytest.mark.parametrize(
    ("content", "status"),
    [("sorry", 503), ({"so": "sorry"}, 503), (PlainTextResponse("so sorry"), 200), (apology, 200)],
    ids=["string", "mapping", "response", "application"],
)
async def test_a_function_returns_any_kind_of_content(content: Any, status: int) -> None:
    reply = await answer_by(lambda _request, _error: content)
    assert reply.status == status
    assert "sorry" in reply.text


async def test_a_function_may_read_the_body() -> None:
    async def tell_length(request: Request, _error: CircuitBreakerError) -> str:
        return str(len(await request.body()))

    assert (await answer_by(tell_length, "POST")).text == "0"


@pytest.mark.parametrize("fallback", ["sorry", {"so": "sorry"}])
async def test_head_gets_the_headers_alone(fallback: object) -> None:
    reply = await answer_by(fallback, "HEAD")
    assert reply.body == b""
    assert int(reply.headers["content-length"]) > 0


async def test_without_a_fallback_the_plain_503_is_sent() -> None:
    assert_is_plain(await answer_by(None))


def assert_is_plain(reply: Reply) -> None:
    assert reply.status == 503
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.kinds == ["http.response.start", "http.response.body"]


async def raising(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise LookupError("secret")


def raise_at_once(_request: Request, _error: CircuitBreakerError) -> str:
    raise LookupError("secret")


async def raise_later(_request: Request, _error: CircuitBreakerError) -> str:
    raise LookupError("secret")


@pytest.mark.parametrize(
    "fallback",
    [
        raising,
        raise_at_once,
        raise_later,
        lambda _request, _error: None,
        lambda _request, _error: 503,
        lambda _request, _error: ["a", "list"],
        lambda _request, _error: {"when": object()},
        lambda _request, _error: raising,
    ],
    ids=["application", "plain", "async", "None", "number", "list", "not JSON", "its application"],
)
async def test_a_failing_fallback_gives_the_plain_503_and_is_logged_once(
    fallback: Any, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        reply = await answer_by(fallback)
        assert_is_plain(reply)
        assert "secret" not in reply.text
    (record,) = (entry for entry in caplog.records if entry.levelno >= logging.ERROR)
    assert record.name == "breaker_asgi"
    assert "fallback" in record.getMessage()
    assert record.exc_info is not None


async def test_an_application_that_sends_nothing_gives_the_plain_503() -> None:
    async def silent(_scope: Scope, _receive: Receive, _send: Send) -> None:
        return

    assert_is_plain(await answer_by(silent))


async def test_a_fallback_that_fails_in_its_body_raises_to_the_server(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def chunks() -> AsyncIterator[str]:
        yield "half"
        raise LookupError

    async def breaking(scope: Scope, receive: Receive, send: Send) -> None:
        await StreamingResponse(chunks(), 200)(scope, receive, send)

    registry = BreakerRegistry()
    registry.get("app").force_open()
    app = BreakerMiddleware(nothing, registry=registry, fallback=breaking)
    sent = Reply()
    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/", "headers": []}
    with pytest.raises((LookupError, ExceptionGroup)):
        await app(scope | {"asgi": {"spec_version": "2.4"}}, NotImplemented, sent.receive)
    assert sent.kinds == ["http.response.start", "http.response.body"]
    assert sent.body == b"half"
    assert [record.levelno for record in caplog.records] == [logging.WARNING, logging.ERROR]


async def test_an_interrupted_fallback_raises() -> None:
    async def cancelled(_request: object, _error: CircuitBreakerError) -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await answer_by(cancelled)


WITH_HTTP: dict[str, Any] = {"type": "websocket", "extensions": {"websocket.http.response": {}}}


@pytest.mark.parametrize("fallback", ["sorry", {"so": "sorry"}, PlainTextResponse("so sorry", 503)])
async def test_a_fallback_answers_the_handshake_of_a_websocket(fallback: object) -> None:
    reply = await answer_by(fallback, **WITH_HTTP)
    assert reply.kinds == ["websocket.http.response.start", "websocket.http.response.body"]
    assert reply.status == 503
    assert "sorry" in reply.text


async def test_an_application_may_accept_the_websocket() -> None:
    async def talk(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "sorry"})
        await send({"type": "websocket.close", "code": 1013})

    reply = await answer_by(talk, type="websocket")
    assert reply.kinds == ["websocket.accept", "websocket.send", "websocket.close"]


@pytest.mark.parametrize(
    "fallback", [None, "sorry", {"so": "sorry"}, PlainTextResponse("so sorry"), raising]
)
async def test_a_websocket_is_closed_if_the_server_can_not_answer_handshakes(
    fallback: object,
) -> None:
    reply = await answer_by(fallback, type="websocket")
    assert reply.kinds == ["websocket.accept", "websocket.close"]
    assert reply.messages[-1]["code"] == 1013


async def test_a_function_gets_the_scope_of_a_websocket() -> None:
    def tell_path(scope: Scope, _error: CircuitBreakerError) -> str:
        path: str = scope["path"]
        return path

    assert (await answer_by(tell_path, **WITH_HTTP)).text == "/orders"


async def answer(_request: Request) -> Response:
    return PlainTextResponse("fresh")


async def test_the_fallback_of_a_mark_or_a_rule_precedes_the_middlewares() -> None:
    registry = BreakerRegistry()
    marked = protected(fallback="of the mark")(functools.partial(answer))
    shop = Starlette(
        routes=[Route("/marked", marked), Route("/ruled", answer), Route("/other", answer)]
    )
    app = BreakerMiddleware(
        shop,
        registry=registry,
        rules={"/ruled": protected(fallback="of the rule"), "/other": "other"},
        fallback="of the middleware",
    )
    for path in ("/marked", "/ruled", "/other"):
        await visit(app, path)
    for breaker in registry:
        breaker.force_open()
    replies = [(await visit(app, path)).text for path in ("/marked", "/ruled", "/other")]
    assert replies == ["of the mark", "of the rule", "of the middleware"]


async def test_a_fallback_answers_a_rejection_that_leaves_the_handler() -> None:
    bank = CircuitBreaker(name="bank")
    bank.open()

    @bank
    async def pay(_request: Request) -> Response:
        return PlainTextResponse("paid")

    app = BreakerMiddleware(
        Starlette(routes=[Route("/pay", pay)]),
        registry=BreakerRegistry(),
        fallback=lambda _request, error: f"no {error.name}",
    )
    assert (await visit(app, "/pay")).text == "no bank"


async def test_a_fallback_with_status_200_is_no_success_of_the_route() -> None:
    registry = BreakerRegistry()
    breaker = registry.get("app")
    breaker.force_open()
    app = BreakerMiddleware(nothing, registry=registry, fallback=PlainTextResponse("sorry"))
    await visit(app)
    assert (breaker.successes, breaker.failures, breaker.rejected) == (0, 0, 1)


@pytest.mark.parametrize(
    "wrong",
    [
        503,
        b"sorry",
        ["sorry"],
        object(),
        lambda: "sorry",
        lambda request: "sorry",
        lambda a, b, c, d: "sorry",
        Apology,
        list,
        int,
        {"when": object()},
        {"rate": float("nan")},
        "\ud800",
    ],
)
def test_a_wrong_fallback_is_refused(wrong: Any) -> None:
    for give in (
        lambda: BreakerMiddleware(nothing, fallback=wrong),
        lambda: protected(fallback=wrong),
    ):
        with pytest.raises(BreakerConfigError, match=r"^fallback=.* is not allowed: give a string"):
            give()
