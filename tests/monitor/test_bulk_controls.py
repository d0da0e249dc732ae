"""`POST /breakers/{action}`: one change for all breakers that a form selects."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from breaker_asgi import BreakerRegistry, CircuitBreaker, CircuitBreakerMonitor
from tests.asgi.visitor import Reply, visit
from tests.monitor.conftest import HTML
from tests.monitor.forms import FORM, post_form


@pytest.fixture(autouse=True)
def breakers(registry: BreakerRegistry) -> dict[str, CircuitBreaker]:
    names = ("http:bank", "http:mail", "redis:cache")
    return {name: registry.get(name) for name in names}


async def post(monitor: CircuitBreakerMonitor, action: str, *form: tuple[str, str]) -> Reply:
    return await post_form(monitor, f"/{action}", urlencode(form).encode())


def states(registry: BreakerRegistry) -> list[str]:
    return [breaker.state.value for breaker in registry]


async def test_a_pattern_selects_breakers_by_name(
    full: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    reply = await post(full, "force-open", ("name", "http:*"))
    assert reply.json["changed"] == ["http:bank", "http:mail"]
    assert states(registry) == ["forced_open", "forced_open", "closed"]


async def test_several_names_select_each_of_them(
    full: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    reply = await post(full, "disable", ("name", "http:mail"), ("name", "redis:cache"))
    assert reply.json["changed"] == ["http:mail", "redis:cache"]
    assert states(registry) == ["closed", "disabled", "disabled"]


async def test_a_state_selects_the_breakers_in_it(
    full: CircuitBreakerMonitor, registry: BreakerRegistry, breakers: dict[str, CircuitBreaker]
) -> None:
    breakers["http:mail"].open()
    reply = await post(full, "reset", ("state", "open"), ("state", "forced_open"))
    assert reply.json["changed"] == ["http:mail"]
    assert states(registry) == ["closed"] * 3


async def test_the_reason_the_end_and_the_author_hold_for_all(
    full: CircuitBreakerMonitor, breakers: dict[str, CircuitBreaker]
) -> None:
    await post(full, "force-open", ("name", "http:*"), ("why", "maintenance"), ("for", "600"))
    for name in ("http:bank", "http:mail"):
        snapshot = breakers[name].snapshot()
        assert "maintenance" in snapshot.reason
        assert snapshot.retry_after == pytest.approx(600, abs=1)
    events = (await visit(full, "/events")).json["events"]
    assert [event["who"] for event in events] == ["ann", "ann"]


@pytest.mark.parametrize("form", [(), (("why", "all of them?"),), (("name", ""),)])
async def test_without_a_selection_nothing_is_changed(
    full: CircuitBreakerMonitor, registry: BreakerRegistry, form: tuple[tuple[str, str], ...]
) -> None:
    reply = await post(full, "force-open", *form)
    assert reply.status == 400
    assert "name" in reply.json["detail"]
    assert states(registry) == ["closed"] * 3


@pytest.mark.parametrize(
    "field",
    [("for", "soon"), ("state", "broken"), ("until", "noon"), ("name", "x" * 2_000)],
    ids=["for", "state", "until", "name"],
)
async def test_a_wrong_field_changes_none(
    full: CircuitBreakerMonitor, registry: BreakerRegistry, field: tuple[str, str]
) -> None:
    assert (await post(full, "force-open", ("name", "http:*"), field)).status == 400
    assert states(registry) == ["closed"] * 3


async def test_a_selection_without_breakers_gets_404(full: CircuitBreakerMonitor) -> None:
    assert (await post(full, "open", ("name", "grpc:*"))).status == 404


async def test_a_browsers_form_is_redirected_to_the_page(full: CircuitBreakerMonitor) -> None:
    reply = await post_form(full, "/open", b"name=http:*", fields=(FORM, HTML))
    assert reply.status == 303


async def test_fields_in_the_address_are_refused(
    full: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    assert (await visit(full, "/open?name=*", "POST")).status == 400
    assert states(registry) == ["closed"] * 3
