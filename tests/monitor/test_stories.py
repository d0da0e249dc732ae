"""The log of stories: `GET /breakers/-/log`."""

from __future__ import annotations

import gc
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from breaker_asgi import (
    BreakerConfig,
    BreakerRegistry,
    CircuitBreaker,
    CircuitBreakerError,
    CircuitBreakerMonitor,
    Outage,
)
from breaker_asgi.monitor.event_log import EventLog
from breaker_asgi.monitor.kept_stories import KEPT_STORIES
from breaker_asgi.monitor.story import Story
from breaker_asgi.testing import FakeClock
from tests.asgi.visitor import visit
from tests.stores.place import OPEN_TIME, Place

OPEN_FOR = 11
"""Seconds after which an open breaker probes."""


async def log(monitor: CircuitBreakerMonitor, query: str = "") -> list[dict[str, Any]]:
    stories: list[dict[str, Any]] = (await visit(monitor, f"/-/log{query}")).json["stories"]
    return stories


def kinds(stories: list[dict[str, Any]]) -> list[str]:
    return [story["kind"] for story in stories]


@pytest.fixture
def event_log(registry: BreakerRegistry) -> EventLog:
    return EventLog.of(registry)


@pytest.fixture
def payments(
    registry: BreakerRegistry, config: BreakerConfig, event_log: EventLog
) -> CircuitBreaker:
    """A breaker that opens by two failures, for ten seconds."""
    assert event_log.last_id == 0
    return registry.get("payments", defaults=config)


def trip(breaker: CircuitBreaker) -> None:
    for _ in range(2):
        breaker.acquire().failure(OSError())


def probe(breaker: CircuitBreaker, clock: FakeClock, *, fails: bool = False) -> None:
    clock.advance(OPEN_FOR)
    permit = breaker.acquire()
    if fails:
        permit.failure()
    else:
        permit.success()


