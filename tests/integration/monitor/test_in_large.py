"""The monitor in large: tests that take too long for the logic suite."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as held_to
from hypothesis import strategies as st

from breaker_asgi import BreakerRegistry, CircuitBreakerMonitor
from breaker_asgi.monitor.broadcaster import _broadcasters
from breaker_asgi.monitor.history import History
from tests.monitor.conftest import HTML, allow, as_ann
from tests.monitor.test_schema import Shop, check, configs, deeds, fields_of, live, names
from tests.monitor.test_stream_reader import deeds as all_deeds
from tests.monitor.test_stream_reader import play
from tests.monitor.test_under_attack import Reader, attack, reading, settle


@pytest.fixture
def registry() -> BreakerRegistry:
    return BreakerRegistry()


@pytest.fixture
def full(registry: BreakerRegistry) -> CircuitBreakerMonitor:
    return CircuitBreakerMonitor(registry=registry, authorize=allow, authorize_control=as_ann)


async def test_ten_thousand_breakers_can_be_listed_shown_and_streamed(
    full: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    for number in range(10_000):
        registry.get(f"{number}").acquire().success()
    assert (await attack(full, "/")).json["summary"]["total"] == 10_000
    assert len((await attack(full, "/", "GET", [HTML])).body) < 200_000
    async with reading(full) as reader, reading(full, Reader(2)) as stuck:
        await settle(20_000)
        for breaker in registry:
            breaker.force_open()
        History.of(registry).tick()
        _broadcasters[registry][asyncio.get_running_loop()].look()
        await settle(30_000)
        states = [reader.figures[-1]["summary"]["forced_open"]]
        changed = {row[0] for content in reader.figures for row in content.get("set", ())}
    assert len(stuck.bodies) == 2
    assert states == [10_000]
    assert len(changed) == 10_000


@held_to(deadline=None)
@given(
    configs=st.dictionaries(names, configs(), min_size=1, max_size=3),
    story=st.lists(st.tuples(deeds, st.integers(0, 2)), max_size=20),
)
@pytest.mark.filterwarnings("ignore::breaker_asgi.BreakerConfigWarning")
def test_the_events_of_any_story_conform_to_the_schema(
    configs: dict[str, dict[str, Any]], story: list[tuple[tuple[str, Any], int]]
) -> None:
    for reader in asyncio.run(live(Shop(configs), story)).values():
        texts = [text for text in reader.text.split("\n\n") if "event: " in text]
        assert [event["event"] for event in map(fields_of, texts)][:1] == ["snapshot"]
        for event in map(fields_of, texts):
            check(f"stream_{event['event']}", event["data"])


@held_to(deadline=None, max_examples=30)
@given(st.lists(st.tuples(all_deeds, st.sampled_from("abc")), max_size=12))
def test_a_reader_has_what_the_list_says(story: list[tuple[str, str]]) -> None:
    asyncio.run(play(story))
