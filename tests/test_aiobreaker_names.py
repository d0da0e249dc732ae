"""Code of aiobreaker's users works here, unchanged but for the import."""

from __future__ import annotations

import asyncio
import importlib
import inspect
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import Mock

import aiobreaker  # type: ignore[import-untyped]
import aiobreaker.state  # type: ignore[import-untyped]
import pytest

import breaker_asgi
from breaker_asgi import (
    CircuitBreaker,
    CircuitBreakerError,
    CircuitBreakerListener,
    CircuitBreakerState,
)
from breaker_asgi.testing import FakeClock

MINUTE = timedelta(minutes=1)


class Down(Exception): ...  # noqa: N818


class Declined(Exception): ...  # noqa: N818


def fail() -> None:
    raise Down


async def fail_async() -> None:
    raise Down


def failures_of(breaker: CircuitBreaker, times: int) -> None:
    for _ in range(times):
        with pytest.raises(Down):
            breaker.call(fail)


def rejection(breaker: CircuitBreaker) -> CircuitBreakerError:
    with pytest.raises(CircuitBreakerError) as caught:
        breaker.call(str)
    return caught.value


# Where the names are

ABSENT = {
    "storage": "each process keeps its own state",
    "circuitbreaker": "the module; its class is in breaker_asgi",
    "version": "the package's metadata knows it",
}


@pytest.mark.parametrize("name", sorted(n for n in vars(aiobreaker) if not n.startswith("_")))
def test_the_exports_of_aiobreaker_are_here_but_for_storage_and_its_modules(name: str) -> None:
    assert hasattr(breaker_asgi, name) is (name not in ABSENT)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("breaker_asgi", "CircuitBreakerError"),
        ("breaker_asgi.errors", "CircuitBreakerError"),
        ("breaker_asgi", "CircuitBreakerState"),
        ("breaker_asgi.state", "CircuitBreakerState"),
    ],
)
def test_an_import_path_gives_the_same_class(module: str, name: str) -> None:
    assert getattr(importlib.import_module(module), name) is getattr(breaker_asgi, name)


@pytest.mark.parametrize(
    "name", sorted(name for name in vars(aiobreaker.CircuitBreaker) if not name.startswith("_"))
)
def test_a_breaker_has_every_public_name_of_aiobreaker(name: str) -> None:
    assert hasattr(CircuitBreaker(), name)


@pytest.mark.parametrize("name", ["message", "reopen_time", "time_remaining", "sleep_until_open"])
def test_an_error_has_every_public_name_of_aiobreaker(name: str) -> None:
    breaker = CircuitBreaker()
    breaker.open()
    assert hasattr(rejection(breaker), name)


@pytest.mark.parametrize("state", ["OPEN", "CLOSED", "HALF_OPEN"])
def test_a_state_has_the_name_of_aiobreaker(state: str) -> None:
    assert CircuitBreakerState[state].name == aiobreaker.CircuitBreakerState[state].name


@pytest.mark.parametrize("method", ["before_call", "success", "failure", "state_change"])
def test_a_listener_method_takes_the_arguments_of_aiobreaker(method: str) -> None:
    theirs = inspect.signature(getattr(aiobreaker.CircuitBreakerListener, method))
    ours = inspect.signature(getattr(CircuitBreakerListener, method))
    assert [*ours.parameters] == [*theirs.parameters]


# Making one


def test_the_defaults_are_those_of_aiobreaker_but_for_the_open_time() -> None:
    ours, theirs = CircuitBreaker(), aiobreaker.CircuitBreaker()
    assert ours.fail_max == theirs.fail_max == 5
    assert (ours.timeout_duration, theirs.timeout_duration) == (timedelta(seconds=1), MINUTE)
    assert ours.excluded_exceptions == theirs.excluded_exceptions == ()
    assert ours.listeners == theirs.listeners == ()


def test_the_first_settings_may_be_given_by_position() -> None:
    listener = CircuitBreakerListener()
    breaker = CircuitBreaker(3, MINUTE, [Declined], [listener])
    assert breaker.fail_max == 3
    assert breaker.timeout_duration == MINUTE
    assert breaker.excluded_exceptions == (Declined,)
    assert breaker.listeners == (listener,)