def reject(breaker: CircuitBreaker, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(CircuitBreakerError):
            breaker.acquire()


# An outage is one story.


async def test_an_outage_is_one_story_that_counts_its_probes(
    monitor: CircuitBreakerMonitor, payments: CircuitBreaker, clock: FakeClock
) -> None:
    trip(payments)
    for _ in range(3):
        probe(payments, clock, fails=True)
    probe(payments, clock)
    (story,) = await log(monitor)
    assert (story["id"], story["kind"], story["breaker"]) == (1, "outage", "payments")
    assert (story["reason"], story["failure_type"]) == ("2 failures in a row: OSError", "OSError")
    assert (story["probes_failed"], story["changes"], story["state"]) == (3, 9, "closed")
    length = datetime.fromisoformat(story["ended_at"]) - datetime.fromisoformat(story["began_at"])
    assert round(length.total_seconds()) == 4 * OPEN_FOR


async def test_rejected_calls_are_a_figure_of_an_outage_and_no_entries(
    monitor: CircuitBreakerMonitor, payments: CircuitBreaker, event_log: EventLog
) -> None:
    trip(payments)
    reject(payments, 3)
    event_log.rejections(payments, 3)
    (story,) = await log(monitor)
    assert story["rejected"] == 3


async def test_a_running_outage_has_its_present_figures(
    monitor: CircuitBreakerMonitor, payments: CircuitBreaker
) -> None:
    trip(payments)
    (before,) = await log(monitor)
    reject(payments, 5)
    (after,) = await log(monitor)
    assert (before["id"], before["rejected"]) == (after["id"], 0)
    assert (after["rejected"], after["ended_at"], after["state"]) == (5, None, "open")
    assert after["rejected_per_second"] == 0.0


async def test_an_outage_that_has_ended_rejects_no_calls_per_second(
    monitor: CircuitBreakerMonitor, payments: CircuitBreaker, clock: FakeClock
) -> None:
    trip(payments)
    probe(payments, clock)
    (story,) = await log(monitor)
    assert story["rejected_per_second"] is None


async def test_the_next_outage_is_another_story(
    monitor: CircuitBreakerMonitor, payments: CircuitBreaker, clock: FakeClock
) -> None:
    for _ in range(2):
        trip(payments)
        probe(payments, clock)
    assert [story["id"] for story in await log(monitor)] == [4, 1]


async def test_the_outages_of_several_breakers_are_told_apart(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry, payments: CircuitBreaker
) -> None:
    trip(payments)
    registry.get("bank").open()
    payments.close()
    stories = await log(monitor, "?kind=outage")
    assert [(story["breaker"], story["state"]) for story in stories] == [
        ("bank", "open"),
        ("payments", "closed"),
    ]


async def test_a_relapse_takes_the_end_of_an_outage_back(
    monitor: CircuitBreakerMonitor,
    registry: BreakerRegistry,
    config: BreakerConfig,
    clock: FakeClock,
    event_log: EventLog,
) -> None:
    gentle = registry.get("gentle", defaults=config, ramp=100)
    trip(gentle)
    probe(gentle, clock)
    (closing,) = await log(monitor)
    gentle.open()
    outage = (await log(monitor))[-1]
    assert closing["ended_at"] is not None
    assert (outage["id"], outage["state"], outage["ended_at"]) == (closing["id"], "open", None)
    assert event_log.last_id == 4


async def test_the_end_of_the_ramp_is_part_of_the_outage(
    monitor: CircuitBreakerMonitor,
    registry: BreakerRegistry,
    config: BreakerConfig,
    clock: FakeClock,
) -> None:
    gentle = registry.get("gentle", defaults=config, ramp=100)
    trip(gentle)
    probe(gentle, clock)
    (closing,) = await log(monitor)
    clock.advance(101)
    gentle.acquire().success()
    (closed,) = await log(monitor)
    assert (closing["state"], closed["state"]) == ("closing", "closed")
    length = timedelta(seconds=OPEN_FOR)
    assert datetime.fromisoformat(closed["ended_at"]) - datetime.fromisoformat(
        closed["began_at"]
    ) == pytest.approx(length, abs=timedelta(seconds=0.5))


# Other changes are stories of their own.


async def test_an_operators_change_is_a_story(
    full: CircuitBreakerMonitor, payments: CircuitBreaker
) -> None:
    payments.disable(who="ann")
    (story,) = await log(full)
    assert datetime.fromisoformat(story.pop("at")) <= datetime.now(UTC)
    assert story == {
        "id": 1,
        "kind": "by_hand",
        "breaker": "payments",
        "from": "closed",
        "to": "disabled",
        "reason": "disabled by hand",
        "who": "ann",
    }


async def test_an_operators_opening_is_an_outage(
    full: CircuitBreakerMonitor, payments: CircuitBreaker
) -> None:
    payments.force_open(why="maintenance", who="ann")
    (story,) = await log(full)
    assert (story["kind"], story["by_hand"], story["who"]) == ("outage", True, "ann")


async def test_an_operators_close_ends_an_outage_and_is_a_story(
    monitor: CircuitBreakerMonitor, payments: CircuitBreaker
) -> None:
    trip(payments)
    payments.close()
    by_hand, outage = await log(monitor)
    assert (by_hand["kind"], by_hand["to"]) == ("by_hand", "closed")
    assert (outage["kind"], outage["state"], outage["changes"]) == ("outage", "closed", 2)
    assert outage["ended_at"] is not None


async def test_a_change_that_is_part_of_no_outage_is_a_story(
    monitor: CircuitBreakerMonitor, payments: CircuitBreaker, clock: FakeClock
) -> None:
    payments.disable(for_=5)
    clock.advance(6)
    payments.acquire().success()
    stories = await log(monitor)
    assert kinds(stories) == ["change", "by_hand"]
    assert stories[0]["reason"] == "the time set by hand is over"


async def test_probes_that_an_operator_asks_for_are_no_outage(
    monitor: CircuitBreakerMonitor, payments: CircuitBreaker
) -> None:
    payments.half_open()
    payments.acquire().success()
    assert kinds(await log(monitor)) == ["change", "by_hand"]


async def test_authors_are_details(
    monitor: CircuitBreakerMonitor, full: CircuitBreakerMonitor, payments: CircuitBreaker
) -> None:
    payments.open(who="ann")
    payments.close(who="bert")
    assert [story["who"] for story in await log(monitor)] == [None, None]
    assert [story["who"] for story in await log(full)] == ["bert", "ann"]


# Reading


async def test_stories_are_selected_by_kind_and_name(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry, payments: CircuitBreaker
) -> None:
    trip(payments)
    registry.get("bank").disable()
    registry.get("pay").disable()
    assert kinds(await log(monitor, "?kind=outage")) == ["outage"]
    assert kinds(await log(monitor, "?kind=by_hand&kind=outage")) == [
        "by_hand",
        "by_hand",
        "outage",
    ]
    stories = await log(monitor, "?name=pay*&kind=")
    assert [story["breaker"] for story in stories] == ["pay", "payments"]


async def test_the_log_of_one_breaker(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry, payments: CircuitBreaker
) -> None:
    trip(payments)
    registry.get("GET /a").open()
    (story,) = (await visit(monitor, path="/GET /a/log")).json["stories"]
    assert story["breaker"] == "GET /a"
    assert (await visit(monitor, "/nobody/log")).status == 404


async def test_a_breaker_may_be_named_like_the_log_of_another(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    registry.get("x")
    registry.get("x/log")
    assert (await visit(monitor, "/x/log")).json["name"] == "x/log"


async def test_paging_leads_back_to_the_first_of_a_thousand_changes(
    monitor: CircuitBreakerMonitor, payments: CircuitBreaker
) -> None:
    for _ in range(500):
        payments.disable()
        payments.close()
    ids: list[int] = []
    query = ""
    while True:
        page = (await visit(monitor, f"/-/log{query}")).json
        ids += [story["id"] for story in page["stories"]]
        if page["next"] is None:
            break
        query = f"?before={page['next']}"
    assert ids == [*range(1_000, 0, -1)]


async def test_a_last_page_that_is_full_has_no_next(
    monitor: CircuitBreakerMonitor, payments: CircuitBreaker
) -> None:
    payments.disable()
    payments.close()
    assert (await visit(monitor, "/-/log?limit=2")).json["next"] is None
    assert (await visit(monitor, "/-/log?limit=1")).json["next"] == 2


@pytest.mark.parametrize(
    ("query", "allowed"),
    [
        ("kind=transition", "outage, by_hand, change"),
        ("before=x", "the id of an entry"),
        ("before=1.5", "the id of an entry"),
        ("limit=0", "1 to 1000"),
    ],
)
async def test_a_wrong_value_is_refused_with_what_is_allowed(
    monitor: CircuitBreakerMonitor, query: str, allowed: str
) -> None:
    reply = await visit(monitor, f"/-/log?{query}")
    assert reply.status == 400
    assert allowed in reply.json["detail"]


# What is kept


def test_the_newest_stories_are_kept_and_the_outages_that_go_on(
    registry: BreakerRegistry, payments: CircuitBreaker, event_log: EventLog
) -> None:
    trip(payments)
    other = registry.get("other")
    for _ in range(KEPT_STORIES):
        other.disable()
        other.close()
    ids = [story.id for story in event_log.stories.newest_first()]
    assert len(ids) == KEPT_STORIES
    assert (ids[-1], ids[-2]) == (1, KEPT_STORIES + 3)


async def test_a_story_outlives_its_breaker(
    monitor: CircuitBreakerMonitor, config: BreakerConfig, registry: BreakerRegistry
) -> None:
    event_log = EventLog.of(registry)
    breaker = registry._lend("gone", config, {})
    trip(breaker)
    reject(breaker, 3)
    event_log.rejections(breaker, 3)
    del breaker
    gc.collect()
    (story,) = await log(monitor)
    assert (story["rejected"], story["state"]) == (3, "open")
    assert story["ended_at"] is not None, "it does not go on for ever"


async def test_an_outage_before_the_log_is_a_story_without_a_first_event(
    monitor: CircuitBreakerMonitor, clock: FakeClock, config: BreakerConfig
) -> None:
    registry = BreakerRegistry()
    breaker = registry.get("payments", defaults=config)
    trip(breaker)
    monitor = CircuitBreakerMonitor(registry=registry)
    (before,) = await log(monitor)
    probe(breaker, clock, fails=True)
    (after,) = await log(monitor)
    assert before["id"] == after["id"] < 0
    assert (before["changes"], after["changes"]) == (0, 2)
    assert after["reason"] == "2 failures in a row: OSError"


async def test_outages_that_began_together_have_ids_of_their_own(
    config: BreakerConfig, registry: BreakerRegistry, monitor: CircuitBreakerMonitor
) -> None:
    stories = EventLog.of(registry).stories
    began = datetime.now(UTC) - timedelta(seconds=5)
    for name in "ab":
        breaker = registry.get(name, defaults=config)
        adopt(breaker, began)
    stories.complete(registry)
    ids = {story["id"] for story in await log(monitor)}
    assert len(ids) == 2
    assert all(number < 0 for number in ids)


def adopt(breaker: CircuitBreaker, began: datetime) -> None:
    """Give a breaker the outage that a store knows of it."""
    breaker._adopt_outage(
        Outage(
            began_at=began,
            ended_at=began + timedelta(seconds=1),
            reason="5 failures in a row",
            failure_type=None,
            by_hand=False,
            who=None,
            calls=5,
            failure_rate=None,
            slow_call_rate=None,
            consecutive_failures=5,
            probes_failed=0,
            last_probe_at=None,
            rejected=7,
        ),
        breaker._generation,
    )


async def test_the_last_outage_of_a_store_is_a_story_of_a_new_process(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    adopt(registry.get("payments"), datetime.now(UTC) - timedelta(days=1))
    registry.get("bank").disable()
    newest, oldest = await log(monitor)
    assert newest["breaker"] == "bank"
    assert (oldest["breaker"], oldest["rejected"], oldest["changes"]) == ("payments", 7, 0)


async def test_the_change_after_an_earlier_outage_is_a_story_of_its_own(
    monitor: CircuitBreakerMonitor, registry: BreakerRegistry
) -> None:
    breaker = registry.get("payments")
    adopt(breaker, datetime.now(UTC) - timedelta(days=1))
    breaker.disable()
    assert kinds(await log(monitor)) == ["by_hand", "outage"]


def test_a_worker_that_starts_in_an_outage_has_its_story() -> None:
    place = Place()
    place.worker().fails(5)
    place.later(OPEN_TIME / 2)
    late = place.worker()
    event_log = EventLog.of(late.registry)
    event_log.stories.complete(late.registry)
    place.later()
    (story,) = event_log.stories.newest_first()
    assert (story.kind, story.goes_on, late.state) == ("outage", True, "open")


def test_a_worker_that_starts_after_an_outage_has_its_story() -> None:
    place = Place()
    one = place.worker()
    one.fails(5)
    place.later(OPEN_TIME + 1)
    permit = one.probe()
    assert permit is not None
    permit.success()
    place.later()
    late = place.worker()
    stories = EventLog.of(late.registry).stories
    stories.complete(late.registry)
    (story,) = stories.newest_first()
    assert story.outage is not None
    assert (story.outage.reason, story.goes_on) == ("5 failures in a row", False)


# Readers of changes


def test_readers_get_new_stories_and_those_that_change(
    payments: CircuitBreaker, event_log: EventLog, clock: FakeClock
) -> None:
    changed: list[tuple[int, str]] = []

    def read(story: Story) -> None:
        changed.append((story.id, story.state))

    event_log.stories.subscribe(read)
    trip(payments)
    event_log.rejections(payments, 1)
    probe(payments, clock)
    event_log.rejections(payments, 1)
    assert changed == [(1, "open"), (1, "open"), (1, "half_open"), (1, "closed")]
    event_log.stories.unsubscribe(read)
    payments.disable()
    assert len(changed) == 4


def test_a_reader_of_stories_that_fails_holds_nothing_up(
    payments: CircuitBreaker, event_log: EventLog, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_story: Story) -> None:
        raise RuntimeError("boom")

    stories: list[Story] = []
    event_log.stories.subscribe(fail)
    event_log.stories.subscribe(stories.append)
    payments.open()
    payments.close()
    assert [story.kind for story in stories] == ["outage", "outage", "by_hand"]
    assert [record.levelno for record in caplog.records].count(logging.ERROR) == 1


# All events folded at the end are the same stories as those folded one by one.

_OPEN = {"open", "forced_open"}
_OVER = {"closed", "closing", "disabled", "metrics_only"}


def folded(events: list[dict[str, Any]]) -> list[tuple[int, str, int, str]]:
    """Fold the events of one breaker, the oldest first: id, kind, changes and state."""
    stories: list[tuple[int, str, int, str]] = []
    outage, goes_on = None, False
    for event in events:
        number, before, after = event["id"], event["from"], event["to"]
        is_part = goes_on or (before == "closing" and outage is not None)
        begins = not is_part and after in _OPEN
        if begins:
            outage = len(stories)
            stories.append((number, "outage", 0, after))
        if (is_part or begins) and outage is not None:
            first, kind, changes, _ = stories[outage]
            stories[outage] = (first, kind, changes + 1, after)
            goes_on = after not in _OVER
        by_hand = " by hand" in event["reason"] and "is over" not in event["reason"]
        if not begins and (by_hand or not is_part):
            kind = "by_hand" if by_hand else "change"
            stories.append((number, kind, 0, after))
    return stories


deeds = st.sampled_from(
    ["open", "close", "force_open", "half_open", "disable", "metrics_only", "reset"]
    + ["fail", "fail", "succeed", "wait"] * 2
)


def do(deed: str, breaker: CircuitBreaker, clock: FakeClock) -> None:
    if deed == "wait":
        clock.advance(OPEN_FOR)
    elif deed in {"fail", "succeed"}:
        try:
            permit = breaker.acquire()
        except CircuitBreakerError:
            return
        if deed == "fail":
            permit.failure()
        else:
            permit.success()
    else:
        getattr(breaker, deed)()


@given(st.lists(st.tuples(deeds, st.integers(0, 2)), max_size=25))
@example([("half_open", 1), ("succeed", 1), ("open", 1)])  # closing, but after no outage
def test_stories_of_one_event_after_another_are_those_of_all_at_once(
    story: list[tuple[str, int]],
) -> None:
    clock, registry = FakeClock(), BreakerRegistry()
    event_log = EventLog.of(registry)
    breakers = [
        registry.get(f"{ramp}", fail_max=2, timeout_duration=10, ramp=ramp, clock=clock)
        for ramp in (None, 5, 100)
    ]
    for deed, number in story:
        do(deed, breakers[number], clock)
    events = event_log.newest_first()[::-1]
    expected = [
        entry
        for breaker in breakers
        for entry in folded([event for event in events if event["breaker"] == breaker.name])
    ]
    stories = [
        (entry.id, entry.kind, entry.changes, entry.state)
        for entry in event_log.stories.newest_first()
    ]
    assert stories == sorted(expected, reverse=True)
