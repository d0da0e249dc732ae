"""The warning at the start: readers that the application has not chosen."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount

from breaker_asgi import BreakerMiddleware, BreakerRegistry, CircuitBreakerMonitor
from breaker_asgi.monitor import nobody, public
from tests.asgi.visitor import visit
from tests.monitor.conftest import as_ann


async def start(app: Any) -> None:
    """Start an application, and shut it down."""
    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive() -> Any:
        return messages.pop(0)

    async def send(_message: Any) -> None: ...

    await app({"type": "lifespan", "state": {}}, receive, send)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    texts = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    return [text for text in texts if text.startswith("the monitor at ")]


def app_of(registry: BreakerRegistry, **settings: Any) -> Starlette:
    return Starlette(middleware=[Middleware(BreakerMiddleware, registry=registry, **settings)])


async def test_the_start_warns_of_open_access_once(
    registry: BreakerRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    app = app_of(registry, monitor_path="/ops")
    await start(app)
    (text,) = warnings(caplog)
    assert "at /ops shows names and states of all breakers to every client" in text
    for remedy in ("authorize=public", "authorize=nobody", "bearer(token)", "basic(", "Depends"):
        assert remedy in text
    await visit(app, "/ops")
    await visit(app, "/")
    assert len(warnings(caplog)) == 1


async def test_the_first_request_warns_where_no_lifespan_runs(
    registry: BreakerRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    await visit(app_of(registry), "/pay")
    assert len(warnings(caplog)) == 1


async def test_a_mounted_monitor_warns_with_its_first_request(
    registry: BreakerRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    app = Starlette(routes=[Mount("/ops/breakers", CircuitBreakerMonitor(registry=registry))])
    for _ in range(2):
        await visit(app, "/ops/breakers/")
    (text,) = warnings(caplog)
    assert "the monitor at /ops/breakers shows" in text


async def test_the_warning_mentions_operators(
    registry: BreakerRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    await start(app_of(registry, authorize_control=as_ann))
    assert "everything to operators whom authorize_control allows" in warnings(caplog)[0]


@pytest.mark.parametrize(
    "settings", [{"authorize": public}, {"authorize": nobody}, {"monitor_path": None}]
)
async def test_access_that_was_chosen_is_not_warned_of(
    registry: BreakerRegistry, caplog: pytest.LogCaptureFixture, settings: dict[str, Any]
) -> None:
    app = app_of(registry, **settings)
    await start(app)
    await visit(app, "/breakers")
    await asyncio.sleep(0)
    assert warnings(caplog) == []
