"""The stories that are kept, by a model that looks at all of them each time."""

from __future__ import annotations

from typing import Any, cast

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from breaker_asgi import BreakerConfig, BreakerRegistry, CircuitBreaker
from breaker_asgi.monitor.event_log import EventLog
from breaker_asgi.monitor.kept_stories import KEPT_STORIES, KeptStories

MOST = 5


class FakeStory:
    """A story whose outage goes on for as long as the test wants; each question is counted."""

    def __init__(self, number: int, *, goes_on: bool) -> None:
        self.id = number
        self.is_going_on = goes_on
        self.questions = 0
        self.gone: Any = None

    @property
    def goes_on(self) -> bool:
        self.questions += 1
        return self.is_going_on

    def watch(self, gone: Any) -> None:
        self.gone = gone


def test_room_is_made_without_a_look_at_the_outages_that_go_on() -> None:
    kept, stories = KeptStories(MOST), [FakeStory(number, goes_on=True) for number in range(100)]
    for story in stories:
        kept.add(cast("Any", story))
    assert len(kept.newest_first()) == 100
    assert {story.questions for story in stories} == {1}


def test_outages_give_way_once_they_have_ended(registry: BreakerRegistry) -> None:
    config = BreakerConfig(fail_max=1)
    breakers = [registry.get(f"{number}", defaults=config) for number in range(KEPT_STORIES + 10)]
    stories = EventLog.of(registry).stories
    for breaker in breakers:
        breaker.acquire().failure(OSError())
    assert len(stories.newest_first()) == len(breakers)
    for breaker in breakers[:20]:
        breaker.close()
    assert len(stories.newest_first()) == KEPT_STORIES


def test_outages_give_way_once_their_breaker_has_gone(
    registry: BreakerRegistry, config: BreakerConfig
) -> None:
    stories = EventLog.of(registry).stories
    lent: list[CircuitBreaker] = []
    for number in range(KEPT_STORIES + 10):
        lent.append(registry._lend(f"{number}", config, {}))
        lent[-1].force_open()
    assert len(stories.newest_first()) == KEPT_STORIES + 10
    del lent[:20]
    registry.get("another").disable()
    names = [story.event["breaker"] for story in stories.newest_first()]
    assert len(names) == KEPT_STORIES
    assert (names[-1], names[0]) == ("11", "another")


class Keeping(RuleBasedStateMachine):
    """Stories come, end, go on again, and lose their breakers, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = KeptStories(MOST)
        self.expected: dict[int, FakeStory] = {}
        self.all: dict[int, FakeStory] = {}

    @rule(number=st.integers(-20, 50), goes_on=st.booleans())
    def add(self, number: int, goes_on: bool) -> None:  # noqa: FBT001
        if number in self.all:
            return
        self.all[number] = self.expected[number] = story = FakeStory(number, goes_on=goes_on)
        self.kept.add(cast("Any", story))
        ended = sorted(number for number, other in self.expected.items() if not other.is_going_on)
        for other in ended[: max(0, len(self.expected) - MOST)]:
            del self.expected[other]

    @precondition(lambda self: self.all)
    @rule(data=st.data(), goes_on=st.booleans())
    def end_or_go_on(self, data: st.DataObject, goes_on: bool) -> None:  # noqa: FBT001
        story = data.draw(st.sampled_from([*self.all.values()]))
        if story.gone is not None:
            story.is_going_on = goes_on
            self.kept.update(cast("Any", story))

    @precondition(lambda self: self.all)
    @rule(data=st.data())
    def lose_the_breaker(self, data: st.DataObject) -> None:
        story = data.draw(st.sampled_from([*self.all.values()]))
        if story.gone is not None:
            story.is_going_on = False
            story.gone(story.id)
            story.gone = None

    @invariant()
    def those_that_go_on_and_the_newest_are_kept(self) -> None:
        assert [story.id for story in self.kept.newest_first()] == sorted(
            self.expected, reverse=True
        )


TestKeeping = Keeping.TestCase
