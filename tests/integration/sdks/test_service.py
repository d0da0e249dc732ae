"""A service on an LLM, a PostgreSQL and a Redis, with 20 clients, whose dependencies break."""

from __future__ import annotations

import pytest

from tests.integration.sdks.load import ROUTES, Phase, play, table

BROKEN = {
    "LLM hangs": ({"/chat", "/answer"}, "llm"),
    "LLM streams cut": ({"/chat", "/answer"}, "llm"),
    "PostgreSQL stopped": ({"/items/1"}, "database"),
    "Redis hangs": ({"/visits"}, "cache"),
}
"""The routes that need the broken dependency, and the name of its breaker."""
every_fault = pytest.mark.parametrize("fault", BROKEN)


@pytest.fixture(scope="module")
def phases() -> dict[str, Phase]:
    return {phase.name: phase for phase in play(seconds=6)}


def test_each_route_answers_while_all_is_well(phases: dict[str, Phase]) -> None:
    phase = phases["all well"]
    assert phase.statuses() == {"200"}
    assert {route for route, _ in phase.answers} == {*ROUTES}


@every_fault
def test_no_rejection_is_a_500(fault: str, phases: dict[str, Phase]) -> None:
    assert "500" not in phases[fault].statuses()


@every_fault
def test_routes_that_need_the_broken_dependency_reject(
    fault: str, phases: dict[str, Phase]
) -> None:
    routes, _ = BROKEN[fault]
    for route in routes:
        assert "503" in phases[fault].statuses(route)


@every_fault
def test_routes_that_need_other_things_answer(fault: str, phases: dict[str, Phase]) -> None:
    unaffected = {*ROUTES} - BROKEN[fault][0]
    assert phases[fault].statuses(*unaffected) == {"200"}


@every_fault
def test_each_rejection_has_a_retry_after(fault: str, phases: dict[str, Phase]) -> None:
    assert phases[fault].without_retry_after == 0


@every_fault
def test_the_page_names_the_breaker_of_the_dependency_and_no_route(
    fault: str, phases: dict[str, Phase]
) -> None:
    assert [*phases[fault].breakers] == [BROKEN[fault][1]]


def test_the_table_has_each_phase(phases: dict[str, Phase]) -> None:
    lines = table([*phases.values()]).splitlines()
    assert [line.partition(":")[0] for line in lines if not line.startswith(" ")] == [*phases]


@every_fault
def test_each_route_answers_soon_after_the_fault_is_mended(
    fault: str, phases: dict[str, Phase]
) -> None:
    assert phases[fault].recovered_after < 5
