"""`CircuitBreaker`: its states, its outcomes, and the ways to make a call under it."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any, Self
from weakref import WeakKeyDictionary

import anyio
import pytest

from breaker_asgi import (
    BreakerConfig,
    CircuitBreaker,
    CircuitBreakerError,
    CircuitBreakerState,
    CountWindow,
    Outcome,
    TimeWindow,
)
from breaker_asgi.testing import FakeClock

CLOSED = CircuitBreakerState.CLOSED
OPEN = CircuitBreakerState.OPEN
HALF_OPEN = CircuitBreakerState.HALF_OPEN
FORCED_OPEN = CircuitBreakerState.FORCED_OPEN
DISABLED = CircuitBreakerState.DISABLED
METRICS_ONLY = CircuitBreakerState.METRICS_ONLY

COMMANDS = {
    "open": OPEN,
    "half_open": HALF_OPEN,
    "close": CLOSED,
    "force_open": FORCED_OPEN,
    "disable": DISABLED,
    "metrics_only": METRICS_ONLY,
    "reset": CLOSED,
}


class DownError(Exception):
    """The dependency failed."""


def fail() -> None:
    raise DownError


async def fail_later() -> None:
    raise DownError


def fails(breaker: CircuitBreaker, times: int = 1) -> None:
    for _ in range(times):
        breaker.acquire().failure()


def succeeds(breaker: CircuitBreaker, times: int = 1) -> None:
    for _ in range(times):
        breaker.acquire().success()


def totals(breaker: CircuitBreaker) -> tuple[int, int, int, int]:
    return breaker.successes, breaker.failures, breaker.ignored, breaker.rejected


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Callable[[], list[str]]:
    """The log so far, as if nothing had been logged before the test."""
    monkeypatch.setattr("breaker_asgi._core.logs._logged", WeakKeyDictionary())
    caplog.set_level(logging.DEBUG, "breaker_asgi")
    return lambda: [record.getMessage() for record in caplog.records]


# States


def test_a_new_breaker_is_closed() -> None:
    assert CircuitBreaker().state is CircuitBreaker().current_state is CLOSED


@pytest.mark.parametrize("value", ["closed", "open", "half_open", "forced_open", "disabled"])
def test_a_state_equals_its_text(value: str) -> None:
    assert CircuitBreakerState(value) == value


@pytest.mark.parametrize(("command", "state"), COMMANDS.items())
@pytest.mark.parametrize("before", COMMANDS)
def test_a_command_leads_from_every_state_to_its_own(
    before: str, command: str, state: CircuitBreakerState
) -> None:
    breaker = CircuitBreaker()
    getattr(breaker, before)()
    getattr(breaker, command)()
    assert breaker.state is state


def test_failures_in_a_row_open_the_breaker() -> None:
    breaker = CircuitBreaker(fail_max=3)
    fails(breaker, 2)
    assert breaker.state is CLOSED
    fails(breaker)
    assert breaker.state is OPEN


def test_a_success_in_between_begins_the_row_anew() -> None:
    breaker = CircuitBreaker(fail_max=3)
    fails(breaker, 2)
    succeeds(breaker)
    fails(breaker, 2)
    assert breaker.state is CLOSED


def test_an_open_breaker_turns_half_open_at_the_first_call_after_its_time(
    clock: FakeClock,
) -> None:
    breaker = CircuitBreaker(timeout_duration=60, clock=clock)
    breaker.open()
    clock.advance(59)
    with pytest.raises(CircuitBreakerError):
        breaker.acquire()
    clock.advance(1.001)
    assert breaker.state is OPEN
    assert breaker.acquire().state is HALF_OPEN
    assert breaker.state is HALF_OPEN


def test_a_clock_that_was_set_back_does_not_keep_a_breaker_open(clock: FakeClock) -> None:
    clock.now = 1e6
    breaker = CircuitBreaker(timeout_duration=60, clock=clock)
    breaker.open()
    clock.now = 0
    succeeds(breaker)
    assert breaker.state is CLOSED


def test_a_successful_probe_closes() -> None:
    breaker = CircuitBreaker()
    breaker.half_open()
    succeeds(breaker)
    assert breaker.state is CLOSED


def test_a_failed_probe_opens_again() -> None:
    breaker = CircuitBreaker(half_open_calls=3)
    breaker.half_open()
    fails(breaker)
    assert breaker.state is OPEN


def test_all_probes_have_to_succeed() -> None:
    breaker = CircuitBreaker(half_open_calls=2)
    breaker.half_open()
    succeeds(breaker)
    assert breaker.state is HALF_OPEN
    succeeds(breaker)
    assert breaker.state is CLOSED


def test_no_more_probes_are_admitted_than_half_open_calls() -> None:
    breaker = CircuitBreaker(half_open_calls=2)
    breaker.half_open()
    _permits = [breaker.acquire(), breaker.acquire()]
    with pytest.raises(CircuitBreakerError) as raised:
        breaker.acquire()
    assert raised.value.state is HALF_OPEN


def test_an_ignored_probe_hands_its_permit_back() -> None:
    breaker = CircuitBreaker()
    breaker.half_open()
    breaker.acquire().ignore()
    assert breaker.acquire().state is HALF_OPEN


def test_a_probe_that_hangs_loses_its_permit_to_the_next_caller(clock: FakeClock) -> None:
    breaker = CircuitBreaker(half_open_timeout=30, clock=clock)
    breaker.half_open()
    lost = breaker.acquire()
    clock.advance(31)
    breaker.acquire().success()
    lost.failure()
    assert breaker.state is CLOSED


def test_open_times_grow_by_backoff_up_to_the_maximum(clock: FakeClock) -> None:
    breaker = CircuitBreaker(timeout_duration=5, backoff=2, max_timeout_duration=18, clock=clock)
    waits = []
    for _ in range(5):
        breaker.open()
        waits.append(breaker.snapshot().retry_after)
        breaker.half_open()
    assert waits == [5, 10, 18, 18, 18]


@pytest.mark.parametrize("command", ["close", "reset"])
def test_closing_begins_the_open_times_anew(command: str, clock: FakeClock) -> None:
    breaker = CircuitBreaker(timeout_duration=5, backoff=2, clock=clock)
    breaker.open()
    breaker.open()
    getattr(breaker, command)()
    breaker.open()
    assert breaker.snapshot().retry_after == 5


def test_an_open_time_is_finite_after_any_number_of_openings(clock: FakeClock) -> None:
    breaker = CircuitBreaker(timeout_duration=5, backoff=10, clock=clock)
    for _ in range(1000):
        breaker.half_open()
        breaker.open()
    assert breaker.snapshot().retry_after == 600


def test_jitter_takes_a_random_share_off(clock: FakeClock) -> None:
    breaker = CircuitBreaker(timeout_duration=100, jitter=0.1, clock=clock)
    waits = set()
    for _ in range(50):
        breaker.reset()
        breaker.open()
        waits.add(breaker.snapshot().retry_after or 0)
    assert 90 <= min(waits) < max(waits) <= 100


def test_a_forced_open_breaker_rejects_for_ever(clock: FakeClock) -> None:
    breaker = CircuitBreaker(clock=clock)
    breaker.force_open()
    clock.advance(timedelta(days=365))
    with pytest.raises(CircuitBreakerError):
        breaker.acquire()
    assert breaker.state is FORCED_OPEN


def test_a_disabled_breaker_admits_and_counts_nothing() -> None:
    breaker = CircuitBreaker(fail_max=1)
    breaker.disable()
    fails(breaker, 9)
    assert breaker.state is DISABLED
    assert breaker.snapshot().calls == 0


def test_a_metrics_only_breaker_counts_and_never_trips() -> None:
    breaker = CircuitBreaker(failure_rate=0.5, minimum_calls=2, fail_max=2)
    breaker.metrics_only()
    fails(breaker, 9)
    assert breaker.state is METRICS_ONLY
    assert breaker.snapshot().failure_rate == 1


def test_reset_empties_the_window_and_keeps_the_totals() -> None:
    breaker = CircuitBreaker(fail_max=3)
    fails(breaker, 2)
    breaker.reset()
    assert (breaker.fail_counter, breaker.failures) == (0, 2)
    fails(breaker, 2)
    assert breaker.state is CLOSED


# Trips by rates


def test_a_failure_rate_opens_once_there_are_minimum_calls() -> None:
    breaker = CircuitBreaker(failure_rate=0.5, window=CountWindow(10), minimum_calls=4)
    fails(breaker, 3)
    assert breaker.state is CLOSED
    succeeds(breaker)
    assert breaker.state is OPEN


def test_failures_below_the_rate_do_not_open() -> None:
    breaker = CircuitBreaker(failure_rate=0.5, window=CountWindow(10))
    for _ in range(50):
        succeeds(breaker, 3)
        fails(breaker, 2)
    assert breaker.state is CLOSED


def test_a_time_window_forgets(clock: FakeClock) -> None:
    breaker = CircuitBreaker(failure_rate=0.5, window=TimeWindow(10), minimum_calls=2, clock=clock)
    fails(breaker)
    clock.advance(10)
    fails(breaker)
    assert breaker.state is CLOSED
    fails(breaker)
    assert breaker.state is OPEN


def slow_breaker(clock: FakeClock, **settings: Any) -> CircuitBreaker:
    return CircuitBreaker(
        slow_call_rate=1,
        slow_call_duration=2,
        window=CountWindow(2),
        clock=clock,
        **settings,
    )


def test_slow_calls_open_though_they_succeed(clock: FakeClock) -> None:
    breaker = slow_breaker(clock)
    for _ in range(2):
        with breaker:
            clock.advance(2.001)
    assert breaker.state is OPEN
    assert totals(breaker) == (2, 0, 0, 0)


def test_a_call_that_takes_just_the_slow_call_duration_is_not_slow(clock: FakeClock) -> None:
    breaker = slow_breaker(clock)
    for _ in range(2):
        with breaker:
            clock.advance(2)
    assert breaker.state is CLOSED
    assert breaker.snapshot().slow_call_rate == 0


def test_a_slow_failure_counts_for_both_rates(clock: FakeClock) -> None:
    breaker = slow_breaker(clock, failure_rate=1)
    breaker.metrics_only()
    for _ in range(2):
        permit = breaker.acquire()
        clock.advance(3)
        permit.failure()
    snapshot = breaker.snapshot()
    assert (snapshot.failure_rate, snapshot.slow_call_rate) == (1, 1)


@pytest.mark.parametrize("window", [CountWindow(2), TimeWindow(60)])
async def test_the_time_of_every_kind_of_call_is_taken(
    window: CountWindow | TimeWindow, clock: FakeClock
) -> None:
    breaker = CircuitBreaker(
        slow_call_rate=1, slow_call_duration=2, window=window, minimum_calls=1, clock=clock
    )

    def slow() -> None:
        clock.advance(3)

    async def slow_later() -> None:
        clock.advance(3)

    def start() -> Awaitable[None]:
        return slow_later()

    async def block() -> None:
        async with breaker:
            clock.advance(3)

    calls: list[Callable[[], Any]] = [
        lambda: breaker.call(slow),
        breaker(slow),
        lambda: breaker.call_async(slow_later),
        breaker(slow_later),
        lambda: breaker.call(slow_later),
        breaker(start),
        block,
    ]
    for call in calls:
        breaker.reset()
        if waited := call():
            await waited
        assert breaker.state is OPEN


# Outcomes


@pytest.mark.parametrize("error", [Exception, ValueError, TimeoutError, RuntimeError])
def test_every_exception_is_a_failure(error: type[Exception]) -> None:
    assert CircuitBreaker().outcome_of(error()) is Outcome.FAILURE


@pytest.mark.parametrize(
    "error", [asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit]
)
def test_an_exception_that_is_not_an_error_is_ignored(error: type[BaseException]) -> None:
    breaker = CircuitBreaker(fail_max=1)
    with pytest.raises(error), breaker:
        raise error
    assert totals(breaker) == (0, 0, 1, 0)


def test_an_excluded_exception_is_a_success() -> None:
    breaker = CircuitBreaker(fail_max=1, exclude=[LookupError])
    with pytest.raises(KeyError), breaker:
        raise KeyError
    assert totals(breaker) == (1, 0, 0, 0)
    assert breaker.excluded == 1


def test_an_excluded_exception_ends_a_row_of_failures() -> None:
    breaker = CircuitBreaker(fail_max=2, exclude=[KeyError])
    fails(breaker)
    with pytest.raises(KeyError), breaker:
        raise KeyError
    assert breaker.fail_counter == 0


def test_an_excluded_exception_closes_a_half_open_breaker() -> None:
    breaker = CircuitBreaker(exclude=[KeyError])
    breaker.half_open()
    with pytest.raises(KeyError), breaker:
        raise KeyError
    assert breaker.state is CLOSED


def test_an_ignored_exception_counts_for_nothing() -> None:
    breaker = CircuitBreaker(fail_max=2, ignore=[LookupError])
    fails(breaker)
    with pytest.raises(KeyError), breaker:
        raise KeyError
    assert totals(breaker) == (0, 1, 1, 0)
    assert breaker.fail_counter == 1


def test_a_predicate_decides_on_each_exception() -> None:
    breaker = CircuitBreaker(exclude=[lambda error: "known" in str(error)])
    assert breaker.outcome_of(ValueError("known")) is Outcome.SUCCESS
    assert breaker.outcome_of(ValueError("unknown to us")) is Outcome.SUCCESS
    assert breaker.outcome_of(ValueError("new")) is Outcome.FAILURE


@pytest.mark.parametrize("setting", ["exclude", "ignore"])
def test_types_and_predicates_stand_side_by_side(setting: str) -> None:
    breaker = CircuitBreaker(**{setting: [KeyError, lambda error: error.args == (404,)]})  # type: ignore[arg-type]
    spared = Outcome.SUCCESS if setting == "exclude" else Outcome.IGNORED
    outcomes = [breaker.outcome_of(error) for error in (KeyError(), OSError(404), OSError(500))]
    assert outcomes == [spared, spared, Outcome.FAILURE]


@pytest.mark.parametrize("setting", ["exclude", "ignore"])
def test_a_predicate_that_raises_is_logged_once_and_counts_as_false(
    setting: str, log: Callable[[], list[str]]
) -> None:
    def broken(error: Exception) -> bool:
        raise RuntimeError

    breaker = CircuitBreaker(**{setting: [broken]})  # type: ignore[arg-type]
    for _ in range(3):
        with pytest.raises(DownError):
            breaker.call(fail)
    assert totals(breaker) == (0, 3, 0, 0)
    [message] = log()
    assert "broken" in message


def test_each_predicate_that_raises_is_logged(log: Callable[[], list[str]]) -> None:
    def broken() -> Callable[[Exception], bool]:
        return lambda error: error.args[99]

    breaker = CircuitBreaker(exclude=[broken(), broken()])
    breaker.outcome_of(DownError())
    assert len(log()) == 2


def test_predicates_after_one_that_raises_are_still_called() -> None:
    def broken(error: Exception) -> bool:
        raise RuntimeError

    breaker = CircuitBreaker(exclude=[broken, lambda error: True])
    assert breaker.outcome_of(DownError()) is Outcome.SUCCESS


def test_is_failure_judges_the_result() -> None:
    breaker = CircuitBreaker(is_failure=lambda status: status >= 500)
    assert [breaker.call(int, status) for status in (200, 503, 404)] == [200, 503, 404]
    assert totals(breaker) == (2, 1, 0, 0)


async def test_is_failure_judges_what_an_awaitable_gives() -> None:
    async def status() -> int:
        return 503

    breaker = CircuitBreaker(is_failure=lambda status: status == 503)
    await breaker.call_async(status)
    await breaker.call(status)
    await breaker(status)()
    await breaker.call(lambda: asyncio.ensure_future(status()))
    assert totals(breaker) == (0, 4, 0, 0)


def test_an_is_failure_that_raises_is_logged_once_and_counts_as_false(
    log: Callable[[], list[str]],
) -> None:
    def broken(result: object) -> bool:
        raise RuntimeError

    breaker = CircuitBreaker(is_failure=broken)
    assert [breaker.call(int), breaker.call(int)] == [0, 0]
    assert totals(breaker) == (2, 0, 0, 0)
    assert len(log()) == 1


def test_an_excluded_exception_can_be_added_and_removed() -> None:
    breaker = CircuitBreaker()
    assert breaker.is_system_error(KeyError())
    breaker.add_excluded_exception(KeyError)
    assert not breaker.is_system_error(KeyError())
    breaker.remove_excluded_exception(KeyError)
    assert breaker.is_system_error(KeyError())


# Permits


def test_a_permit_has_its_breaker_and_state() -> None:
    breaker = CircuitBreaker(name="payments")
    permit = breaker.acquire()
    assert permit.breaker is breaker
    assert permit.state is CLOSED
    assert not permit.settled


@pytest.mark.parametrize("settle", ["success", "failure", "ignore"])
def test_a_permit_is_settled_once(settle: str) -> None:
    breaker = CircuitBreaker()
    permit = breaker.acquire()
    getattr(permit, settle)()
    assert permit.settled
    before = totals(breaker)
    for again in (permit.success, permit.failure, permit.ignore):
        again()
    assert totals(breaker) == before
    assert sum(before) == 1


def test_a_permit_judges_what_was_raised_and_returned() -> None:
    breaker = CircuitBreaker(exclude=[KeyError], is_failure=lambda result: result is None)
    breaker.acquire().raised(KeyError())
    breaker.acquire().raised(DownError())
    breaker.acquire().returned(5)
    breaker.acquire().returned(None)
    breaker.acquire().raised(asyncio.CancelledError())
    assert totals(breaker) == (2, 2, 1, 0)


def test_failure_is_a_failure_whatever_exclude_says() -> None:
    breaker = CircuitBreaker(exclude=[KeyError])
    breaker.acquire().failure(KeyError())
    assert totals(breaker) == (0, 1, 0, 0)


def test_a_permit_settles_itself_at_the_end_of_its_block() -> None:
    breaker = CircuitBreaker()
    with breaker.acquire() as permit:
        assert not permit.settled
    assert permit.settled
    assert totals(breaker) == (1, 0, 0, 0)


def test_a_permit_that_was_settled_inside_its_block_stays_as_it_is() -> None:
    breaker = CircuitBreaker()
    with breaker.acquire() as permit:
        permit.failure()
    assert totals(breaker) == (0, 1, 0, 0)


def test_a_late_failure_does_not_open_a_breaker_that_has_closed_since() -> None:
    breaker = CircuitBreaker(fail_max=1)
    late = breaker.acquire()
    breaker.reset()
    late.failure()
    assert breaker.state is CLOSED
    assert breaker.fail_counter == 0


def test_a_late_success_does_not_close_a_half_open_breaker() -> None:
    breaker = CircuitBreaker()
    late = breaker.acquire()
    breaker.half_open()
    late.success()
    assert breaker.state is HALF_OPEN


def test_a_probe_of_an_earlier_generation_decides_nothing() -> None:
    breaker = CircuitBreaker()
    breaker.half_open()
    late = breaker.acquire()
    breaker.half_open()
    late.success()
    assert breaker.state is HALF_OPEN


def test_a_permit_shows_what_it_is() -> None:
    permit = CircuitBreaker(name="payments").acquire()
    assert repr(permit) == "<Permit of 'payments', closed, pending>"
    permit.success()
    assert repr(permit) == "<Permit of 'payments', closed, settled>"


# Blocks


def test_a_block_succeeds_or_fails() -> None:
    breaker = CircuitBreaker()
    with breaker:
        pass
    with pytest.raises(DownError), breaker:
        raise DownError
    assert totals(breaker) == (1, 1, 0, 0)


async def test_an_async_block_succeeds_or_fails() -> None:
    breaker = CircuitBreaker()
    async with breaker:
        await asyncio.sleep(0)
    with pytest.raises(DownError):
        async with breaker:
            raise DownError
    assert totals(breaker) == (1, 1, 0, 0)


def test_a_block_gives_its_permit() -> None:
    breaker = CircuitBreaker()
    with breaker as permit:
        permit.failure()
    assert totals(breaker) == (0, 1, 0, 0)


def test_a_rejected_block_is_not_entered() -> None:
    breaker = CircuitBreaker()
    breaker.open()
    entered = False
    with pytest.raises(CircuitBreakerError), breaker:
        entered = True
    assert not entered
    assert totals(breaker) == (0, 0, 0, 1)


def test_blocks_of_one_breaker_nest() -> None:
    breaker = CircuitBreaker()
    with breaker as outer:
        with pytest.raises(DownError), breaker as inner:
            raise DownError
        assert inner.settled
        assert not outer.settled
    assert totals(breaker) == (1, 1, 0, 0)


def test_blocks_of_two_breakers_nest() -> None:
    outer, inner = CircuitBreaker(name="outer"), CircuitBreaker(name="inner")
    with pytest.raises(DownError), outer, inner:
        raise DownError
    assert totals(outer) == totals(inner) == (0, 1, 0, 0)


async def test_blocks_of_concurrent_tasks_keep_apart() -> None:
    breaker = CircuitBreaker()
    go = asyncio.Event()

    async def work(outcome: str) -> None:
        async with breaker as permit:
            await go.wait()
            getattr(permit, outcome)()

    async with asyncio.TaskGroup() as tasks:
        for outcome in ("success", "failure", "ignore"):
            tasks.create_task(work(outcome))
        await asyncio.sleep(0)
        go.set()
    assert totals(breaker) == (1, 1, 1, 0)


def test_a_block_that_ends_in_another_context_is_settled() -> None:
    """A generator dependency of FastAPI does so: its parts run in worker threads."""
    breaker = CircuitBreaker()
    contextvars.copy_context().run(breaker.__enter__)
    contextvars.copy_context().run(breaker.__exit__, DownError, DownError(), None)
    assert totals(breaker) == (0, 1, 0, 0)


def test_blocks_of_two_generators_settle_their_own_permits() -> None:
    breaker = CircuitBreaker()

    def guarded() -> Iterator[Any]:
        with breaker as permit:
            yield permit

    first, second = guarded(), guarded()
    first_permit, second_permit = next(first), next(second)
    next(first, None)
    assert first_permit.settled
    assert not second_permit.settled


def test_a_cancelled_block_hands_the_probe_back() -> None:
    breaker = CircuitBreaker()
    breaker.half_open()
    with pytest.raises(asyncio.CancelledError), breaker:
        raise asyncio.CancelledError
    assert breaker.acquire().state is HALF_OPEN


async def test_a_timeout_outside_is_ignored() -> None:
    breaker = CircuitBreaker()
    with anyio.move_on_after(0):
        async with breaker:
            await anyio.sleep_forever()
    assert totals(breaker) == (0, 0, 1, 0)


async def test_a_timeout_inside_is_a_failure() -> None:
    breaker = CircuitBreaker()

    async def ask() -> None:
        with anyio.fail_after(0):
            await anyio.sleep_forever()

    with pytest.raises(TimeoutError):
        await breaker.call_async(ask)
    assert totals(breaker) == (0, 1, 0, 0)


def test_a_call_inside_a_probe_is_part_of_the_probe() -> None:
    breaker = CircuitBreaker()
    breaker.half_open()
    with breaker:
        assert breaker.call(len, "abc") == 3
        assert breaker.state is HALF_OPEN
    assert breaker.state is CLOSED


def test_a_call_after_a_probes_block_needs_a_permit_of_its_own() -> None:
    breaker = CircuitBreaker(half_open_calls=1)
    breaker.half_open()
    permit = breaker.acquire()
    with pytest.raises(CircuitBreakerError):
        breaker.call(len, "abc")
    permit.success()


# call and call_async


def test_call_passes_arguments_and_result_on() -> None:
    def ask(*args: object, **kwargs: object) -> object:
        return args, kwargs

    assert CircuitBreaker().call(ask, 1, b=2) == ((1,), {"b": 2})


@pytest.mark.parametrize("name", ["self", "function", "engine", "args", "kwargs"])
async def test_arguments_of_a_call_may_have_any_name(name: str) -> None:
    def ask(**kwargs: object) -> object:
        return kwargs

    async def ask_later(**kwargs: object) -> object:
        return kwargs

    breaker = CircuitBreaker()
    assert breaker.call(ask, **{name: 1}) == {name: 1}
    assert await breaker.call_async(ask_later, **{name: 1}) == {name: 1}


def test_call_raises_what_the_function_raises() -> None:
    breaker = CircuitBreaker()
    error = DownError()

    def ask() -> None:
        raise error

    with pytest.raises(DownError) as raised:
        breaker.call(ask)
    assert raised.value is error
    assert totals(breaker) == (0, 1, 0, 0)


async def test_call_async_raises_what_the_function_raises() -> None:
    breaker = CircuitBreaker()
    with pytest.raises(DownError):
        await breaker.call_async(fail_later)
    assert totals(breaker) == (0, 1, 0, 0)


async def test_a_call_of_an_async_function_is_judged_when_it_is_awaited() -> None:
    breaker = CircuitBreaker()
    waiting = breaker.call(fail_later)
    assert totals(breaker) == (0, 0, 0, 0)
    with pytest.raises(DownError):
        await waiting
    assert totals(breaker) == (0, 1, 0, 0)


def test_a_rejected_call_never_reaches_the_function() -> None:
    breaker = CircuitBreaker()
    breaker.open()
    reached: list[int] = []

    def reach() -> None:
        reached.append(1)

    calls: list[Callable[[], object]] = [lambda: breaker.call(reach), breaker(reach)]
    for call in calls:
        with pytest.raises(CircuitBreakerError):
            call()
    assert reached == []
    assert totals(breaker) == (0, 0, 0, 2)


async def test_a_rejected_async_call_never_reaches_the_function() -> None:
    breaker = CircuitBreaker()
    breaker.open()
    reached: list[int] = []

    async def reach() -> None:
        reached.append(1)

    calls: list[Callable[[], Any]] = [lambda: breaker.call_async(reach), breaker(reach)]
    for call in calls:
        with pytest.raises(CircuitBreakerError):
            await call()
    assert reached == []
    assert totals(breaker) == (0, 0, 0, 2)


async def test_a_cancelled_call_is_ignored() -> None:
    breaker = CircuitBreaker()
    task = asyncio.ensure_future(breaker.call_async(asyncio.Event().wait))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert totals(breaker) == (0, 0, 1, 0)


async def test_calls_leave_a_guarded_function_to_its_own_breaker() -> None:
    own, other = CircuitBreaker(), CircuitBreaker()
    with pytest.raises(DownError):
        other.call(own(fail))
    with pytest.raises(DownError):
        await other.call_async(own(fail_later))
    assert totals(other) == (0, 0, 0, 0)
    assert totals(own) == (0, 2, 0, 0)


async def test_calls_guard_a_guarded_function_again_without_ignore_on_call() -> None:
    own, other = CircuitBreaker(), CircuitBreaker()
    with pytest.raises(DownError):
        other.call(own(ignore_on_call=False)(fail))
    with pytest.raises(DownError):
        await other.call_async(own(fail_later, ignore_on_call=False))
    assert totals(other) == totals(own) == (0, 2, 0, 0)


# Errors of callers


def test_the_call_that_trips_raises_its_own_exception() -> None:
    breaker = CircuitBreaker(fail_max=1)
    with pytest.raises(DownError):
        breaker.call(fail)
    with pytest.raises(CircuitBreakerError):
        breaker.call(fail)


def trip_by_call(breaker: CircuitBreaker) -> None:
    breaker.call(fail)


def trip_by_decorated(breaker: CircuitBreaker) -> None:
    breaker(fail)()


def trip_by_block(breaker: CircuitBreaker) -> None:
    with breaker:
        raise DownError


def trip_by_permit(breaker: CircuitBreaker) -> None:
    breaker.acquire().raised(DownError())


def trip_by_async_call(breaker: CircuitBreaker) -> None:
    asyncio.run(breaker.call_async(fail_later))


def trip_by_async_decorated(breaker: CircuitBreaker) -> None:
    asyncio.run(breaker(fail_later)())


TRIPS = [
    trip_by_call,
    trip_by_decorated,
    trip_by_block,
    trip_by_permit,
    trip_by_async_call,
    trip_by_async_decorated,
]


@pytest.mark.parametrize("trip", TRIPS)
def test_the_call_that_trips_raises_the_breakers_error_with_throw_new_error_on_trip(
    trip: Callable[[CircuitBreaker], None],
) -> None:
    breaker = CircuitBreaker(fail_max=2, throw_new_error_on_trip=True, name="bank")
    fails(breaker)
    with pytest.raises(CircuitBreakerError) as raised:
        trip(breaker)
    assert isinstance(raised.value.__cause__, DownError)
    assert str(raised.value).startswith("breaker 'bank' is open (2 failures in a row: DownError)")


def test_the_call_that_trips_is_not_counted_as_rejected() -> None:
    breaker = CircuitBreaker(fail_max=1, throw_new_error_on_trip=True)
    with pytest.raises(CircuitBreakerError):
        breaker.call(fail)
    assert totals(breaker) == (0, 1, 0, 0)


def test_a_rejection_by_another_breaker_is_ignored() -> None:
    inner, outer = CircuitBreaker(), CircuitBreaker(fail_max=1)
    inner.open()
    with pytest.raises(CircuitBreakerError):
        outer.call(inner.call, fail)
    with pytest.raises(CircuitBreakerError), outer:
        inner.acquire()
    assert totals(outer) == (0, 0, 2, 0)


def test_a_rejection_by_another_breaker_hands_a_probe_back() -> None:
    inner, outer = CircuitBreaker(), CircuitBreaker()
    inner.open()
    outer.half_open()
    with pytest.raises(CircuitBreakerError), outer:
        inner.acquire()
    assert outer.acquire().state is HALF_OPEN


# Fallbacks


def opened(fallback: object) -> CircuitBreaker:
    breaker = CircuitBreaker(fallback=fallback, name="bank")
    breaker.open()
    return breaker


def ask(question: str, *, loud: bool = False) -> object:
    raise DownError


async def ask_later(question: str, *, loud: bool = False) -> object:
    raise DownError


def error_only(error: CircuitBreakerError) -> str:
    return f"{error.name} is {error.state}"


async def error_only_later(error: CircuitBreakerError) -> str:
    return error_only(error)


def error_and_arguments(error: CircuitBreakerError, question: str, *, loud: bool) -> object:
    return error.name, question, loud


def error_and_anything(error: CircuitBreakerError, *args: object, **kwargs: object) -> object:
    return error.name, args, kwargs


async def error_and_anything_later(error: CircuitBreakerError, *args: object, **kw: object) -> Any:
    return error.name, args, kw


def anything(*args: object) -> object:
    return len(args)


class Apology(str):
    """An answer with the name of the breaker."""

    __slots__ = ()

    def __new__(cls, error: CircuitBreakerError) -> Self:
        return super().__new__(cls, f"sorry for {error.name}")


FALLBACKS = [
    ("a value", "a value"),
    (0, 0),
    (error_only, "bank is open"),
    (lambda error: error.name, "bank"),
    (error_and_arguments, ("bank", "why", True)),
    (error_and_anything, ("bank", ("why",), {"loud": True})),
    (Apology, "sorry for bank"),
    (callable, False),
]


@pytest.mark.parametrize(("fallback", "answer"), FALLBACKS)
def test_a_rejected_call_gives_the_fallback(fallback: object, answer: object) -> None:
    breaker = opened(fallback)
    assert breaker.call(ask, "why", loud=True) == answer
    assert breaker(ask)("why", loud=True) == answer


@pytest.mark.parametrize(
    ("fallback", "answer"),
    [
        *FALLBACKS,
        (error_only_later, "bank is open"),
        (error_and_anything_later, ("bank", ("why",), {"loud": True})),
    ],
)
async def test_a_rejected_async_call_gives_the_fallback(fallback: object, answer: object) -> None:
    breaker = opened(fallback)
    assert await breaker.call_async(ask_later, "why", loud=True) == answer
    assert await breaker(ask_later)("why", loud=True) == answer


@pytest.mark.parametrize(
    ("fallback", "answer"),
    [
        (anything, 2),
        (lambda error, question: (error.name, question), ("bank", "why")),
        (lambda error, question="": (error.name, question), ("bank", "why")),
    ],
)
def test_a_fallback_of_several_arguments_gets_those_of_the_call(
    fallback: object, answer: object
) -> None:
    assert opened(fallback).call(ask, "why") == answer


def test_a_fallback_gets_the_arguments_with_their_defaults() -> None:
    breaker = opened(error_and_arguments)
    assert breaker(ask)("why") == ("bank", "why", False)


def test_a_rejected_generator_yields_from_the_fallback() -> None:
    def numbers(count: int) -> Iterator[int]:
        yield from range(count)

    def fewer(error: CircuitBreakerError, count: int) -> Iterator[int]:
        yield from range(count - 1)

    assert list(opened([7, 8])(numbers)(3)) == [7, 8]
    assert list(opened(fewer)(numbers)(3)) == [0, 1]


async def test_a_rejected_async_generator_yields_from_an_async_fallback() -> None:
    async def numbers(count: int) -> AsyncIterator[int]:
        for number in range(count):
            yield number

    async def fewer(error: CircuitBreakerError, count: int) -> AsyncIterator[int]:
        for number in range(count - 1):
            yield number

    assert [number async for number in opened(fewer)(numbers)(3)] == [0, 1]


async def test_a_rejected_async_generator_yields_from_a_list() -> None:
    async def numbers(count: int) -> AsyncIterator[int]:
        for number in range(count):
            yield number

    assert [number async for number in opened([7, 8])(numbers)(3)] == [7, 8]


def test_a_fallback_is_used_by_rejected_calls_only() -> None:
    breaker = CircuitBreaker(fallback="fallback")
    with pytest.raises(DownError):
        breaker.call(fail)
    assert breaker.call(len, "abc") == 3


def test_a_fallback_hides_no_error_of_its_own() -> None:
    def broken(error: CircuitBreakerError) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        opened(broken).call(ask, "why")


def test_a_rejection_with_a_fallback_is_counted() -> None:
    breaker = opened("fallback")
    breaker(ask)("why")
    breaker.call(ask, "why")
    assert totals(breaker) == (0, 0, 0, 2)


def test_acquire_and_blocks_raise_though_there_is_a_fallback() -> None:
    breaker = opened("fallback")
    with pytest.raises(CircuitBreakerError):
        breaker.acquire()
    with pytest.raises(CircuitBreakerError), breaker:
        pass


@pytest.mark.parametrize("command", ["open", "half_open", "force_open"])
def test_a_fallback_answers_in_every_state_that_rejects(command: str) -> None:
    breaker = CircuitBreaker(fallback=lambda error: str(error.state))
    getattr(breaker, command)()
    if command == "half_open":
        _probe = breaker.acquire()
    assert breaker(ask)("why") == COMMANDS[command].value


# The breaker as an object


def test_totals_count_every_call_once() -> None:
    breaker = CircuitBreaker(fail_max=2, exclude=[KeyError])
    succeeds(breaker, 3)
    breaker.acquire().ignore()
    breaker.acquire().raised(KeyError())
    fails(breaker, 2)
    with pytest.raises(CircuitBreakerError):
        breaker.acquire()
    assert totals(breaker) == (4, 2, 1, 1)
    assert breaker.excluded == 1
    assert breaker.calls == 8


def test_a_breaker_shows_its_name_and_state() -> None:
    breaker = CircuitBreaker(name="payments")
    assert repr(breaker) == "<CircuitBreaker 'payments', closed>"
    breaker.half_open()
    assert repr(breaker) == "<CircuitBreaker 'payments', half-open>"
    breaker.metrics_only()
    assert repr(breaker) == "<CircuitBreaker 'payments', metrics only>"


def test_breakers_are_made_before_any_event_loop_and_serve_several() -> None:
    breaker = CircuitBreaker.from_config(BreakerConfig(fail_max=3))
    for _ in range(3):
        with pytest.raises(DownError):
            asyncio.run(breaker.call_async(fail_later))
    assert breaker.state is OPEN
