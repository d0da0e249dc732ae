"""Breakers that share a name: in lists, on the page, and in requests by name."""

from __future__ import annotations

import pytest

from breaker_asgi import BreakerConfig, BreakerRegistry, CircuitBreaker, CircuitBreakerMonitor
from tests.asgi.visitor import visit
from tests.monitor.conftest import HTML
from tests.monitor.forms import post_form
from tests.monitor.host import Host
from tests.monitor.readers import Reader, settle, streaming
from tests.monitor.test_schema import check


@pytest.fixture
def twins(registry: BreakerRegistry) -> tuple[CircuitBreaker, CircuitBreaker]:
    """Two breakers of one name, the newer one first."""
    older, newer = (CircuitBreaker.from_config(BreakerConfig(), "bank") for _ in range(2))
    registry._register_weakly(older)
    registry._register_weakly(newer)
    return newer, older


@pytest.mark.usefixtures("twins")
async def test_no_page_of_a_list_leaves_a_namesake_out(full: CircuitBreakerMonitor) -> None:
    first = (await visit(full, "/?limit=1")).json
    second = (await visit(full, f"/?limit=1&after={first['next']}")).json
    listed = [breaker["name"] for listing in (first, second) for breaker in listing["breakers"]]
    assert listed == ["bank", "bank (2)"]
    assert second["next"] is None


@pytest.mark.usefixtures("twins")
@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("bank", ["bank", "bank (2)"]), ("bank%20(2)", ["bank (2)"]), ("*(2)", ["bank (2)"])],
)
async def test_namesakes_are_found_by_their_name_and_by_their_labels(
    full: CircuitBreakerMonitor, pattern: str, expected: list[str]
) -> None:
    listing = (await visit(full, f"/?name={pattern}")).json
    assert [breaker["name"] for breaker in listing["breakers"]] == expected


@pytest.mark.usefixtures("twins")
async def test_the_page_of_a_namesake_is_titled_by_its_label(full: CircuitBreakerMonitor) -> None:
    text = (await visit(full, "/bank (2)", "GET", [HTML])).body.decode()
    assert "bank (2)</title>" in text


async def test_each_namesake_is_shown_with_its_name_in_other_workers() -> None:
    host = Host()
    host.a.fail("payments", 1)
    twin = CircuitBreaker.from_config(BreakerConfig(), "payments")
    host.a.registry._register_weakly(twin)
    host.turn()
    await host.a.workers()
    host.turn(5)
    assert [worker["worker"] for worker in await host.a.workers("payments (2)")] == ["a", "b"]


async def test_a_breaker_lists_the_states_of_its_namesakes(
    full: CircuitBreakerMonitor, twins: tuple[CircuitBreaker, CircuitBreaker]
) -> None:
    twins[1].open()
    newer = check("detail", (await visit(full, "/bank")).text)
    older = check("detail", (await visit(full, "/bank (2)")).text)
    assert newer["namesakes"] == {"bank (2)": "open"}
    assert older["namesakes"] == {"bank": "closed"}


async def test_a_breaker_without_namesakes_has_none(
    full: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    registry.get("bank")
    assert (await visit(full, "/bank")).json["namesakes"] == {}


async def test_the_page_of_a_namesake_has_the_events_of_the_name(
    full: CircuitBreakerMonitor, twins: tuple[CircuitBreaker, CircuitBreaker]
) -> None:
    twins[1].open(why="migration")
    text = (await visit(full, "/bank (2)", "GET", [HTML])).body.decode()
    _, _, detail = text.partition('data-part="events"')
    assert "migration" in detail.partition("</ol>")[0]


async def test_a_change_is_followed_by_the_figures_of_all_namesakes(
    monitor: CircuitBreakerMonitor,
    registry: BreakerRegistry,
    twins: tuple[CircuitBreaker, CircuitBreaker],
) -> None:
    reader = Reader()
    async with streaming(monitor, reader):
        twins[1].open()
        await settle()
    states = {name: row["state"] for name, row in reader.rows.items()}
    assert states == {"bank": "closed", "bank (2)": "open"}


async def test_other_workers_see_the_worst_of_a_name_and_all_its_calls() -> None:
    host = Host()
    host.a.fail("payments", 1)
    twin = CircuitBreaker.from_config(host.a.registry.config, "payments")
    host.a.registry._register_weakly(twin)
    twin.acquire().success()
    host.a.fleet._links[twin].alone = True
    twin.open()
    host.turn()
    await host.b.workers()
    host.turn()
    (figures,) = [worker for worker in await host.b.workers() if worker["worker"] == "a"]
    assert (figures["state"], figures["successes"], figures["failures"]) == ("open", 1, 1)


async def test_a_pattern_changes_all_breakers_of_a_name(
    full: CircuitBreakerMonitor, twins: tuple[CircuitBreaker, CircuitBreaker]
) -> None:
    reply = await post_form(full, "/open", b"name=ban*")
    assert reply.json["changed"] == ["bank", "bank (2)"]
    assert [breaker.state for breaker in twins] == ["open", "open"]
