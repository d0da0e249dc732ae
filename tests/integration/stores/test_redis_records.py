"""The records of breakers in Redis: unreadable ones, those of version 0, and what they cost."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, cast

import pytest

from breaker_asgi import CircuitBreakerError
from breaker_asgi._core.state import CLOSED, FORCED_OPEN, HALF_OPEN, OPEN
from breaker_asgi.stores.protocol import Command, Counts, Entry, Report, Second, Settled
from breaker_asgi.stores.redis import RedisStore
from breaker_asgi.testing.stores import ask, changes, claim, opening, report, send, sync, to
from tests.integration.stores.conftest import Server
from tests.stores.place import Place

BAD = "{breaker-asgi:bad}"


@pytest.fixture
def store(server: Server) -> Iterator[RedisStore]:
    store = RedisStore(server.url)
    yield store
    store.close()


@pytest.fixture
def client(server: Server) -> Iterator[Any]:
    with server.client() as client:
        yield client


# Records that can't be read


def set_field(field: str, value: str) -> Callable[[Any], object]:
    return lambda client: client.hset(f"{BAD}:1", field, value)


def replace_key(part: str) -> Callable[[Any], object]:
    return lambda client: client.set(f"{BAD}{part}", "text")


UNREADABLE = {
    "a newer version": (set_field("version", "2"), "it is of version 2, and this is version 1"),
    "no version": (lambda client: client.hdel(f"{BAD}:1", "version"), "it is damaged"),
    "an odd version": (set_field("version", "new"), "it is damaged"),
    "an unknown state": (set_field("state", "melted"), "it is in the unknown state 'melted'"),
    "a word for a number": (set_field("generation", "one"), "it is damaged"),
    "a broken number": (set_field("last", "1.5"), "it is damaged"),
    "not a number": (set_field("streak", "nan"), "it is damaged"),
    "a word for a duration": (set_field("lasts", "long"), "it is damaged"),
    "a word for the number of a report": (
        lambda client: client.hset(f"{BAD}:1:w", "w", "many"),
        "it is damaged",
    ),
    "an odd second": (
        lambda client: client.zadd(f"{BAD}:1:s", {"odd": time.time() + 9}),
        "it is damaged",
    ),
    **{
        f"a text as the key{part}": (replace_key(part), "it is damaged: a key has a value of")
        for part in (":1", ":1:s", ":1:f", ":1:t", ":1:p", ":1:w")
    },
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_an_unreadable_record_is_reported_and_left_alone(
    store: RedisStore, client: Any, kind: str
) -> None:
    damage, reason = UNREADABLE[kind]
    send(store, to(HALF_OPEN, "bad"))
    lease = claim(store, "bad")
    assert lease
    send(store, report("bad", failures=1, generation=1, tripped=True))
    damage(client)
    before = {key: client.dump(key) for key in client.keys(f"{BAD}*")}
    late = Report(seconds=(Second(0, Counts(1, 1)), Second(2, Counts(1))))
    ended = Settled(lease, 1, Counts(1))
    entry = Entry(name="bad", generation=1, window=60, report=late, settled=(ended,))
    answer = sync(store, report("good"), entry)
    assert answer.unreadable["bad"].startswith(reason)
    assert list(answer.replies) == ["good"]
    assert {key: client.dump(key) for key in client.keys(f"{BAD}*")} == before


# Outages


def test_a_damaged_outage_is_dropped(store: RedisStore, client: Any) -> None:
    for field, value in (("outage", "{"), ("course", "7 of 9")):
        send(store, opening(field))
        client.hset(f"{{breaker-asgi:{field}}}:1", field, value)
        shared = send(store, report(field, generation=1, rejected=3))
        assert (shared.state, shared.outage) == (OPEN, None)


def test_an_outage_survives_a_restart_of_all_workers(store: RedisStore) -> None:
    place = Place()
    place.store = cast("Any", store)
    one, other = place.two()
    one.fails(5)
    place.later()
    for worker in (one, other):
        with pytest.raises(CircuitBreakerError):
            worker.breaker.acquire()
    place.later()
    place.workers.clear()
    outage = place.worker().breaker.snapshot().outage
    assert outage
    assert (outage.consecutive_failures, outage.rejected, outage.ended_at) == (5, 2, None)


# Changes that overtake a batch


def test_a_change_after_the_entry_of_a_batch_is_among_the_changed(
    store: RedisStore, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(store, opening())
    before, _ = changes(store)
    other, call_all = RedisStore(server.url), store._scripts.call_all

    def overtaken(calls: Any) -> Any:
        answers = call_all(calls)
        send(other, to(FORCED_OPEN, generation=1))
        return [*answers[:-1], *call_all(calls[-1:])]

    with monkeypatch.context() as patched:
        patched.setattr(store._scripts, "call_all", overtaken)
        answer = sync(store, report(generation=1), cursor=before)
    assert answer.replies["payments"].shared.state is OPEN
    assert answer.changed == ["payments"]
    assert sync(store, report(generation=1), cursor=before).changed == []
    other.close()


def test_the_cursor_covers_a_batch_whose_script_the_server_did_not_have(
    store: RedisStore,
) -> None:
    point, _ = changes(store)
    answer = sync(store, opening("a"), opening("b"), cursor=point)
    assert answer.changed == []
    assert changes(store, answer.cursor) == (answer.cursor, [])
    assert answer.cursor > point


# Records of version 0


def old_record(client: Any, name: str = "payments", age: float = 60, **fields: object) -> None:
    """Write a record as a worker of version 0 does: forced open by hand a minute ago."""
    now = time.time()
    record = {
        "last": round(now * 1000),
        "ahead": 0,
        "generation": 3,
        "state": "forced_open",
        "reason": "forced open by hand: migration",
        "by_hand": True,
        "who": "ann",
        "worker": "host-1",
        "changed": round((now - age) * 1000),
        "lasts": None,
        "openings": 0,
        "keep": 60,
        "kept": round(now * 1000),
        "seconds": {f"{now:.0f}": [4, 1, 0]},
        "streak": 1,
        "failing": {"host-1": round(now * 1000)},
        "lent": 0,
        "leases": {},
        "settled": [0, 0, 0],
    } | fields
    key = f"{{breaker-asgi:{name}}}"
    client.hset(key, mapping={"record": json.dumps(record), "w:host-1": "7 1000"})
    client.zadd("{breaker-asgi}:away", {name: now * 1e6})


def a_minute_ago(entry: Entry, command: Command | None = None) -> Entry:
    """Return the entry with its change made a minute ago."""
    assert entry.change
    return replace(entry, change=replace(entry.change, age=60, command=command))


def test_the_state_of_version_0_is_taken_over(store: RedisStore, client: Any) -> None:
    old_record(client)
    shared = send(store, report(failures=1))
    assert (shared.generation, shared.id, shared.state) == (3, "generation 3", FORCED_OPEN)
    assert (shared.by_hand, shared.who, shared.worker) == (True, "ann", "host-1")
    assert shared.command
    assert shared.command.id == "generation 3"
    assert 60 <= shared.age < 70
    assert 60 <= shared.command.age < 70
    assert (shared.counts, shared.witnesses) == (Counts(), 0), "counts are not taken over"


def test_an_open_breaker_of_version_0_keeps_its_open_time(store: RedisStore, client: Any) -> None:
    old_record(client, state="open", by_hand=False, who=None, lasts=600, openings=2)
    shared = ask(store)
    assert (shared.state, shared.lasts, shared.openings) == (OPEN, 600, 2)
    assert shared.command is None


def test_breakers_of_version_0_are_among_the_changed_after_zero(
    store: RedisStore, client: Any
) -> None:
    old_record(client)
    old_record(client, "other")
    assert sorted(changes(store)[1]) == ["other", "payments"]


def test_a_record_of_version_0_without_a_change_is_not_taken_over(
    store: RedisStore, client: Any
) -> None:
    old_record(client, generation=0, state="closed", by_hand=False)
    assert ask(store).generation == 0
    assert send(store, report()).counts.calls == 1


def test_a_later_command_in_a_worker_of_version_0_is_taken_over_once(
    store: RedisStore, client: Any
) -> None:
    send(store, a_minute_ago(opening()))
    before, _ = changes(store)
    old_record(client, age=30)
    shared = ask(store)
    assert (shared.generation, shared.state, shared.who) == (3, FORCED_OPEN, "ann")
    assert changes(store, before)[1] == ["payments"]
    send(store, a_minute_ago(to(CLOSED, generation=3), shared.command))
    assert ask(store).state is CLOSED, "it has followed that command"


def test_a_record_of_version_0_expires_before_the_one_that_stands_for_it(
    store: RedisStore, client: Any
) -> None:
    old_record(client)
    client.expire("{breaker-asgi:payments}", 30 * 86_400)
    send(store, to(CLOSED, generation=ask(store).generation))
    client.expire("{breaker-asgi:payments}:1", 60)
    ask(store)
    left = client.ttl("{breaker-asgi:payments}"), client.ttl("{breaker-asgi:payments}:1")
    assert [round(seconds / 3600) for seconds in left] == [12, 24]


def test_an_earlier_command_of_version_0_is_left(store: RedisStore, client: Any) -> None:
    send(store, a_minute_ago(opening()))
    old_record(client, age=90)
    assert ask(store).generation == 1


def test_a_later_change_of_version_0_that_nobody_made_by_hand_is_left(
    store: RedisStore, client: Any
) -> None:
    send(store, a_minute_ago(to(CLOSED)))
    old_record(client, age=30, state="open", by_hand=False)
    assert ask(store).generation == 1


def test_a_damaged_record_of_version_0_is_reported(store: RedisStore, client: Any) -> None:
    client.hset(BAD, "record", '{"generation":')
    client.hset("{breaker-asgi:worse}", "record", '{"generation":2,"state":"melted"}')
    answer = sync(store, Entry(name="bad"), report("worse"), report("good"))
    assert list(answer.replies) == ["good"]
    assert answer.unreadable == {
        "bad": "it is damaged",
        "worse": "it is in the unknown state 'melted'",
    }


# Costs


def fill(store: RedisStore, workers: int, window: int) -> None:
    """Have many workers report failures, in each second of the window."""
    seconds = tuple(Second(age, Counts(5, 2)) for age in range(1, window))
    entry = Entry(name="payments", window=window, report=Report(seconds=seconds))
    sync(store, entry, worker="before")
    for number in range(workers):
        send(store, report(calls=5, failures=2, window=window), f"host-{number}:1234")


def cost(client: Any, store: RedisStore, window: int, reports: int = 300) -> tuple[int, int]:
    """Return the commands of a report in Redis, and the bytes of its answer."""
    cursor, _ = changes(store)
    client.config_resetstat()
    batch = report(calls=5, failures=2, window=window)
    for _ in range(reports):
        sync(store, batch, worker="host-1:1234", cursor=cursor)
    commands, stats = client.info("commandstats"), client.info("stats")
    calls = sum(command["calls"] for command in commands.values())
    duration = commands["cmdstat_evalsha"]["usec"] / reports
    size = stats["total_net_output_bytes"] / reports
    print(f"window of {window} s: {duration:.0f} us, {size:.0f} bytes")  # noqa: T201
    return round(calls / reports), round(size)


def test_a_report_costs_the_same_with_any_number_of_workers_and_seconds(
    store: RedisStore, client: Any
) -> None:
    costs = []
    for workers, window in ((8, 60), (1000, 60), (1000, 3600)):
        client.flushall()
        fill(store, workers, window)
        costs.append(cost(client, store, window))
    commands, sizes = zip(*costs, strict=True)
    assert max(commands) - min(commands) <= 1
    assert max(sizes) <= 400