def test_settings_may_be_given_by_name() -> None:
    breaker = CircuitBreaker(
        fail_max=3, timeout_duration=MINUTE, exclude=[Declined], listeners=[], name="bank"
    )
    assert (breaker.name, breaker.fail_max, breaker.timeout_duration) == ("bank", 3, MINUTE)
    assert (breaker.excluded_exceptions, breaker.listeners) == ((Declined,), ())


def test_exclude_and_listeners_may_be_none() -> None:
    breaker = CircuitBreaker(exclude=None, listeners=None)
    assert breaker.excluded_exceptions == breaker.listeners == ()


def test_a_name_can_be_changed() -> None:
    breaker = CircuitBreaker()
    breaker.name = "bank"
    assert breaker.name == "bank"


def test_state_storage_is_refused() -> None:
    storage: dict[str, Any] = {"state_storage": None}
    with pytest.raises(TypeError, match="state_storage"):
        CircuitBreaker(**storage)


def test_a_storage_given_by_position_is_not_taken_for_a_name() -> None:
    storage: Any = aiobreaker.storage.CircuitMemoryStorage(aiobreaker.CircuitBreakerState.CLOSED)
    with pytest.raises((TypeError, ValueError)):
        CircuitBreaker(3, MINUTE, None, None, storage)


# Calling


def test_call_passes_arguments_and_result_through() -> None:
    assert CircuitBreaker().call(int, "ff", base=16) == 255


async def test_call_async_passes_arguments_and_result_through() -> None:
    async def join(first: str, *, second: str) -> str:
        return first + second

    assert await CircuitBreaker().call_async(join, "a", second="b") == "ab"


def test_call_judges_a_generator_by_its_whole_run() -> None:
    breaker = CircuitBreaker()

    def numbers() -> Any:
        yield 1
        raise Down

    with pytest.raises(Down):
        list(breaker.call(numbers))
    assert breaker.fail_counter == 1


def test_a_decorated_function_that_returns_a_generator_is_judged_by_its_whole_run() -> None:
    breaker = CircuitBreaker()

    @breaker
    def numbers() -> Any:
        return (int("one") for _ in range(1))

    with pytest.raises(ValueError, match="one"):
        list(numbers())
    assert breaker.fail_counter == 1


@pytest.mark.parametrize("with_parentheses", [False, True])
def test_a_breaker_decorates(*, with_parentheses: bool) -> None:
    breaker = CircuitBreaker()
    decorated = breaker()(fail) if with_parentheses else breaker(fail)
    with pytest.raises(Down):
        decorated()
    assert breaker.fail_counter == 1


@pytest.mark.parametrize("arguments", [(5,), ("bank",), (fail, fail)])
def test_a_breaker_decorates_functions_only(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError):
        CircuitBreaker()(*arguments)


def test_call_leaves_a_decorated_function_to_its_own_breaker() -> None:
    inner, outer = CircuitBreaker(), CircuitBreaker()
    with pytest.raises(Down):
        outer.call(inner(fail))
    assert (inner.fail_counter, outer.fail_counter) == (1, 0)


async def test_call_async_leaves_a_decorated_function_to_its_own_breaker() -> None:
    inner, outer = CircuitBreaker(), CircuitBreaker()
    with pytest.raises(Down):
        await outer.call_async(inner(fail_async))
    assert (inner.fail_counter, outer.fail_counter) == (1, 0)


def test_with_ignore_on_call_false_both_breakers_guard() -> None:
    inner, outer = CircuitBreaker(), CircuitBreaker()
    with pytest.raises(Down):
        outer.call(inner(ignore_on_call=False)(fail))
    assert (inner.fail_counter, outer.fail_counter) == (1, 1)


# Settings of a living breaker


def test_fail_counter_counts_failures_in_a_row() -> None:
    breaker = CircuitBreaker()
    failures_of(breaker, 3)
    assert breaker.fail_counter == 3
    breaker.call(str)
    assert breaker.fail_counter == 0


