"""Outages: what begins and ends one, and what it keeps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from breaker_asgi import CircuitBreaker, CircuitBreakerError, CountWindow, Outage
from breaker_asgi._core.generation import Transition
from breaker_asgi._core.outage import course_of
from breaker_asgi._core.state import CLOSED, CLOSING, HALF_OPEN, OPEN
from breaker_asgi.testing import FakeClock


class DownError(Exception):
    """The dependency failed."""


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def bank(clock: FakeClock) -> CircuitBreaker:
    return CircuitBreaker(name="bank", fail_max=3, timeout_duration=10, clock=clock)


def fails(breaker: CircuitBreaker, times: int = 1, error: Exception | None = None) -> None:
    for _ in range(times):
        breaker.acquire().failure(error or DownError())


def is_rejected(breaker: CircuitBreaker, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(CircuitBreakerError):
            breaker.acquire()


def outage_of(breaker: CircuitBreaker) -> Outage:
    outage = breaker.snapshot().outage
    assert outage is not None
    return outage


def length(outage: Outage) -> float:
    assert outage.ended_at is not None
    return (outage.ended_at - outage.began_at).total_seconds()


def ago(moment: datetime | None) -> float:
    """Return the age of a moment, in whole seconds."""
    assert moment is not None
    assert moment.tzinfo is UTC
    return round((datetime.now(UTC) - moment).total_seconds())


# Begin


def test_a_breaker_that_has_never_opened_has_none(bank: CircuitBreaker) -> None:
    fails(bank, 2)
    assert bank.snapshot().outage is None


def test_the_latest_one_is_read_without_a_snapshot(bank: CircuitBreaker) -> None:
    assert bank._latest_outage() is None
    bank.open()
    assert bank._latest_outage() == outage_of(bank)


def test_an_outage_begins_when_the_breaker_opens(bank: CircuitBreaker, clock: FakeClock) -> None:
    fails(bank, 3)
    clock.advance(5)
    outage = outage_of(bank)
    assert ago(outage.began_at) == 5
    assert outage.ended_at is outage.last_probe_at is None
    assert outage.reason == "3 failures in a row: DownError"
    assert (outage.by_hand, outage.who, outage.probes_failed) == (False, None, 0)
    assert (outage.calls, outage.consecutive_failures) == (3, 3)


@pytest.mark.parametrize("command", ["open", "force_open"])
def test_an_operator_may_begin_one(bank: CircuitBreaker, command: str) -> None:
    fails(bank)
    getattr(bank, command)(who="ann", why="sale")
    outage = outage_of(bank)
    assert (outage.by_hand, outage.who) == (True, "ann")
    assert outage.reason.endswith("by hand: sale")
    assert outage.failure_type is None


@pytest.mark.parametrize("state", ["disable", "metrics_only"])
def test_one_begins_when_a_breaker_out_of_service_is_opened(
    bank: CircuitBreaker, state: str
) -> None:
    getattr(bank, state)()
    assert bank.snapshot().outage is None
    bank.open()
    assert outage_of(bank).by_hand


def test_one_that_begins_while_disabled_has_no_window(bank: CircuitBreaker) -> None:
    fails(bank, 2)
    bank.disable()
    bank.open()
    assert (outage_of(bank).calls, outage_of(bank).consecutive_failures) == (0, 0)


def test_half_open_by_hand_begins_none_until_a_probe_fails(bank: CircuitBreaker) -> None:
    bank.half_open()
    assert bank.snapshot().outage is None
    fails(bank)
    assert outage_of(bank).reason == "a probe failed: DownError"
    assert outage_of(bank).probes_failed == 0


# What it began with


def test_an_outage_keeps_the_window_that_opened_the_breaker(clock: FakeClock) -> None:
    search = CircuitBreaker(
        failure_rate=0.5,
        slow_call_rate=1,
        slow_call_duration=1,
        window=CountWindow(10),
        minimum_calls=4,
        timeout_duration=10,
        clock=clock,
    )
    search.acquire().success()
    slow = search.acquire()
    clock.advance(2)
    slow.success()
    fails(search, 2)
    clock.advance(11)
    fails(search)
    outage, snapshot = outage_of(search), search.snapshot()
    assert (outage.calls, outage.failure_rate, outage.slow_call_rate) == (4, 0.5, 0.25)
    assert outage.consecutive_failures == 2
    assert outage.reason == "failure rate 50% of 4 calls, limit 50%: DownError"
    assert (snapshot.calls, snapshot.failure_rate, snapshot.slow_call_rate) == (4, 0.5, 0.25)
    assert snapshot.consecutive_failures == 2
    assert snapshot.reason == "failure rate 100% of 1 calls, limit 50%: DownError"


def test_rates_are_none_below_the_minimum_of_calls() -> None:
    breaker = CircuitBreaker(failure_rate=0.5, minimum_calls=4)
    fails(breaker, 3)
    breaker.open()
    assert (outage_of(breaker).calls, outage_of(breaker).failure_rate) == (3, None)


@pytest.mark.parametrize(
    ("errors", "name"),
    [
        ([KeyError(), DownError(), DownError()], f"{__name__}.DownError"),
        ([DownError(), KeyError(), KeyError()], "KeyError"),
        ([DownError(), ValueError(), KeyError()], "KeyError"),
    ],
    ids=["last", "not the first", "the latest of a tie"],
)
def test_an_outage_names_the_type_that_most_failures_had(
    bank: CircuitBreaker, errors: list[Exception], name: str
) -> None:
    fails(bank, 2, ValueError())
    bank.acquire().success()
    for error in errors:
        fails(bank, error=error)
    assert outage_of(bank).failure_type == name


def test_calls_of_other_threads_may_fail_while_the_type_is_looked_for(bank: CircuitBreaker) -> None:
    class Meanwhile(type):
        """A class of exceptions; while one is counted a call of another thread fails."""

        def __hash__(cls) -> int:
            if bank._failed_lately is not None:
                bank._failed_lately.append(KeyError)
            return id(cls)

    class SickError(Exception, metaclass=Meanwhile):
        """The failure that is counted."""

    fails(bank, 3, SickError())
    assert str(outage_of(bank).failure_type).endswith("SickError")


def test_an_outage_names_what_failed_where_there_was_no_exception(bank: CircuitBreaker) -> None:
    for _ in range(3):
        bank.acquire().failure(because="status 503")
    assert outage_of(bank).failure_type == "status 503"


def test_failures_without_anything_to_name_have_no_type(bank: CircuitBreaker) -> None:
    for _ in range(3):
        bank.acquire().failure()
    assert outage_of(bank).failure_type is None


def test_slow_calls_alone_have_no_type(clock: FakeClock) -> None:
    breaker = CircuitBreaker(
        slow_call_rate=1, slow_call_duration=1, window=CountWindow(1), clock=clock
    )
    permit = breaker.acquire()
    clock.advance(2)
    permit.success()
    assert outage_of(breaker).failure_type is None


def test_a_failed_probe_does_not_change_what_it_began_with(
    bank: CircuitBreaker, clock: FakeClock
) -> None:
    fails(bank, 3)
    began = outage_of(bank)
    clock.advance(11)
    fails(bank, error=KeyError())
    outage = outage_of(bank)
    assert (outage.reason, outage.failure_type) == (began.reason, began.failure_type)
    assert (outage.calls, outage.consecutive_failures) == (3, 3)
    assert (bank.snapshot().calls, bank.snapshot().consecutive_failures) == (3, 3)
    assert bank.snapshot().reason == "a probe failed: KeyError"


def test_a_breaker_without_failures_keeps_no_list_of_them(bank: CircuitBreaker) -> None:
    bank.acquire().success()
    assert bank._failed_lately is None


# Probes


def test_failed_probes_are_counted(bank: CircuitBreaker, clock: FakeClock) -> None:
    fails(bank, 3)
    for _ in range(4):
        clock.advance(11)
        fails(bank)
    clock.advance(3)
    outage = outage_of(bank)
    assert (outage.probes_failed, outage.ended_at) == (4, None)
    assert (ago(outage.began_at), ago(outage.last_probe_at)) == (47, 3)


def test_the_last_probe_is_the_time_when_probing_began(
    bank: CircuitBreaker, clock: FakeClock
) -> None:
    fails(bank, 3)
    clock.advance(11)
    probe = bank.acquire()
    clock.advance(4)
    outage = outage_of(bank)
    probe.ignore()
    assert (outage.probes_failed, ago(outage.last_probe_at)) == (0, 4)


def test_an_opening_by_hand_is_no_failed_probe(bank: CircuitBreaker) -> None:
    fails(bank, 3)
    bank.half_open()
    bank.open(who="ann")
    bank.force_open()
    outage = outage_of(bank)
    assert (outage.probes_failed, outage.by_hand, outage.who) == (0, False, None)


# Rejections


def test_rejected_counts_the_calls_that_it_has_turned_away(
    bank: CircuitBreaker, clock: FakeClock
) -> None:
    fails(bank, 3)
    is_rejected(bank, 5)
    clock.advance(11)
    fails(bank)
    is_rejected(bank, 2)
    assert (outage_of(bank).rejected, bank.rejected) == (7, 7)


def test_rejected_does_not_count_those_of_an_earlier_one(
    bank: CircuitBreaker, clock: FakeClock
) -> None:
    bank.open()
    is_rejected(bank, 5)
    bank.close()
    fails(bank, 3)
    is_rejected(bank)
    assert (outage_of(bank).rejected, bank.rejected) == (1, 6)


# End


def test_an_outage_ends_when_the_breaker_closes_and_is_kept(
    bank: CircuitBreaker, clock: FakeClock
) -> None:
    fails(bank, 3)
    is_rejected(bank, 2)
    clock.advance(11)
    bank.acquire().success()
    clock.advance(60)
    outage = outage_of(bank)
    assert (length(outage), ago(outage.ended_at), outage.rejected) == (11, 60, 2)
    assert outage.reason == "3 failures in a row: DownError"


@pytest.mark.parametrize("command", ["close", "reset", "disable", "metrics_only"])
def test_an_operator_may_end_it(bank: CircuitBreaker, clock: FakeClock, command: str) -> None:
    fails(bank, 3)
    clock.advance(7)
    getattr(bank, command)(who="ann")
    outage = outage_of(bank)
    assert (length(outage), outage.who) == (7, None)


def test_forced_open_and_half_open_do_not_end_it(bank: CircuitBreaker) -> None:
    fails(bank, 3)
    bank.force_open()
    bank.half_open()
    assert outage_of(bank).ended_at is None


def test_a_later_change_does_not_move_its_end(bank: CircuitBreaker, clock: FakeClock) -> None:
    fails(bank, 3)
    clock.advance(7)
    bank.close()
    clock.advance(7)
    bank.disable()
    bank.half_open()
    assert length(outage_of(bank)) == 7


def test_the_next_one_is_another(bank: CircuitBreaker, clock: FakeClock) -> None:
    fails(bank, 3)
    clock.advance(11)
    fails(bank)
    bank.reset()
    clock.advance(60)
    fails(bank, 3, KeyError())
    outage = outage_of(bank)
    assert (ago(outage.began_at), outage.ended_at, outage.probes_failed) == (0, None, 0)
    assert outage.failure_type == "KeyError"


# The ramp


@pytest.fixture
def ramped(clock: FakeClock) -> CircuitBreaker:
    return CircuitBreaker(fail_max=1, timeout_duration=10, ramp=60, clock=clock)


def test_an_outage_ends_when_the_ramp_begins(ramped: CircuitBreaker, clock: FakeClock) -> None:
    fails(ramped)
    clock.advance(11)
    ramped.acquire().success()
    is_rejected(ramped, 3)
    clock.advance(61)
    ramped.acquire().success()
    assert ramped.state is CLOSED
    assert (length(outage_of(ramped)), outage_of(ramped).rejected) == (11, 0)


def test_a_relapse_takes_the_end_back(ramped: CircuitBreaker, clock: FakeClock) -> None:
    fails(ramped)
    is_rejected(ramped)
    clock.advance(11)
    ramped.acquire().success()
    is_rejected(ramped, 9)
    assert ramped.state is CLOSING
    clock.advance(1)
    fails(ramped)
    is_rejected(ramped)
    outage = outage_of(ramped)
    assert (outage.ended_at, outage.probes_failed, outage.rejected) == (None, 1, 11)
    assert (ago(outage.began_at), ago(outage.last_probe_at)) == (12, 0)


def test_a_relapse_by_hand_is_no_failed_probe(ramped: CircuitBreaker, clock: FakeClock) -> None:
    fails(ramped)
    clock.advance(11)
    ramped.acquire().success()
    ramped.open()
    outage = outage_of(ramped)
    assert (outage.ended_at, outage.probes_failed, outage.by_hand) == (None, 0, False)


# Clocks


def test_its_moments_are_the_same_in_each_snapshot(bank: CircuitBreaker) -> None:
    bank.open()
    assert bank.snapshot().outage == bank.snapshot().outage


def test_a_clock_that_is_set_back_gives_no_end_before_the_begin(
    bank: CircuitBreaker, clock: FakeClock
) -> None:
    fails(bank, 3)
    clock.advance(-100)
    bank.half_open()
    bank.close()
    outage = outage_of(bank)
    assert length(outage) == 0
    assert outage.last_probe_at == outage.began_at


# Another worker's changes


def follow(breaker: CircuitBreaker, change: Transition, **settings: Any) -> None:
    breaker._follow(change._replace(remote=True), breaker._generation, **settings)


def test_an_outage_of_another_worker_has_begun_there(
    bank: CircuitBreaker, clock: FakeClock
) -> None:
    follow(bank, Transition(OPEN, "3 failures in a row", age=30, openings=3))
    outage = outage_of(bank)
    assert (ago(outage.began_at), outage.probes_failed) == (30, 2)
    assert (outage.reason, outage.failure_type) == ("3 failures in a row", None)


def test_a_worker_that_starts_while_another_probes_has_its_outage(bank: CircuitBreaker) -> None:
    follow(bank, Transition(HALF_OPEN, "the open time has passed", age=2, openings=2))
    outage = outage_of(bank)
    assert (outage.probes_failed, ago(outage.last_probe_at)) == (1, 2)


def test_half_open_by_hand_elsewhere_begins_none(bank: CircuitBreaker) -> None:
    follow(bank, Transition(HALF_OPEN, "half-opened by hand", by_hand=True))
    assert bank.snapshot().outage is None


def test_probes_that_failed_elsewhere_are_counted_by_the_openings(bank: CircuitBreaker) -> None:
    fails(bank, 3)
    follow(bank, Transition(OPEN, "a probe failed", age=5, openings=4))
    outage = outage_of(bank)
    assert (outage.probes_failed, outage.reason) == (3, "3 failures in a row: DownError")


def test_an_opening_here_and_elsewhere_at_once_is_one(bank: CircuitBreaker) -> None:
    fails(bank, 3)
    follow(bank, Transition(OPEN, "3 failures in a row", age=0.1, openings=1))
    assert outage_of(bank).probes_failed == 0


def test_an_outage_that_has_ended_elsewhere_ended_then(
    bank: CircuitBreaker, clock: FakeClock
) -> None:
    fails(bank, 3)
    clock.advance(20)
    follow(bank, Transition(CLOSED, "the probes succeeded", age=5))
    assert length(outage_of(bank)) == 15


@pytest.fixture
def stored() -> Outage:
    now = datetime.now(UTC)
    return Outage(
        began_at=now - timedelta(seconds=90),
        ended_at=None,
        reason="5 failures in a row: DownError",
        failure_type="shop.DownError",
        by_hand=False,
        who=None,
        calls=9,
        failure_rate=0.5,
        slow_call_rate=None,
        consecutive_failures=5,
        probes_failed=4,
        last_probe_at=now - timedelta(seconds=3),
        rejected=1000,
    )


def plain(outage: Outage) -> tuple[object, ...]:
    """Return an outage with ages in whole seconds for moments."""
    values = (getattr(outage, name) for name in Outage.__slots__)
    return tuple(ago(value) if isinstance(value, datetime) else value for value in values)


def test_the_fleets_outage_comes_with_a_change(bank: CircuitBreaker, stored: Outage) -> None:
    change = Transition(OPEN, "a probe failed", age=3, openings=5)
    follow(bank, change, outage=stored)
    assert plain(outage_of(bank)) == plain(stored)


def test_the_fleets_outage_replaces_the_one_here(bank: CircuitBreaker, stored: Outage) -> None:
    fails(bank, 3)
    assert bank._adopt_outage(stored, bank._generation)
    assert plain(outage_of(bank)) == plain(stored)


def test_rejections_here_are_added_to_the_fleets(bank: CircuitBreaker, stored: Outage) -> None:
    fails(bank, 3)
    is_rejected(bank, 5)
    bank._adopt_outage(stored, bank._generation)
    is_rejected(bank)
    assert outage_of(bank).rejected == 1001


def test_the_fleets_outage_does_not_replace_a_later_one(
    bank: CircuitBreaker, stored: Outage
) -> None:
    before = bank._generation
    fails(bank, 3)
    assert not bank._adopt_outage(stored, before)
    assert outage_of(bank).calls == 3


def test_moments_of_the_fleet_that_waver_stay_as_they_are(stored: Outage) -> None:
    now = 1000.0
    last = course_of(stored, None, now, 0)
    wavered = course_of(stored, last, now + 0.2, 0)
    assert (wavered.began, wavered.probed) == (last.began, last.probed)
    moved = course_of(stored, last, now + 2, 0)
    assert moved.began == pytest.approx(last.began + 2, abs=0.1)
