"""Frameworks that hide their routes, and the exceptions of their handlers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import blacksheep
import django.conf
import falcon.asgi
import litestar
import litestar.exceptions
import litestar.middleware
import pytest
import quart

from breaker_asgi import (
    BreakerMiddleware,
    BreakerRegistry,
    CircuitBreaker,
    CircuitBreakerError,
    protected,
    unprotected,
)
from breaker_asgi.asgi.types import Message
from breaker_asgi.monitor import public
from tests.asgi.conftest import Get

if not django.conf.settings.configured:
    django.conf.settings.configure(
        ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="shop", MIDDLEWARE=[]
    )

import django.core.asgi
import django.http
import django.urls
import django.views


@pytest.fixture
def registry() -> BreakerRegistry:
    return BreakerRegistry()


async def charge() -> None:
    bank = CircuitBreaker(name="bank")
    bank.open(60)
    bank.acquire()


async def raised_from_it() -> None:
    try:
        await charge()
    except CircuitBreakerError as error:
        raise ValueError from error


async def in_a_group() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(charge())


async def boom() -> None:
    raise RuntimeError


Handler = Callable[[], Awaitable[None]]


# Exceptions of handlers


def in_falcon(handler: Handler) -> Any:
    class Resource:
        async def on_get(self, _request: Any, _response: Any) -> None:
            await handler()

    app = falcon.asgi.App()
    app.add_route("/pay", Resource())
    return app


def in_blacksheep(handler: Handler) -> Any:
    app = blacksheep.Application(router=blacksheep.Router())

    @app.router.get("/pay")
    async def pay() -> None:
        await handler()

    return app


def in_quart(handler: Handler) -> Any:
    app = quart.Quart(__name__)

    @app.get("/pay")
    async def pay() -> str:
        await handler()
        return ""

    return app


def in_litestar(handler: Handler) -> Any:
    @litestar.get("/pay")
    async def pay() -> None:
        await handler()

    return litestar.Litestar([pay])


def in_django(handler: Handler) -> Any:
    async def pay(_request: django.http.HttpRequest) -> django.http.HttpResponse:
        await handler()
        return django.http.HttpResponse()

    urlpatterns[:] = [django.urls.path("pay", pay)]
    django.urls.clear_url_caches()
    return django.core.asgi.get_asgi_application()


urlpatterns: list[Any] = []
FRAMEWORKS = [in_falcon, in_blacksheep, in_quart, in_litestar, in_django]


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("handler", [charge, raised_from_it, in_a_group])
async def test_a_rejection_that_leaves_a_handler_is_a_503_and_ignored(
    call: Get, registry: BreakerRegistry, framework: Callable[[Handler], Any], handler: Handler
) -> None:
    app = BreakerMiddleware(framework(handler), registry=registry)
    await start(app)
    reply = await call(app, "/pay")
    assert reply.status_code == 503
    assert 60 <= int(reply.headers["retry-after"]) <= 72
    assert (registry["app"].failures, registry["app"].ignored) == (0, 1)


@pytest.mark.parametrize("framework", FRAMEWORKS)
async def test_another_exception_is_the_frameworks_500_and_counted(
    call: Get, registry: BreakerRegistry, framework: Callable[[Handler], Any]
) -> None:
    app = BreakerMiddleware(framework(boom), registry=registry)
    await start(app)
    assert (await call(app, "/pay")).status_code == 500
    assert registry["app"].failures == 1


async def talks_in_falcon(handler: Handler) -> Any:
    class Resource:
        async def on_websocket(self, _request: Any, _websocket: Any) -> None:
            await handler()

    app = falcon.asgi.App()
    app.add_route("/talk", Resource())
    return app


async def talks_in_blacksheep(handler: Handler) -> Any:
    app = blacksheep.Application(router=blacksheep.Router())

    @app.router.ws("/talk")
    async def talk(websocket: blacksheep.WebSocket) -> None:
        await handler()

    await app.start()  # type: ignore[no-untyped-call]
    return app


async def talks_in_quart(handler: Handler) -> Any:
    app = quart.Quart(__name__)

    @app.websocket("/talk")
    async def talk() -> None:
        await handler()

    return app


async def talks_in_litestar(handler: Handler) -> Any:
    @litestar.websocket("/talk")
    async def talk(socket: litestar.WebSocket[Any, Any, Any]) -> None:
        await handler()

    return litestar.Litestar([talk])


WEBSOCKET = {
    "type": "websocket",
    "asgi": {"version": "3.0", "spec_version": "2.3"},
    "http_version": "1.1",
    "scheme": "ws",
    "path": "/talk",
    "raw_path": b"/talk",
    "query_string": b"",
    "headers": [(b"host", b"shop")],
    "subprotocols": [],
    "client": ("127.0.0.1", 5000),
    "server": ("127.0.0.1", 80),
    "extensions": {"websocket.http.response": {}},
}


@pytest.mark.parametrize(
    "framework", [talks_in_falcon, talks_in_blacksheep, talks_in_quart, talks_in_litestar]
)
@pytest.mark.parametrize("handler", [charge, raised_from_it])
async def test_a_rejection_that_leaves_a_websocket_is_a_503_and_ignored(
    registry: BreakerRegistry,
    framework: Callable[[Handler], Awaitable[Any]],
    handler: Handler,
) -> None:
    app = BreakerMiddleware(await framework(handler), registry=registry, websockets=True)
    received: list[Message] = [{"type": "websocket.connect"}]
    sent: list[Message] = []
    answered = asyncio.Event()

    async def receive() -> Message:
        if received:
            return received.pop()
        await answered.wait()
        return {"type": "websocket.disconnect", "code": 1006}

    async def send(message: Message) -> None:
        sent.append(message)
        if message["type"] == "websocket.http.response.body":
            answered.set()

    await asyncio.wait_for(app(dict(WEBSOCKET), receive, send), 5)
    assert sent[0]["status"] == 503
    assert [message["type"] for message in sent] == [
        "websocket.http.response.start",
        "websocket.http.response.body",
    ]
    assert (registry["app"].failures, registry["app"].ignored) == (0, 1)


async def start(app: Any) -> None:
    """Start an application, as servers do; Django supports no lifespan."""
    started = asyncio.Event()

    async def receive() -> Message:
        if not started.is_set():
            return {"type": "lifespan.startup"}
        return await asyncio.Future()

    async def send(_: Message) -> None:
        started.set()

    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
    running = asyncio.ensure_future(app(scope, receive, send))
    waiting = asyncio.ensure_future(started.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    for task in (running, waiting):
        task.cancel()
    await asyncio.gather(running, waiting, return_exceptions=True)


async def test_an_error_reporter_of_the_application_in_falcon_is_called_too(
    call: Get, registry: BreakerRegistry
) -> None:
    errors: list[BaseException] = []
    app: Any = falcon.asgi.App()
    app.set_error_reporter(lambda _request, error, _params, _handled: errors.append(error))

    class Resource:
        async def on_get(self, _request: Any, _response: Any) -> None:
            await charge()

    app.add_route("/pay", Resource())
    guarded = [BreakerMiddleware(app, registry=registry) for _ in range(2)]
    await call(guarded[-1], "/pay")
    assert [type(error) for error in errors] == [CircuitBreakerError]


# Marks


@unprotected
async def health() -> str:
    return "well"


@protected("payments", fail_max=2)
async def pay(number: str) -> str:
    return number


@protected(fail_max=2)
async def own(number: str) -> str:
    return number


async def plain() -> str:
    return "plain"


def marked_in_quart() -> Any:
    app = quart.Quart(__name__)
    for path, view in [
        ("/pay/<number>", pay),
        ("/own/<number>", own),
        ("/health", health),
        ("/plain", plain),
    ]:
        app.add_url_rule(path, view_func=view)  # type: ignore[arg-type]
    return app


def litestar_handlers() -> list[Any]:
    @litestar.get("/pay/{number:str}")
    @protected("payments", fail_max=2)
    async def pay() -> str:
        return "paid"

    @litestar.get("/own/{number:str}")
    @protected(fail_max=2)
    async def own() -> str:
        return "own"

    return [
        pay,
        own,
        litestar.get("/health")(health),
        litestar.get("/plain")(plain),
    ]


def marked_in_litestar() -> Any:
    return litestar.Litestar(litestar_handlers())


def marked_in_django() -> Any:
    @protected("payments", fail_max=2)
    class Pay(django.views.View):  # type: ignore[misc]
        async def get(self, _request: Any, number: str) -> django.http.HttpResponse:
            return django.http.HttpResponse(number.encode())

    @protected(fail_max=2)
    async def own(_request: Any, number: str) -> django.http.HttpResponse:
        return django.http.HttpResponse(number.encode())

    @unprotected
    def health(_request: Any) -> django.http.HttpResponse:
        return django.http.HttpResponse(b"well")

    urlpatterns[:] = [
        django.urls.path("pay/<number>", Pay.as_view()),
        django.urls.path("own/<number>", own),
        django.urls.path("health", health),
        django.urls.path("plain", lambda _request: django.http.HttpResponse(b"plain")),
    ]
    django.urls.clear_url_caches()
    return django.core.asgi.get_asgi_application()


OWN = {
    marked_in_quart: "GET /own/<number>",
    marked_in_litestar: "GET /own/{number}",
    marked_in_django: "GET /own/<number>",
}


@pytest.mark.parametrize("framework", OWN)
async def test_marks_are_found(
    call: Get,
    registry: BreakerRegistry,
    framework: Callable[[], Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = BreakerMiddleware(framework(), registry=registry, authorize=public)
    for path in ("/pay/1", "/pay/2", "/own/1", "/own/2", "/health", "/plain"):
        assert (await call(app, path)).status_code == 200
    counted = {judge.name: (judge.config.fail_max, judge.successes) for judge in registry}
    assert counted == {"payments": (2, 2), OWN[framework]: (2, 2), "app": (None, 1)}
    assert not [record for record in caplog.records if record.name == "breaker_asgi"]


@pytest.mark.parametrize("framework", OWN)
@pytest.mark.parametrize("path", ["/nowhere", "/pay/", "/pay/1/2", "//", "/own"])
async def test_a_path_that_leads_nowhere_has_no_mark(
    call: Get, registry: BreakerRegistry, framework: Callable[[], Any], path: str
) -> None:
    reply = await call(BreakerMiddleware(framework(), registry=registry), path)
    assert reply.status_code in {301, 308, 404}
    assert [judge.name for judge in registry] == ["app"]


async def test_a_mark_without_effect_is_logged_once(
    call: Get, registry: BreakerRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    class Resource:
        @protected("payments")
        async def on_get(self, _request: Any, response: Any) -> None:
            response.text = "paid"

    falcon_app: Any = falcon.asgi.App()
    falcon_app.add_route("/pay", Resource())
    app = BreakerMiddleware(falcon_app, registry=registry, authorize=public)
    for _ in range(2):
        await call(app, "/pay")
    (record,) = [record for record in caplog.records if record.name == "breaker_asgi"]
    assert record.levelno == logging.WARNING
    assert "@protected" in record.getMessage()
    assert "Write rules=" in record.getMessage()


# Litestar's own middleware


def own_middleware(registry: BreakerRegistry, *handlers: Any) -> Any:
    middleware: Any = BreakerMiddleware
    own = litestar.middleware.DefineMiddleware(middleware, registry=registry, authorize=public)
    return litestar.Litestar(handlers, middleware=[own])


@pytest.mark.parametrize(
    "error",
    [
        litestar.exceptions.NotAuthorizedException(),
        litestar.exceptions.TooManyRequestsException(),
        litestar.exceptions.NotFoundException(),
    ],
)
async def test_an_exception_of_litestars_below_500_is_a_success(
    call: Get, registry: BreakerRegistry, error: litestar.exceptions.HTTPException
) -> None:
    @litestar.get("/pay")
    async def pay() -> None:
        raise error

    reply = await call(own_middleware(registry, pay), "/pay")
    assert reply.status_code == error.status_code
    assert (registry["app"].successes, registry["app"].failures) == (1, 0)


async def test_a_rejection_in_litestars_own_middleware_is_a_503(
    call: Get, registry: BreakerRegistry
) -> None:
    @litestar.get("/pay")
    async def pay() -> None:
        await raised_from_it()

    reply = await call(own_middleware(registry, pay), "/pay")
    assert (reply.status_code, "retry-after" in reply.headers) == (503, True)
    assert registry["app"].ignored == 1


async def test_marks_are_found_by_litestars_own_middleware(
    call: Get, registry: BreakerRegistry
) -> None:
    app = own_middleware(registry, *litestar_handlers())
    for path in ("/pay/1", "/own/1", "/health", "/plain"):
        await call(app, path)
    assert sorted(judge.name for judge in registry) == ["GET /own/{number}", "app", "payments"]


@pytest.mark.parametrize("path", ["/breakers", "/breakers/app"])
async def test_the_monitor_is_where_litestar_has_a_route(
    call: Get, registry: BreakerRegistry, path: str
) -> None:
    methods: Any = ["GET", "HEAD", "POST"]

    @litestar.route(["/breakers", "/breakers/{rest:path}"], http_method=methods)
    async def breakers() -> None:
        raise AssertionError

    registry.get("app")
    reply = await call(own_middleware(registry, breakers), path)
    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/json")