def test_fail_counter_goes_on_counting_while_probes_fail() -> None:
    clock = FakeClock()
    breaker = CircuitBreaker(3, MINUTE, clock=clock)
    failures_of(breaker, 3)
    clock.advance(61)
    failures_of(breaker, 1)
    assert breaker.fail_counter == 4


def test_fail_max_can_be_set() -> None:
    breaker = CircuitBreaker()
    breaker.fail_max = 2
    failures_of(breaker, 2)
    assert breaker.current_state is CircuitBreakerState.OPEN


def test_timeout_duration_can_be_set() -> None:
    breaker = CircuitBreaker(clock=FakeClock())
    breaker.timeout_duration = MINUTE * 2
    breaker.open()
    assert breaker.time_until_open == MINUTE * 2


def test_throw_new_error_on_trip_makes_the_tripping_call_raise_as_aiobreaker_does() -> None:
    breaker = CircuitBreaker(1, throw_new_error_on_trip=True)
    with pytest.raises(CircuitBreakerError) as caught:
        breaker.call(fail)
    assert isinstance(caught.value.__cause__, Down)


def test_exceptions_can_be_excluded_later() -> None:
    breaker = CircuitBreaker(exclude=[Declined])
    breaker.add_excluded_exception(Down)
    breaker.add_excluded_exceptions(KeyError, ValueError)
    assert breaker.excluded_exceptions == (Declined, Down, KeyError, ValueError)
    failures_of(breaker, 1)
    assert breaker.fail_counter == 0


def test_exceptions_can_be_excluded_no_more() -> None:
    breaker = CircuitBreaker(exclude=[Declined, Down])
    breaker.remove_excluded_exception(Down)
    assert breaker.excluded_exceptions == (Declined,)
    failures_of(breaker, 1)
    assert breaker.fail_counter == 1


def test_removing_an_exception_that_is_not_excluded_raises_value_error() -> None:
    with pytest.raises(ValueError, match="not excluded") as caught:
        CircuitBreaker(exclude=[Declined]).remove_excluded_exception(Down)
    assert str(caught.value) == (
        f"exception={Down} is not allowed: give one of [{Declined}]. It is not excluded."
    )


def test_a_predicate_can_exclude() -> None:
    breaker = CircuitBreaker(exclude=[lambda error: isinstance(error, Down)])
    failures_of(breaker, 1)
    assert breaker.fail_counter == 0


def test_is_system_error_is_true_for_failures_only() -> None:
    breaker = CircuitBreaker(exclude=[Declined])
    assert breaker.is_system_error(Down())
    assert not breaker.is_system_error(Declined())


# States and times


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ("open", CircuitBreakerState.OPEN),
        ("half_open", CircuitBreakerState.HALF_OPEN),
        ("close", CircuitBreakerState.CLOSED),
    ],
)
def test_the_state_can_be_changed_by_hand(change: str, state: CircuitBreakerState) -> None:
    breaker = CircuitBreaker()
    breaker.open()
    getattr(breaker, change)()
    assert breaker.current_state is state


def test_a_state_has_a_state_as_in_aiobreaker() -> None:
    state: Any = CircuitBreaker().state
    assert state.state is CircuitBreakerState.CLOSED


def test_opens_at_is_when_the_open_time_ends() -> None:
    breaker = CircuitBreaker(1, MINUTE)
    before = datetime.now(UTC)
    breaker.open()
    assert breaker.opens_at is not None
    assert before + MINUTE <= breaker.opens_at <= datetime.now(UTC) + MINUTE


def test_time_until_open_is_the_remaining_open_time() -> None:
    clock = FakeClock()
    breaker = CircuitBreaker(1, MINUTE, clock=clock)
    breaker.open()
    clock.advance(20)
    assert breaker.time_until_open == timedelta(seconds=40)


