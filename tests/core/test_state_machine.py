"""The state machine: against a naive model under random use, and rule by rule."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from breaker_asgi import (
    BreakerConfig,
    CircuitBreaker,
    CircuitBreakerError,
    CountWindow,
    Permit,
    TimeWindow,
)
from breaker_asgi._core.outcome import FAILURE, SUCCESS
from breaker_asgi.testing import FakeClock
from tests.core.model import (
    CLOSED,
    CLOSING,
    DISABLED,
    FORCED_OPEN,
    HALF_OPEN,
    METRICS_ONLY,
    OPEN,
    Model,
    Ticket,
)


class DownError(Exception):
    """Failure of the dependency."""


class CallerLeftError(BaseException):
    """Exception that is ignored."""


OUTCOMES = st.sampled_from(["success", "success", "failure", "ignored"])


@st.composite
def configs(draw: st.DrawFn) -> dict[str, Any]:
    """Settings of every kind, small enough that random calls reach every state."""
    config: dict[str, Any] = {
        "timeout_duration": draw(st.sampled_from([1, 5, 10])),
        "half_open_calls": draw(st.integers(1, 4)),
        "half_open_timeout": draw(st.sampled_from([2, 8])),
        "backoff": draw(st.sampled_from([1.0, 2.0])),
        "max_timeout_duration": draw(st.sampled_from([None, 15])),
    }
    if draw(st.booleans()):
        config["ramp"] = draw(st.sampled_from([2, 20]))
        config["ramp_aggression"] = draw(st.sampled_from([None, 0.5, 2]))
    rules = draw(st.sets(st.sampled_from(["streak", "rate", "slow"]), min_size=1))
    if "streak" in rules:
        config["fail_max"] = draw(st.integers(1, 4))
    if "rate" in rules:
        config["failure_rate"] = draw(st.sampled_from([0.3, 0.5, 1.0]))
    if "slow" in rules:
        config["slow_call_rate"] = draw(st.sampled_from([0.3, 1.0]))
        config["slow_call_duration"] = 0.5
    if rules != {"streak"}:
        windows = st.sampled_from([CountWindow(4), CountWindow(10), TimeWindow(1), TimeWindow(6)])
        config["window"] = draw(windows)
        config["minimum_calls"] = draw(st.integers(1, 4))
    return config


class BreakerUnderRandomUse(RuleBasedStateMachine):
    permits = Bundle("permits")
    behind = 0.0
    """Seconds by which the clock was set back in all."""

    @initialize(config=configs())
    def make(self, config: dict[str, Any]) -> None:
        self.clock = FakeClock(1000.0)
        self.breaker = CircuitBreaker(**config, clock=self.clock)
        self.model = Model(self.breaker.config, since=1000.0)
        self.guarded = self.breaker(self.dependency)

    def dependency(self, outcome: str) -> str:
        if outcome == "failure":
            raise DownError
        if outcome == "ignored":
            raise CallerLeftError
        return outcome

    @rule(target=permits)
    def acquire(self) -> tuple[Permit, Ticket] | None:
        ticket = self.model.acquire(self.clock.now)
        if ticket is None:
            with pytest.raises(CircuitBreakerError):
                self.breaker.acquire()
            return None
        return self.breaker.acquire(), ticket

    @rule(taken=permits, outcome=OUTCOMES)
    def settle(self, taken: tuple[Permit, Ticket] | None, outcome: str) -> None:
        """Settle a permit: late, early or twice, and never if it is not drawn."""
        if taken is None:
            return
        permit, ticket = taken
        self.model.settle(ticket, outcome, self.clock.now)
        if outcome == "success":
            permit.success()
        elif outcome == "failure":
            permit.failure(DownError())
        else:
            permit.ignore()
        assert permit.settled

    @rule(taken=permits)
    def answer_begins(self, taken: tuple[Permit, Ticket] | None) -> None:
        if taken is not None:
            taken[0].answered()
            self.model.answer(taken[1], self.clock.now)

    @rule(outcome=OUTCOMES)
    def call(self, outcome: str) -> None:
        ticket = self.model.acquire(self.clock.now)
        if ticket is not None:
            self.model.settle(ticket, outcome, self.clock.now)
        try:
            assert self.guarded(outcome) == outcome
        except CircuitBreakerError:
            assert ticket is None
        except (DownError, CallerLeftError):
            assert ticket is not None

    @rule(seconds=st.sampled_from([0.1, 0.6, 1.0, 3.0, 9.0, 40.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @precondition(lambda self: isinstance(self.breaker.config.window, CountWindow))
    @rule(seconds=st.sampled_from([0.1, 3.0, 40.0]))
    def the_clock_is_set_back(self, seconds: float) -> None:
        self.clock.advance(-seconds)
        self.behind += seconds

    @rule(
        command=st.sampled_from(
            [
                ("open", OPEN),
                ("half_open", HALF_OPEN),
                ("close", CLOSED),
                ("reset", CLOSED),
                ("force_open", FORCED_OPEN),
                ("disable", DISABLED),
                ("metrics_only", METRICS_ONLY),
            ]
        ),
        seldom=st.integers(0, 3),
    )
    def change_by_hand(self, command: tuple[str, Any], seldom: int) -> None:
        if seldom == 0:
            getattr(self.breaker, command[0])()
            self.model.enter(command[1], self.clock.now, by_hand=True)

    @invariant()
    def it_does_what_the_model_does(self) -> None:
        if not hasattr(self, "breaker"):
            return
        model, snapshot = self.model, self.breaker.snapshot()
        assert snapshot.state is model.state
        assert snapshot.generation == model.generation
        totals = (snapshot.successes, snapshot.failures, snapshot.ignored, snapshot.rejected)
        assert totals == (model.successes, model.failures, model.ignored, model.rejected)
        assert self.breaker.calls == sum(totals)
        if model.is_timed:
            under_way = (snapshot.calls_under_way, snapshot.slow_calls_under_way)
            assert under_way == model.under_way(self.clock.now)
        if model.config.rated and model.state in {CLOSED, CLOSING, METRICS_ONLY}:
            recorded = model.recorded(self.clock.now)
            assert snapshot.calls == len(recorded)
            if snapshot.failure_rate is not None:
                failures = sum(call.failed for call in recorded)
                assert snapshot.failure_rate == failures / len(recorded)
            if snapshot.slow_call_rate is not None:
                slow_calls = sum(call.slow for call in recorded)
                assert snapshot.slow_call_rate == slow_calls / len(recorded)

    @invariant()
    def its_outage_is_that_of_the_model(self) -> None:
        if not hasattr(self, "breaker"):
            return
        model, outage = self.model.outage, self.breaker.snapshot().outage
        if model is None or outage is None:
            assert model is None is outage
            return
        assert (outage.by_hand, outage.probes_failed) == (model.by_hand, model.probes_failed)
        assert outage.consecutive_failures == model.streak
        assert outage.rejected == model.rejected_by(self.model.rejected)
        for moment, expected in (
            (outage.ended_at, model.ended),
            (outage.last_probe_at, model.probed),
        ):
            seconds = None if moment is None else (moment - outage.began_at).total_seconds()
            length = None if expected is None else pytest.approx(expected - model.began, abs=1e-5)
            assert seconds == length

    @invariant()
    def there_is_never_a_herd(self) -> None:
        if hasattr(self, "breaker"):
            assert len(self.model.probes) <= self.model.config.half_open_calls

    def teardown(self) -> None:
        """Check that the breaker is never stuck: time and good calls close it."""
        recovering = {OPEN, HALF_OPEN, CLOSING}
        if not hasattr(self, "breaker") or self.breaker.state not in recovering:
            return
        config = self.breaker.config
        for _ in range(3):  # two rounds may be spoilt by probes that were under way before
            self.clock.advance(config.longest_timeout + config.probe_timeout + self.behind + 1)
            with suppress(CircuitBreakerError):
                self.breaker.acquire().success()
                while self.breaker.state is HALF_OPEN:
                    self.breaker.acquire().success()
            self.clock.advance(config.ramp_time + 1)
            with suppress(CircuitBreakerError):
                self.breaker.acquire().success()
        assert self.breaker.state is CLOSED


BreakerUnderRandomUse.TestCase.settings = settings(
    max_examples=100, stateful_step_count=30, deadline=None
)
TestBreakerUnderRandomUse = BreakerUnderRandomUse.TestCase


# Rule by rule


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def fail(breaker: CircuitBreaker, times: int = 1) -> None:
    for _ in range(times):
        breaker.acquire().failure(DownError())


def succeed(breaker: CircuitBreaker, times: int = 1) -> None:
    for _ in range(times):
        breaker.acquire().success()


def test_a_breaker_trips_by_failures_in_a_row() -> None:
    breaker = CircuitBreaker(fail_max=3)
    fail(breaker, 2)
    succeed(breaker)
    fail(breaker, 2)
    assert breaker.state is CLOSED
    fail(breaker)
    assert breaker.state is OPEN
    assert breaker.snapshot().reason == "3 failures in a row: DownError"


def test_a_breaker_trips_by_the_share_of_failures() -> None:
    breaker = CircuitBreaker(failure_rate=0.5, window=CountWindow(10), minimum_calls=4)
    fail(breaker, 2)
    succeed(breaker)
    assert breaker.state is CLOSED
    succeed(breaker)
    assert breaker.state is OPEN
    assert breaker.snapshot().reason == "failure rate 50% of 4 calls, limit 50%: DownError"


def test_a_breaker_trips_by_the_share_of_slow_calls(clock: FakeClock) -> None:
    breaker = CircuitBreaker(
        slow_call_rate=0.5, slow_call_duration=1, window=CountWindow(4), clock=clock
    )
    permits = [breaker.acquire() for _ in range(4)]
    for permit in permits:
        permit.success()
        clock.advance(0.6)
    assert breaker.state is OPEN
    assert breaker.snapshot().reason == "slow-call rate 50% of 4 calls, limit 50%"


def test_a_call_that_takes_just_the_duration_is_not_slow(clock: FakeClock) -> None:
    breaker = CircuitBreaker(
        slow_call_rate=0.1, slow_call_duration=1, window=CountWindow(1), clock=clock
    )
    permit = breaker.acquire()
    clock.advance(1)
    permit.success()
    assert breaker.state is CLOSED


def by_block(breaker: CircuitBreaker, function: Callable[[Exception], None]) -> Any:
    def guarded(error: Exception) -> None:
        with breaker:
            function(error)

    return guarded


def test_successes_are_counted_in_the_second_that_they_end_in(clock: FakeClock) -> None:
    breaker = CircuitBreaker(failure_rate=0.5, window=TimeWindow(2), clock=clock)
    calls = []
    for _ in range(3):
        succeed(breaker, 3)
        calls.append(breaker.snapshot().calls)
        clock.advance(1)
    assert calls == [3, 6, 6]


@pytest.mark.parametrize("guard", [CircuitBreaker.__call__, by_block], ids=["function", "block"])
def test_an_excluded_exception_is_a_success_in_every_count(guard: Any, clock: FakeClock) -> None:
    breaker = CircuitBreaker(
        fail_max=2,
        exclude=[KeyError],
        slow_call_rate=1,
        slow_call_duration=1,
        minimum_calls=9,
        clock=clock,
    )

    def call(error: Exception) -> None:
        clock.advance(2)
        raise error

    for error in (DownError(), KeyError(), DownError(), KeyError()):
        with pytest.raises(type(error)):
            guard(breaker, call)(error)
    assert breaker.state is CLOSED
    assert (breaker.successes, breaker.excluded, breaker.slow_calls) == (2, 2, 4)


def test_a_single_rate_leaves_failures_in_a_row_alone() -> None:
    breaker = CircuitBreaker(failure_rate=1, window=CountWindow(100), minimum_calls=100)
    fail(breaker, 99)
    assert breaker.state is CLOSED


def test_a_breaker_probes_after_the_open_time_and_not_before(clock: FakeClock) -> None:
    breaker = CircuitBreaker(timeout_duration=10, clock=clock)
    breaker.open()
    clock.advance(10)
    with pytest.raises(CircuitBreakerError):
        breaker.acquire()
    clock.advance(0.001)
    assert breaker.acquire().state is HALF_OPEN


def test_a_breaker_closes_when_all_probes_have_succeeded() -> None:
    breaker = CircuitBreaker(half_open_calls=3)
    breaker.half_open()
    succeed(breaker, 2)
    assert breaker.state is HALF_OPEN
    succeed(breaker)
    assert breaker.state is CLOSED


def test_the_first_failed_probe_opens_a_breaker_that_trips_by_a_streak() -> None:
    breaker = CircuitBreaker(fail_max=5, half_open_calls=3)
    breaker.half_open()
    fail(breaker)
    assert breaker.state is OPEN


def test_the_probes_of_a_rate_are_judged_together() -> None:
    breaker = CircuitBreaker(failure_rate=0.5, half_open_calls=3)
    breaker.half_open()
    fail(breaker)
    succeed(breaker, 2)
    assert breaker.state is CLOSED


def test_half_open_admits_as_many_probes_as_half_open_calls() -> None:
    breaker = CircuitBreaker(half_open_calls=2)
    breaker.half_open()
    permits = [breaker.acquire(), breaker.acquire()]
    with pytest.raises(CircuitBreakerError) as rejected:
        breaker.acquire()
    assert rejected.value.retry_after == 1
    permits[0].ignore()
    assert breaker.acquire().state is HALF_OPEN


def test_a_probe_that_hangs_loses_its_permit_to_the_next_caller(clock: FakeClock) -> None:
    breaker = CircuitBreaker(half_open_timeout=30, clock=clock)
    breaker.half_open()
    hanging = breaker.acquire()
    clock.advance(30.5)
    breaker.acquire().success()
    assert breaker.state is CLOSED
    hanging.failure()
    assert (breaker.successes, breaker.failures) == (1, 0)


def test_a_late_result_changes_nothing_but_the_totals() -> None:
    breaker = CircuitBreaker(fail_max=1)
    late = [breaker.acquire() for _ in range(3)]
    late[0].failure()
    assert breaker.state is OPEN
    breaker.close()
    late[1].failure()
    late[2].success()
    assert breaker.state is CLOSED
    assert (breaker.successes, breaker.failures) == (1, 2)


def test_each_opening_in_a_row_lasts_longer_up_to_a_limit(clock: FakeClock) -> None:
    breaker = CircuitBreaker(
        fail_max=1, timeout_duration=5, backoff=2, max_timeout_duration=60, clock=clock
    )
    lasted = []
    for _ in range(6):
        fail(breaker)
        lasted.append(breaker.snapshot().retry_after)
        clock.advance(61)
    assert lasted == [5, 10, 20, 40, 60, 60]


def test_an_opening_by_hand_while_open_does_not_lengthen_the_open_time(clock: FakeClock) -> None:
    breaker = CircuitBreaker(fail_max=1, timeout_duration=5, backoff=2, clock=clock)
    fail(breaker)
    breaker.open()
    assert breaker.snapshot().retry_after == 5
    breaker.half_open()
    breaker.open()
    assert breaker.snapshot().retry_after == 10


def test_the_row_begins_anew_when_it_has_closed(clock: FakeClock) -> None:
    breaker = CircuitBreaker(fail_max=1, timeout_duration=5, backoff=2, clock=clock)
    fail(breaker)
    clock.advance(6)
    fail(breaker)
    clock.advance(11)
    succeed(breaker)
    fail(breaker)
    assert breaker.snapshot().retry_after == 5


def test_the_open_time_is_finite_however_long_a_dependency_is_down(clock: FakeClock) -> None:
    breaker = CircuitBreaker(
        fail_max=1, timeout_duration=60, backoff=10, max_timeout_duration=3600, clock=clock
    )
    for _ in range(5_000):
        breaker.half_open()
        breaker.open()
    assert breaker.snapshot().retry_after == 3600


@pytest.mark.parametrize("command", ["force_open", "disable", "metrics_only"])
def test_a_state_set_by_hand_stays(command: str, clock: FakeClock) -> None:
    breaker = CircuitBreaker(fail_max=1, clock=clock)
    getattr(breaker, command)()
    state = breaker.state
    for _ in range(20):
        clock.advance(1000)
        try:
            fail(breaker)
        except CircuitBreakerError:
            assert state is FORCED_OPEN
    assert breaker.state is state


def test_metrics_only_records_failures_that_would_trip() -> None:
    breaker = CircuitBreaker(failure_rate=0.5, window=CountWindow(10))
    breaker.metrics_only()
    fail(breaker, 10)
    assert breaker.snapshot().failure_rate == 1.0


def test_disabled_records_nothing() -> None:
    breaker = CircuitBreaker()
    breaker.disable()
    assert breaker.acquire().state is DISABLED
    fail(breaker, 10)
    breaker(len)("abc")
    assert breaker.calls == 0


def test_a_disabled_breaker_shows_the_counts_of_the_state_before() -> None:
    breaker = CircuitBreaker(fail_max=3)
    fail(breaker, 2)
    breaker.disable()
    assert breaker.snapshot().consecutive_failures == 2


def test_a_clock_that_is_set_back_lets_an_open_breaker_probe(clock: FakeClock) -> None:
    breaker = CircuitBreaker(timeout_duration=60, clock=clock)
    breaker.open()
    clock.advance(-3600)
    assert breaker.acquire().state is HALF_OPEN


def test_probes_are_counted_by_outcome_and_changes_by_their_states(clock: FakeClock) -> None:
    breaker = CircuitBreaker(fail_max=1, timeout_duration=5, half_open_calls=2, clock=clock)
    fail(breaker)
    assert breaker._rare_counts == {(CLOSED, OPEN): 1}
    clock.advance(6)
    fail(breaker)
    clock.advance(6)
    succeed(breaker, 2)
    breaker.reset()
    assert breaker._rare_counts == {
        (CLOSED, OPEN): 1,
        (OPEN, HALF_OPEN): 2,
        (HALF_OPEN, OPEN): 1,
        (HALF_OPEN, CLOSED): 1,
        FAILURE: 1,
        SUCCESS: 2,
    }


def test_a_config_may_be_shared_by_breakers() -> None:
    config = BreakerConfig(fail_max=1)
    one, other = (CircuitBreaker.from_config(config, name) for name in ("one", "other"))
    fail(one)
    assert (one.state, other.state) == (OPEN, CLOSED)
