"""Tests of outages, for a store that keeps them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from breaker_asgi._core.extras import needs

with needs(__name__, "pytest"):
    import pytest

from breaker_asgi._core.state import CLOSED, DISABLED, FORCED_OPEN, HALF_OPEN, METRICS_ONLY, OPEN
from breaker_asgi.stores.protocol import Change, Counts, Entry, SharedOutage
from breaker_asgi.testing.stores.fixtures import Base, ask, opening, report, send, to

if TYPE_CHECKING:
    from collections.abc import Callable

    from breaker_asgi._core.state import CircuitBreakerState
    from breaker_asgi.stores.protocol import Shared, Store

KNOWN = SharedOutage(
    90.5,
    reason="5 failures",
    failure_type="OSError \udc80",
    counts=Counts(9, 5, 1),
    streak=5,
    probes_failed=2,
    last_probe=30.25,
    rejected=70,
)
"""An outage as a worker knows it."""


class OutagesTests(Base):
    """The outage that goes on, and the last one."""

    @pytest.fixture
    def outages(self, store: Store) -> Store:
        """Return an unused store that keeps outages."""
        if not self.keeps_outages:
            pytest.skip(f"{store.label} keeps no outages")
        return store

    def test_unused_breaker_has_no_outage(self, outages: Store) -> None:
        assert ask(outages).outage is None
        assert send(outages, to(HALF_OPEN)).outage is None
        assert send(outages, to(CLOSED, generation=1)).outage is None

    @pytest.mark.parametrize("state", [OPEN, FORCED_OPEN])
    def test_an_outage_begins_with_the_change(
        self, outages: Store, state: CircuitBreakerState
    ) -> None:
        change = Change(id="w:1", state=state, reason="so", by_hand=True, who="ada", age=7.5)
        send(outages, Entry(name="payments", change=change))
        outage = _outage(ask(outages))
        assert 7.5 <= outage.age < 15
        assert outage == SharedOutage(outage.age, reason="so", by_hand=True, who="ada")

    def test_outage_of_the_worker_is_kept(self, outages: Store) -> None:
        assert _plain(_opened(outages, KNOWN)) == _plain(KNOWN)
        outage = _outage(ask(outages))
        assert outage.last_probe
        assert (90.5 <= outage.age < 98, 30.25 <= outage.last_probe < 38) == (True, True)

    def test_failed_probes_are_counted_and_leave_the_beginning(self, outages: Store) -> None:
        _opened(outages, KNOWN)
        half_open = Change(id="w:2", state=HALF_OPEN, reason="probing", openings=1)
        entry = Entry(name="payments", generation=1, change=half_open)
        probing = _outage(send(outages, entry))
        assert (probing.probes_failed, probing.last_probe is not None) == (2, True)
        outage = _outage(send(outages, _open(2, openings=2)))
        assert (outage.probes_failed, outage.reason, outage.counts) == (3, "5 failures", (9, 5, 1))
        assert outage.age >= 90.5
        assert 0 <= (outage.last_probe or 0) < 5

    def test_an_opening_by_hand_is_no_failed_probe(self, outages: Store) -> None:
        _opened(outages, KNOWN)
        outage = _outage(send(outages, _open(1, openings=2, by_hand=True)))
        assert (outage.probes_failed, outage.by_hand, outage.ended) == (2, False, None)

    @pytest.mark.parametrize("state", [CLOSED, DISABLED, METRICS_ONLY])
    def test_an_outage_is_kept_when_it_has_ended(
        self, outages: Store, state: CircuitBreakerState
    ) -> None:
        _opened(outages, KNOWN)
        outage = _outage(send(outages, to(state, generation=1)))
        assert _plain(outage._replace(ended=None)) == _plain(KNOWN)
        assert outage.ended is not None
        assert 0 <= outage.ended < 5
        later = _outage(send(outages, to(CLOSED, generation=2)))
        assert _plain(later) == _plain(outage)

    def test_the_next_opening_begins_another_outage(self, outages: Store) -> None:
        _opened(outages, KNOWN)
        send(outages, to(CLOSED, generation=1))
        outage = _outage(send(outages, opening(generation=2, reason="again")))
        assert (outage.reason, outage.probes_failed, outage.rejected) == ("again", 0, 0)
        assert outage.ended is None

    def test_an_opening_while_it_is_closing_takes_the_end_back(self, outages: Store) -> None:
        _opened(outages, KNOWN)
        closing = Change(id="w:2", state=CLOSED, reason="the probes succeeded", openings=1)
        send(outages, Entry(name="payments", generation=1, change=closing))
        outage = _outage(send(outages, _open(2, openings=2)))
        assert (outage.reason, outage.ended, outage.probes_failed) == ("5 failures", None, 3)
        assert outage.age >= 90.5

    def test_a_command_between_two_outages_begins_none(self, outages: Store) -> None:
        _opened(outages, KNOWN)
        send(outages, to(CLOSED, generation=1))
        outage = _outage(send(outages, to(HALF_OPEN, generation=2)))
        assert (outage.reason, outage.ended is None) == ("5 failures", False)

    def test_an_outage_that_the_store_has_lost_is_taken_from_a_change(self, outages: Store) -> None:
        probing = to(HALF_OPEN)
        assert probing.change
        change = replace(probing.change, outage=KNOWN)
        assert _plain(_outage(send(outages, replace(probing, change=change)))) == _plain(KNOWN)

    # Rejected calls

    def test_rejected_calls_of_all_workers_add_up(self, outages: Store) -> None:
        send(outages, opening())
        for worker, rejected in (("w", 3), ("v", 4), ("w", 5)):
            shared = send(outages, report(calls=0, generation=1, rejected=rejected), worker)
        assert (_outage(shared).rejected, shared.witnesses) == (12, 0)
        assert _outage(send(outages, to(HALF_OPEN, generation=1))).rejected == 12

    def test_a_report_of_an_earlier_generation_still_adds_its_rejected_calls(
        self, outages: Store
    ) -> None:
        send(outages, opening())
        send(outages, to(HALF_OPEN, generation=1))
        shared = send(outages, report(calls=2, failures=2, generation=1, rejected=3), "v")
        assert (_outage(shared).rejected, shared.counts, shared.witnesses) == (3, Counts(), 0)

    def test_a_repeated_report_adds_no_rejected_calls(self, outages: Store) -> None:
        send(outages, opening())
        for _ in range(2):
            send(outages, report(generation=1, rejected=3), "w", 10**6)
        send(outages, to(HALF_OPEN, generation=1))
        shared = send(outages, report(generation=1, rejected=3), "w", 10**6)
        assert _outage(shared).rejected == 3

    def test_a_report_just_after_the_end_still_counts(self, outages: Store) -> None:
        send(outages, opening())
        send(outages, to(CLOSED, generation=1))
        assert _outage(send(outages, report(generation=2, rejected=3))).rejected == 3
        if self.advances:
            self.advance(61)
            assert _outage(send(outages, report(generation=2, rejected=3))).rejected == 3

    def test_rejected_calls_without_an_outage_are_dropped(self, outages: Store) -> None:
        assert send(outages, report(rejected=3)).outage is None

    def test_an_outage_outlives_the_processes(
        self, outages: Store, stores: Callable[[], Store]
    ) -> None:
        _opened(outages, KNOWN)
        outages.close()
        assert _plain(_outage(ask(stores()))) == _plain(KNOWN)


def _outage(shared: Shared) -> SharedOutage:
    assert shared.outage is not None, "set keeps_outages = False if the store keeps none"
    return shared.outage


def _opened(store: Store, outage: SharedOutage) -> SharedOutage:
    """Open the breaker with what a worker knows of the outage."""
    entry = opening()
    assert entry.change
    return _outage(send(store, replace(entry, change=replace(entry.change, outage=outage))))


def _open(generation: int, *, openings: int, by_hand: bool = False) -> Entry:
    """Return a change that opens the breaker once more."""
    change = Change(
        id="w:9", state=OPEN, reason="a probe failed", openings=openings, by_hand=by_hand
    )
    return Entry(name="payments", generation=generation, change=change)


def _plain(outage: SharedOutage) -> SharedOutage:
    """Return the outage without its ages."""
    return outage._replace(age=0.0, ended=outage.ended and 0.0, last_probe=None)