def test_there_is_no_time_until_open_once_it_has_passed() -> None:
    clock = FakeClock()
    breaker = CircuitBreaker(1, MINUTE, clock=clock)
    breaker.open()
    clock.advance(61)
    assert (breaker.time_until_open, breaker.opens_at) == (None, None)


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of each sleep."""
    seconds: list[float] = []

    async def sleep(duration: float) -> None:
        seconds.append(duration)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return seconds


async def test_sleep_until_open_sleeps_until_the_open_time_ends(slept: list[float]) -> None:
    breaker = CircuitBreaker(1, MINUTE, clock=FakeClock())
    breaker.open()
    await breaker.sleep_until_open()
    assert slept == [60]


async def test_sleep_until_open_only_lets_others_run_if_the_breaker_is_not_open(
    slept: list[float],
) -> None:
    await CircuitBreaker().sleep_until_open()
    assert slept == [0]


async def test_an_error_sleeps_until_the_open_time_ends(slept: list[float]) -> None:
    breaker = CircuitBreaker(1, MINUTE)
    breaker.open()
    await rejection(breaker).sleep_until_open()
    assert slept == [pytest.approx(60, abs=10)]


def test_an_error_has_its_message_and_its_reopen_time() -> None:
    breaker = CircuitBreaker(1, MINUTE, name="bank")
    breaker.open()
    error = rejection(breaker)
    assert error.message == str(error)
    assert "bank" in error.message
    assert timedelta(0) < error.time_remaining <= MINUTE
    assert error.reopen_time - datetime.now(UTC) <= MINUTE


def test_an_error_made_the_way_of_aiobreaker_can_be_printed() -> None:
    error: Any = CircuitBreakerError
    assert "still open" in str(error("still open", datetime(2030, 1, 1, tzinfo=UTC)))


# Listeners


class WrittenForAiobreaker(aiobreaker.CircuitBreakerListener):  # type: ignore[misc]
    """Even the base class may stay that of aiobreaker."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def before_call(self, breaker: Any, func: Any, *args: Any, **kwargs: Any) -> None:
        self.lines.append(f"before {func.__name__} {args} {kwargs}")

    def success(self, breaker: Any) -> None:
        self.lines.append("success")

    def failure(self, breaker: Any, exception: Exception) -> None:
        self.lines.append(f"failure {exception!r}")

    def state_change(self, breaker: Any, old: Any, new: Any) -> None:
        self.lines.append(f"{breaker.name}: {old.state.name} -> {new.state.name}")


def test_a_listener_written_for_aiobreaker_is_notified_of_calls() -> None:
    listener = WrittenForAiobreaker()
    breaker = CircuitBreaker(listeners=[listener])
    breaker.call(int, "ff", base=16)
    failures_of(breaker, 1)
    assert listener.lines == [
        "before int ('ff',) {'base': 16}",
        "success",
        "before fail () {}",
        "failure Down()",
    ]


def test_a_listener_written_for_aiobreaker_is_notified_of_changes() -> None:
    listener = WrittenForAiobreaker()
    breaker = CircuitBreaker(listeners=[listener], name="bank")
    breaker.open()
    assert listener.lines == ["bank: CLOSED -> OPEN"]


def test_listeners_can_be_added_and_removed() -> None:
    first, second, third = (WrittenForAiobreaker() for _ in range(3))
    breaker = CircuitBreaker(listeners=[first])
    breaker.add_listener(second)
    breaker.add_listeners(third, second)
    assert [*breaker.listeners] == [first, second, third, second]
    breaker.remove_listener(second)
    assert [*breaker.listeners] == [first, third, second]


def test_removing_an_unknown_listener_raises_value_error() -> None:
    breaker, listener = CircuitBreaker(), WrittenForAiobreaker()
    with pytest.raises(ValueError, match="does not listen") as caught:
        breaker.remove_listener(listener)
    assert str(caught.value) == f"{listener!r} does not listen to {breaker!r}"


def test_a_mock_can_listen() -> None:
    listener = Mock()
    breaker = CircuitBreaker(listeners=[listener])

    @breaker
    def charge() -> None: ...

    charge()
    assert [name for name, *_ in listener.mock_calls] == ["before_call", "success"]
