"""The likely cause of what is open, and the role of a breaker."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from breaker_asgi import BreakerMiddleware, BreakerRegistry, CircuitBreakerMonitor
from breaker_asgi.monitor.percentiles import histogram, percentile, timed_of, weighed
from breaker_asgi.monitor.summary import Suspect, likely_cause
from tests.asgi.visitor import visit


@pytest.mark.parametrize(
    ("suspects", "cause"),
    [
        ([], None),
        ([Suspect(1.0, "bank", is_of_route=False)], "bank"),
        ([Suspect(2.0, "bank", is_of_route=False), Suspect(1.0, "tax", is_of_route=False)], "tax"),
        ([Suspect(1.0, "GET /", is_of_route=True), Suspect(61.0, "tax", is_of_route=False)], "tax"),
        (
            [Suspect(1.0, "GET /", is_of_route=True), Suspect(61.5, "tax", is_of_route=False)],
            "GET /",
        ),
    ],
)
def test_the_first_outage_is_the_likely_cause_a_dependencys_before_a_routes(
    suspects: list[Suspect], cause: str | None
) -> None:
    assert likely_cause(suspects) == cause


async def test_an_outage_by_hand_is_no_cause(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    registry.get("tax").open()
    assert (await visit(monitor)).json["summary"]["likely_cause"] is None
    registry.get("bank", fail_max=1).acquire().failure()
    assert (await visit(monitor)).json["summary"]["likely_cause"] == "bank"


async def test_a_breaker_of_a_route_has_that_role(registry: BreakerRegistry) -> None:
    async def order(_request: Request) -> PlainTextResponse:
        return PlainTextResponse("")

    app = BreakerMiddleware(Starlette(routes=[Route("/orders", order)]), registry=registry)
    await visit(app, "/orders")
    registry.get("bank")
    listing = (await visit(CircuitBreakerMonitor(registry=registry))).json
    roles = {breaker["name"]: breaker["role"] for breaker in listing["breakers"]}
    assert roles == {"GET /orders": "route", "bank": "dependency"}


# Percentiles


def test_each_duration_counts_for_the_calls_that_it_stands_for() -> None:
    busy, idle = weighed([0.1], calls=99), weighed([0.9], calls=1)
    assert (percentile(busy + idle, 0.5), percentile(busy + idle, 1)) == (0.1, 0.9)


def test_a_percentile_of_nothing_is_unknown() -> None:
    assert percentile(weighed([], calls=7), 0.5) is None


@pytest.mark.parametrize("duration", [1e-6, 0.0004, 0.1, 3.0, 86_400.0])
def test_a_histogram_keeps_a_duration_to_two_percent(duration: float) -> None:
    ((kept, calls),) = timed_of(histogram([(duration, 3.0)]))
    assert calls == 3.0
    assert kept == pytest.approx(duration, rel=0.023, abs=1e-6)
