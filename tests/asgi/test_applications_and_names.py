"""Breakers that are looked up by name, warnings about them, and unknown settings."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse, Response

from breaker_asgi import (
    BreakerConfig,
    BreakerConfigError,
    BreakerConfigWarning,
    BreakerMiddleware,
    BreakerRegistry,
    CircuitBreaker,
    CircuitBreakerError,
    breaker,
    default_registry,
    install,
    protected,
)
from tests.asgi.conftest import Get


def shop(*guards: Any) -> FastAPI:
    app = FastAPI()

    @app.get("/pay", dependencies=[Depends(guard) for guard in guards])
    async def pay() -> str:
        return "paid"

    return app


# The breaker of a dependency


async def test_a_dependency_uses_a_breaker_made_after_it(call: Get) -> None:
    app = shop(breaker("pay"))
    made = CircuitBreaker(name="pay", fail_max=3)
    await call(app, "/pay")
    assert made.successes == 1
    assert default_registry.all_named("pay") == (made,)


async def test_a_dependency_uses_a_breaker_made_before_it(call: Get) -> None:
    made = CircuitBreaker(name="pay", fail_max=3)
    await call(shop(breaker("pay")), "/pay")
    assert made.successes == 1


async def test_a_dependency_uses_the_breaker_of_its_registry(call: Get) -> None:
    registry = BreakerRegistry()
    await call(shop(breaker("pay", registry=registry)), "/pay")
    assert registry["pay"].successes == 1
    assert "pay" not in default_registry


async def test_the_same_name_and_registry_give_the_same_dependency() -> None:
    registry = BreakerRegistry()
    assert breaker("pay", registry=registry) is breaker("pay", registry=registry)
    assert breaker("pay", registry=registry) is not breaker("pay")


# The log


async def test_the_log_warns_of_named_breakers_outside_the_middlewares_registry(
    call: Get, caplog: pytest.LogCaptureFixture
) -> None:
    bank = CircuitBreaker(name="bank")
    app = shop()
    app.add_middleware(BreakerMiddleware, registry=BreakerRegistry())
    with caplog.at_level(logging.WARNING, "breaker_asgi"):
        await call(app, "/pay")
        await call(app, "/pay")
    (record,) = caplog.records
    assert "'bank'" in record.getMessage()
    assert "default_registry.configure(" in record.getMessage()
    assert bank.name == "bank"


@pytest.mark.parametrize(("path", "warned"), [("/breakers", 1), ("/{page}", 0)])
async def test_the_log_warns_of_a_route_that_the_monitor_hides(
    call: Get, caplog: pytest.LogCaptureFixture, path: str, warned: int
) -> None:
    app = shop()
    app.get(path)(lambda: "fuses")
    app.add_middleware(BreakerMiddleware)
    with caplog.at_level(logging.WARNING, "breaker_asgi"):
        await call(app, "/pay")
        await call(app, "/breakers")
    assert sum("monitor_path" in record.getMessage() for record in caplog.records) == warned


# Sources of failures and rejections


@pytest.mark.parametrize("path", ["/handler", "/dependency"])
async def test_the_failures_of_an_application_called_in_process_count(call: Get, path: str) -> None:
    def need() -> None:
        raise RuntimeError

    inner, outer = FastAPI(), FastAPI()
    inner.get("/dependency", dependencies=[Depends(need)])(lambda: "never")
    inner.get("/handler")(need)

    @outer.get("/", dependencies=[Depends(breaker("inner"))])
    async def ask() -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(inner)) as client:
            return (await client.get(f"http://inner{path}")).status_code

    assert (await call(outer, "/")).status_code == 500
    assert default_registry["inner"].failures == 1


class RejectedError(CircuitBreakerError, httpx.TransportError):
    """A rejection by the transport of a client."""


def by_the_dependency(app: FastAPI) -> None:
    app.router.dependencies.append(Depends(breaker("route")))


def by_the_middleware(app: FastAPI) -> None:
    app.add_middleware(BreakerMiddleware)


def by_both(app: FastAPI) -> None:
    by_the_dependency(app)
    by_the_middleware(app)


@pytest.mark.parametrize("guarded", [by_the_dependency, by_the_middleware, by_both])
async def test_a_handler_for_the_errors_of_a_client_is_not_for_rejections(
    call: Get, guarded: Callable[[FastAPI], None]
) -> None:
    app = FastAPI()
    guarded(app)
    bank = CircuitBreaker(name="bank")
    bank.open()

    @app.exception_handler(httpx.HTTPError)
    async def bad_gateway(_request: Request, _error: httpx.HTTPError) -> Response:
        return JSONResponse({"detail": "bad gateway"}, 502)

    @app.get("/rejected")
    async def rejected() -> None:
        with pytest.raises(CircuitBreakerError) as caught:
            bank.acquire()
        raised = caught.value
        raised.__class__ = RejectedError
        raise raised

    @app.get("/unreachable")
    async def unreachable() -> None:
        raise httpx.ConnectError("no route")

    assert (await call(app, "/rejected")).status_code == 503
    assert (await call(app, "/unreachable")).status_code == 502


# Late installation


async def test_install_works_on_an_application_that_has_started(call: Get) -> None:
    app = FastAPI()
    bank = CircuitBreaker(name="bank")
    bank.open()
    app.get("/pay")(bank(lambda: "paid"))
    await call(app, "/nowhere")
    install(app)
    response = await call(app, "/pay")
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"


async def test_install_refuses_an_application_whose_handlers_are_hidden(call: Get) -> None:
    class Hides:
        def __init__(self, app: Any) -> None:
            self._inner = app

        async def __call__(self, *messages: Any) -> None:
            await self._inner(*messages)

    app = FastAPI()
    app.add_middleware(Hides)
    await call(app, "/nowhere")
    with pytest.raises(RuntimeError, match="where the application is made"):
        install(app)


# Settings


async def test_a_warning_about_settings_is_not_raised_again_at_a_request(call: Get) -> None:
    app = shop()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BreakerConfigWarning)
        slow = protected("slow", timeout_duration=7_200)
        config = BreakerConfig(fail_max=3, timeout_duration=7_200)
        middleware = BreakerMiddleware(app, config=config, rules={"/pay": slow})
        other = BreakerMiddleware(shop(), config=config)
        registry = BreakerRegistry(settings={"s*": {"timeout_duration": 7_200}})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (await call(middleware, "/pay")).status_code == 200
        assert (await call(other, "/pay")).status_code == 200
        registry.get("slow")


def test_the_config_of_a_second_middleware_for_a_name_that_is_shared_is_refused() -> None:
    first = BreakerMiddleware(shop(), rules={"/pay": "payments"})
    with pytest.raises(BreakerConfigError, match="no effect on breaker 'payments'"):
        BreakerMiddleware(
            shop(), rules={"/pay": "payments"}, config=BreakerConfig(timeout_duration=9)
        )
    assert first.config != BreakerConfig(timeout_duration=9)


@pytest.mark.parametrize(
    ("setting", "remedy"),
    [
        ("failure_threshold", "It is called fail_max here"),
        ("reset_timeout", "It is called timeout_duration here"),
        ("recovery_timeout", "It is called timeout_duration here"),
        ("expected_exception", "It is called failures here"),
        ("state_storage", "default_registry.share"),
        ("nonsense", "docs/reference.md"),
    ],
)
@pytest.mark.parametrize(
    "function", [breaker, protected, default_registry.get], ids=["breaker", "protected", "get"]
)
def test_the_refusal_of_another_librarys_setting_names_ours(
    function: Callable[..., object], setting: str, remedy: str
) -> None:
    with pytest.raises(TypeError, match=remedy):
        function("payments", **{setting: None})


def test_the_refusal_of_a_breakers_setting_names_config() -> None:
    settings: dict[str, Any] = {"fail_max": 3}
    with pytest.raises(TypeError, match=r"config=BreakerConfig\(fail_max=\.\.\.\)"):
        BreakerMiddleware(shop(), **settings)


def test_a_dependency_refuses_a_breaker_in_place_of_a_name() -> None:
    with pytest.raises(BreakerConfigError, match=r'Depends\(breaker\("payments"\)\)'):
        breaker(CircuitBreaker())  # type: ignore[arg-type]
