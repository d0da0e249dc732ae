"""Misuse: mistakes are refused where they are written, and count for nothing."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
from datetime import timedelta
from functools import partial
from typing import Any
from unittest.mock import AsyncMock, MagicMock, Mock
from xmlrpc.client import _Method

import pytest

from breaker_asgi import (
    BreakerConfigError,
    BreakerMiddleware,
    BreakerRegistry,
    CircuitBreaker,
    CircuitBreakerError,
    CircuitBreakerListener,
)
from breaker_asgi.testing import FakeClock


async def ask() -> int:
    return 1


# Callables that make up any attribute


def remote() -> Any:
    return _Method(lambda name, arguments: (name, arguments), "system.listMethods")


@pytest.mark.parametrize("target", [Mock(), MagicMock(), remote()], ids=["mock", "magic", "xmlrpc"])
def test_a_callable_with_any_attribute_is_guarded(target: Any) -> None:
    bank = CircuitBreaker()
    bank.call(target)
    guarded = bank(target)
    guarded()
    assert guarded.__wrapped__ is target
    assert bank.successes == 2
    bank.open()
    with pytest.raises(CircuitBreakerError):
        bank.call(target)
    with pytest.raises(CircuitBreakerError):
        bank(target)()


async def test_an_async_mock_is_guarded() -> None:
    bank = CircuitBreaker(fail_max=1)
    target = AsyncMock(side_effect=ConnectionError)
    assert inspect.iscoroutinefunction(bank(target))
    with pytest.raises(ConnectionError):
        await bank.call_async(target)
    with pytest.raises(CircuitBreakerError):
        await bank.call_async(target)
    assert target.await_count == 1


# Calls that can't be made


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda bank: bank.call_async(str),
            f"call_async awaits what the function returns, and {str!r} returned 'str': use call",
        ),
        (
            lambda bank: bank.call_async(ask, 1),
            "ask() takes 0 positional arguments but 1 was given",
        ),
        (
            lambda bank: bank.call_async(None),
            "call_async takes a function and its arguments, not None",
        ),
    ],
)
async def test_an_async_call_that_can_not_be_made_counts_for_nothing(
    call: Any, message: str
) -> None:
    bank = CircuitBreaker(fail_max=1)
    with pytest.raises(TypeError) as caught:
        await call(bank)
    assert str(caught.value) == message
    assert (bank.state, bank.calls) == ("closed", 0)


async def test_a_coroutine_is_no_function() -> None:
    bank = CircuitBreaker()
    coroutine = ask()
    with pytest.raises(TypeError, match="takes a function and its arguments, not <coroutine"):
        await bank.call_async(coroutine)  # type: ignore[arg-type]
    coroutine.close()
    assert bank.calls == 0


@pytest.mark.parametrize("target", [None, 5, "ask"])
def test_an_object_that_can_not_be_called_is_refused_as_a_function(target: Any) -> None:
    bank = CircuitBreaker()
    with pytest.raises(TypeError, match="call takes a function"):
        bank.call(target)
    assert bank.calls == 0


@pytest.mark.parametrize("function", [len, ask, lambda one: one], ids=["C", "async", "plain"])
def test_wrong_arguments_count_for_nothing(function: Any) -> None:
    bank: Any = CircuitBreaker(fail_max=1)
    for call in (partial(bank.call, function), bank(function)):
        with pytest.raises(TypeError):
            call(1, 2, 3)
    assert (bank.state, bank.calls) == ("closed", 0)


def test_a_type_error_out_of_the_function_is_a_failure() -> None:
    bank = CircuitBreaker()

    def add() -> int:
        return 1 + "1"  # type: ignore[operator]

    calls: tuple[Any, ...] = (partial(bank.call, add), bank(add))
    for call in calls:
        with pytest.raises(TypeError):
            call()
    assert bank.failures == 2


# Settings


@pytest.mark.parametrize("setting", ["timeout_duration", "half_open_timeout", "slow_call_duration"])
def test_a_time_of_more_than_a_hundred_years_is_refused(setting: str) -> None:
    settings: dict[str, Any] = {setting: timedelta.max}
    if setting == "slow_call_duration":
        settings["slow_call_rate"] = 0.5
    with pytest.raises(BreakerConfigError) as caught:
        CircuitBreaker(**settings)
    assert str(caught.value) == (
        f"{setting}={timedelta.max!r} is not allowed: give a hundred years at most. "
        "force_open() rejects calls until it is undone."
    )


def test_a_breaker_can_not_be_opened_for_more_than_a_hundred_years() -> None:
    with pytest.raises(BreakerConfigError, match="give a hundred years at most"):
        CircuitBreaker().open(1e12)


def test_a_name_in_the_place_of_fail_max_is_refused_in_words() -> None:
    with pytest.raises(BreakerConfigError, match=r"Write CircuitBreaker\(name='bank'\)"):
        CircuitBreaker("bank")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [list, dict, int, str, tuple])
def test_a_built_in_type_as_a_fallback_gives_an_empty_one(kind: type) -> None:
    bank = CircuitBreaker(fallback=kind)
    bank.open()
    assert bank.call(len, "abc") == kind()


# Listeners


class Misspelt(CircuitBreakerListener):
    def on_state_change(self) -> None: ...


class Log(CircuitBreakerListener):
    def success(self, breaker: CircuitBreaker) -> None: ...


USELESS = [Log, print, "x", Misspelt(), object()]
EVENTS = "before_call, success, failure, ignored, rejected, state_change"


@pytest.mark.parametrize("listener", USELESS, ids=lambda listener: type(listener).__name__)
def test_a_listener_without_an_event_method_is_refused(listener: Any) -> None:
    with pytest.raises(BreakerConfigError, match=r"a listener=.* is not allowed"):
        CircuitBreaker(listeners=[listener])
    with pytest.raises(BreakerConfigError):
        CircuitBreaker().add_listener(listener)
    with pytest.raises(BreakerConfigError):
        BreakerRegistry(listeners=[listener])


class Deaf:
    def on_success(self) -> None: ...

    def __repr__(self) -> str:
        return "<Deaf>"


@pytest.mark.parametrize(
    ("listener", "message"),
    [
        (int, "a listener=<class 'int'> is not allowed: give an instance, not the class"),
        (
            Deaf(),
            (
                "a listener=<Deaf> is not allowed: give one that hears an event; Deaf has only "
                "['on_success']"
            ),
        ),
    ],
)
def test_the_refusal_of_a_listener_names_the_methods_it_may_have(
    listener: Any, message: str
) -> None:
    with pytest.raises(BreakerConfigError) as raised:
        CircuitBreaker(listeners=[listener])
    remedy = f"Write a class with some of the methods {EVENTS}, and give an instance."
    assert str(raised.value) == f"{message}. {remedy}"


@pytest.mark.parametrize(
    "listener", [Log(), CircuitBreakerListener(), Mock()], ids=["some", "silent", "mock"]
)
def test_any_other_listener_is_accepted(listener: Any) -> None:
    assert CircuitBreaker(listeners=[listener]).listeners == (listener,)


# Copies


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_breaker_is_not_copied(duplicate: Any) -> None:
    with pytest.raises(TypeError, match="can't be copied or pickled"):
        duplicate(CircuitBreaker())


def test_a_rejection_that_was_sent_as_json_keeps_its_figures() -> None:
    bank = CircuitBreaker(name="bank", timeout_duration=60, clock=FakeClock())
    bank.open()
    with pytest.raises(CircuitBreakerError) as caught:
        bank.acquire()
    sent = CircuitBreakerError(*json.loads(json.dumps(caught.value.args)))
    assert (sent.name, sent.state, sent.retry_after) == ("bank", "open", 60)
    assert str(sent) == str(caught.value)


SHARED = "State is shared by the store of a registry: default_registry.share(store)."


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("failure_threshold", "It is called fail_max here."),
        ("reset_timeout", "It is called timeout_duration here."),
        ("state_storage", SHARED),
        ("storage", SHARED),
        ("nonsense", "docs/reference.md lists all."),
    ],
)
@pytest.mark.parametrize(
    ("function", "call"),
    [
        ("CircuitBreaker", CircuitBreaker),
        ("registry.get", partial(BreakerRegistry().get, "bank", fail_max=3)),
    ],
)
def test_a_setting_of_another_library_is_refused_by_its_name_here(
    function: str, call: Any, setting: str, message: str
) -> None:
    settings: dict[str, Any] = {setting: None}
    with pytest.raises(TypeError) as caught:
        call(**settings)
    assert str(caught.value) == f"{function}() has no setting {setting!r}. {message}"


def test_a_setting_of_breakers_is_refused_where_a_config_is_taken() -> None:
    settings: dict[str, Any] = {"fail_max": 3}
    with pytest.raises(TypeError) as caught:
        BreakerMiddleware(Mock(), **settings)
    assert str(caught.value) == (
        "BreakerMiddleware() has no setting 'fail_max'. "
        "Write BreakerMiddleware(config=BreakerConfig(fail_max=...))."
    )
