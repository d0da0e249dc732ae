"""Streams of events that every guarded client reads, judged by their first event or their end."""

from __future__ import annotations

import pytest

from breaker_asgi import BreakerConfig, BreakerRegistry
from tests.clients.callers import Caller, MakeCaller
from tests.integration.clients.test_every_client import only, outcome

WELL, ILL, NOTHING = (1, 0, 0), (0, 1, 0), (0, 0, 1)
Counts = tuple[int, int, int]


@pytest.fixture(params=["event", "end"])
def stream(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
async def reader(make: MakeCaller, config: BreakerConfig, stream: str) -> Caller:
    return make(config=config.replace(stream=stream, fail_max=1))


def counted(registry: BreakerRegistry) -> Counts:
    breaker = only(registry)
    return breaker.successes, breaker.failures, breaker.ignored


@pytest.mark.parametrize(
    ("story", "by_event", "by_end"),
    [
        ("events=token+token", WELL, WELL),
        ("events=ping", WELL, WELL),
        ("events=ping&then=cut", ILL, ILL),
        ("events=token&then=cut", WELL, ILL),
        ("events=token&then=hang", WELL, ILL),
        ("events=ping&then=hang", ILL, ILL),
        ("events=overloaded", ILL, ILL),
        ("events=token+overloaded", WELL, ILL),
        ("events=token+overloaded&then=hang", WELL, ILL),
    ],
)
async def test_a_stream_is_judged_by_its_events(
    story: str,
    by_event: Counts,
    by_end: Counts,
    reader: Caller,
    stream: str,
    dependency: str,
    registry: BreakerRegistry,
) -> None:
    await outcome(reader.get(f"{dependency}/tell?{story}"), reader.error)
    assert counted(registry) == (by_event if stream == "event" else by_end)


async def test_a_stream_closed_after_an_event_is_a_success(
    reader: Caller, dependency: str, registry: BreakerRegistry
) -> None:
    assert await reader.taste(f"{dependency}/tell?events=token&then=hang") == 200
    assert counted(registry) == WELL


async def test_a_stream_closed_before_an_event_is_ignored(
    reader: Caller, dependency: str, registry: BreakerRegistry
) -> None:
    assert await reader.glance(f"{dependency}/tell?events=ping&then=hang") == 200
    assert counted(registry) == NOTHING


async def test_the_reason_names_the_error_event_of_the_stream(
    reader: Caller, dependency: str, registry: BreakerRegistry
) -> None:
    await outcome(reader.get(f"{dependency}/tell?events=overloaded"), reader.error)
    reason = only(registry).snapshot().reason
    assert reason == "1 failures in a row: error event overloaded_error"


async def test_a_body_without_events_is_judged_by_its_end(
    reader: Caller, dependency: str, registry: BreakerRegistry
) -> None:
    assert await reader.get(f"{dependency}/ok") == 200
    assert counted(registry) == WELL
