"""The serialised record of a breaker, which other versions of the library read and write too."""

from __future__ import annotations

import json
from typing import Any

import pytest

from breaker_asgi._core.state import FORCED_OPEN, OPEN
from breaker_asgi.stores.protocol import Change, Command, Counts, Entry, Shared, SharedOutage
from breaker_asgi.stores.record import Record, UnreadableError, decode
from breaker_asgi.testing.stores import opening, report

OF_VERSION_0 = {
    "last": 1_700_000_000_000,
    "ahead": 0,
    "generation": 3,
    "state": "forced_open",
    "reason": "forced open by hand: migration",
    "by_hand": True,
    "who": "ada",
    "worker": "host:1",
    "changed": 1_700_000_000_000,
    "lasts": 600.0,
    "openings": 0,
    "keep": 60,
    "kept": 1_700_000_000_000,
    "seconds": {"1700000000": [3, 1, 0]},
    "streak": 1,
    "failing": {"host:1": 1_700_000_000_000},
    "lent": 1,
    "leases": {"host:1:1": 1_700_000_030_000},
    "settled": [1, 0, 0],
    "workers": {"host:1": [7, 1_700_000_000_000]},
}
"""A record of the versions that had no identities."""


def loaded(**fields: Any) -> Record:
    return Record.load(json.dumps(fields))


def dumped(record: Record) -> dict[str, Any]:
    kept: dict[str, Any] = json.loads(decode(record.dump()))
    return kept


def shared(record: Record) -> Shared:
    return record.shared(record.last, 60)


def test_unknown_fields_of_another_version_are_dropped() -> None:
    record = Record()
    record.apply("w", 1, opening(), 1)
    assert loaded(**dumped(record), of_tomorrow=[1]) == record


def test_missing_fields_have_the_defaults_of_a_new_record() -> None:
    assert loaded(generation=3, state="open") == Record(generation=3, state=OPEN.value)


def test_a_record_of_version_0_is_read() -> None:
    record = shared(loaded(**OF_VERSION_0))
    assert (record.generation, record.state, record.reason) == (
        3,
        FORCED_OPEN,
        OF_VERSION_0["reason"],
    )
    assert (record.by_hand, record.who, record.lasts) == (True, "ada", 600)
    assert (record.counts, record.streak, record.witnesses) == (Counts(3, 1), 1, 1)
    assert (record.probes, record.settled) == (1, Counts(1))


def test_a_manual_change_of_version_0_is_a_command() -> None:
    record = shared(loaded(**OF_VERSION_0))
    assert (record.id, record.command) == ("generation 3", Command("generation 3", 0))


def test_other_changes_of_version_0_have_an_identity_and_no_command() -> None:
    record = shared(loaded(**OF_VERSION_0 | {"by_hand": False}))
    assert (record.id, record.command) == ("generation 3", None)


def test_a_record_keeps_all_fields_of_version_0_for_workers_that_are_updated_later() -> None:
    change = Change(
        id="w:1", state=FORCED_OPEN, reason="by hand", by_hand=True, who="ada", lasts=600
    )
    record = Record()
    record.apply("w", 1, Entry(name="payments", change=change), 1_000)
    record.apply("w", 2, report(calls=2, failures=1, generation=1), 2_000)
    kept = dumped(record)
    old = {name: kept[name] for name in OF_VERSION_0}
    assert {
        name: type(value) for name, value in old.items() if name not in {"lasts", "worker"}
    } == {
        name: type(value) for name, value in OF_VERSION_0.items() if name not in {"lasts", "worker"}
    }
    again = shared(loaded(**old))  # an older worker has written it
    assert (again.generation, again.state, again.who, again.lasts) == (1, FORCED_OPEN, "ada", 600)
    assert (again.by_hand, again.command) == (True, Command("generation 1", 1))


def test_an_outage_is_kept_in_the_text_of_a_record() -> None:
    record = Record()
    record.apply("w", 1, opening(), 1_000)
    record.apply("w", 2, report(generation=1, rejected=3), 2_000)
    assert Record.load(record.dump()) == record
    assert shared(record).outage == SharedOutage(1, reason="5 failures", rejected=3)


@pytest.mark.parametrize("outage", [7, [], [["so"], 1, None, None, 0, 0], "text"], ids=repr)
def test_a_damaged_outage_is_dropped(outage: object) -> None:
    record = loaded(generation=3, state="open", outage=outage)
    assert (shared(record).state, shared(record).outage) == (OPEN, None)


def test_an_outage_that_an_older_worker_has_dropped_comes_back_with_the_next_change() -> None:
    outage = SharedOutage(9, reason="5 failures", probes_failed=1, rejected=70)
    record = loaded(generation=3, state="half_open", openings=1)
    change = Change(id="w:1", state=OPEN, reason="a probe failed", openings=2, outage=outage)
    record.apply("w", 1, Entry(name="payments", generation=3, change=change), 20_000)
    assert shared(record).outage == outage


def test_a_record_of_a_newer_version_is_refused() -> None:
    with pytest.raises(UnreadableError, match="it is of version 2, and this is version 1"):
        loaded(**OF_VERSION_0, version=2)


def test_a_record_in_an_unknown_state_is_refused() -> None:
    with pytest.raises(UnreadableError, match="in the unknown state 'ajar'"):
        loaded(**OF_VERSION_0 | {"state": "ajar"})


@pytest.mark.parametrize(
    "text", ["{", "[]", "7", "null", "{}", '"open"', '{"state": []}', b"\xff", b"\x00"], ids=repr
)
def test_a_record_that_is_cut_is_refused(text: str | bytes) -> None:
    with pytest.raises(UnreadableError):
        Record.load(text)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("generation", "3"),
        ("reason", None),
        ("by_hand", 1),
        ("who", 7),
        ("lasts", "600"),
        ("seconds", {"x": [1, 2, 3]}),
        ("seconds", {"1": [1, 2]}),
        ("seconds", []),
        ("failing", {"w": None}),
        ("leases", {"w": "now"}),
        ("settled", [1]),
        ("workers", {"w": 7}),
        ("workers", {"w": [7]}),
    ],
)
def test_a_record_with_a_value_of_another_type_is_refused(field: str, value: object) -> None:
    with pytest.raises(UnreadableError, match="it is damaged"):
        loaded(**OF_VERSION_0 | {field: value})
