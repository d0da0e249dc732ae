"""Judgement of exceptions: by settings, by the rejection behind them, by status, by leaves."""

from __future__ import annotations

import asyncio
import copy
import gc
import subprocess
import weakref
from collections.abc import AsyncIterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from starlette.exceptions import HTTPException

from breaker_asgi import (
    BreakerConfig,
    BreakerConfigError,
    CircuitBreaker,
    CircuitBreakerError,
    Outcome,
)
from breaker_asgi._core.engine import MOST_CLASSES
from breaker_asgi._core.rejections import rejection_behind
from breaker_asgi.profiles import Profile
from breaker_asgi.testing import FakeClock

SUCCESS, FAILURE, IGNORED = Outcome.SUCCESS, Outcome.FAILURE, Outcome.IGNORED


class StatusError(Exception):
    """An error that has a status in any attributes."""

    def __init__(self, **attributes: object) -> None:
        super().__init__("a status")
        vars(self).update(attributes)


def named(module: str, name: str, base: type = Exception, **attributes: Any) -> Any:
    """Make an exception class of some framework that is not installed."""
    kind: Any = type(name, (base,), attributes)
    kind.__module__ = module
    return kind


def httpx_error(status: int) -> httpx.HTTPStatusError:
    request = httpx.Request("GET", "http://bank.example")
    return httpx.HTTPStatusError(
        "a status", request=request, response=httpx.Response(status, request=request)
    )


class Falsy:
    """A response that is false where its status is bad, as those of requests are."""

    status_code = 404

    def __bool__(self) -> bool:
        return False


def _name(error: Exception) -> str:
    return f"{type(error).__name__} {error}"


def rejected(name: str = "bank", wait: float = 60) -> CircuitBreakerError:
    bank = CircuitBreaker(name=name, timeout_duration=wait, clock=FakeClock())
    bank.open()
    with pytest.raises(CircuitBreakerError) as caught:
        bank.acquire()
    return caught.value


@pytest.mark.parametrize(
    "error",
    [
        HTTPException(400),
        HTTPException(499),
        httpx_error(404),
        httpx_error(302),
        StatusError(status_code=404),
        StatusError(status=403),
        StatusError(response=SimpleNamespace(status_code=409)),
        StatusError(response=SimpleNamespace(status=409)),
        StatusError(response=Falsy()),
        named("django.http.response", "Http404")(),
        named("django.core.exceptions", "PermissionDenied")(),
        named("shop", "NoSuchItem", named("django.http.response", "Http404"))(),
        named("werkzeug.exceptions", "HTTPException", code=404)(),
    ],
    ids=_name,
)
def test_a_status_below_500_is_an_answer(error: Exception) -> None:
    assert CircuitBreaker().outcome_of(error) is SUCCESS


@pytest.mark.parametrize(
    "error",
    [
        HTTPException(500),
        httpx_error(503),
        StatusError(status_code=599),
        StatusError(status=0),
        StatusError(status="404"),
        StatusError(status_code=True),
        StatusError(status_code=1000),
        StatusError(response=None),
        named("werkzeug.exceptions", "HTTPException", code=502)(),
        ConnectionError(),
    ],
    ids=_name,
)
def test_any_other_exception_is_a_failure(error: Exception) -> None:
    assert CircuitBreaker().outcome_of(error) is FAILURE


def test_an_attribute_that_can_not_be_read_is_no_status() -> None:
    def raise_error(_: object) -> int:
        raise RuntimeError

    kind = named("shop", "Shy", status_code=property(raise_error))
    assert CircuitBreaker().outcome_of(kind()) is FAILURE


@pytest.mark.parametrize(
    ("code", "outcome"),
    [("NOT_FOUND", SUCCESS), ("UNAVAILABLE", FAILURE), ("CANCELLED", IGNORED)],
)
def test_a_grpc_error_is_judged_by_its_code(code: str, outcome: Outcome) -> None:
    kind = named("grpc", "RpcError", code=lambda _: SimpleNamespace(name=code))
    assert CircuitBreaker().outcome_of(kind()) is outcome


def guard_by_call(bank: CircuitBreaker, error: Exception) -> None:
    def fail() -> None:
        raise error

    bank.call(fail)


def guard_by_decoration(bank: CircuitBreaker, error: Exception) -> None:
    @bank
    def fail() -> None:
        raise error

    fail()


def guard_by_block(bank: CircuitBreaker, error: Exception) -> None:
    with bank:
        raise error


def guard_by_permit(bank: CircuitBreaker, error: Exception) -> None:
    with bank.acquire():
        raise error


def guard_by_coroutine(bank: CircuitBreaker, error: Exception) -> None:
    @bank
    async def fail() -> None:
        raise error

    asyncio.run(fail())


def guard_by_generator(bank: CircuitBreaker, error: Exception) -> None:
    @bank
    def fail() -> Any:
        raise error
        yield

    list(fail())


WAYS = [
    guard_by_call,
    guard_by_decoration,
    guard_by_block,
    guard_by_permit,
    guard_by_coroutine,
    guard_by_generator,
]


@pytest.mark.parametrize("way", WAYS)
def test_wrong_passwords_open_no_database(way: Any) -> None:
    database = CircuitBreaker(fail_max=3)
    for _ in range(5):
        with pytest.raises(HTTPException):
            way(database, HTTPException(400))
    assert (database.state, database.successes, database.failures) == ("closed", 5, 0)


class ForwardingError(Exception):
    """An error that takes what it has not itself from another one."""

    def __getattr__(self, name: str) -> object:
        return getattr(self.args[0], name)


class WrappingError(Exception):
    """An error that takes its status from another one, whatever it has itself."""

    def __getattribute__(self, name: str) -> object:
        owner = self.args[0] if name == "status_code" else super()
        return owner.__getattribute__(name)


@pytest.mark.parametrize(
    "make", [lambda error: error, ForwardingError, WrappingError], ids=["own", "forward", "wrap"]
)
def test_a_class_that_has_failed_is_an_answer_where_it_carries_a_status(make: Any) -> None:
    bank = CircuitBreaker(fail_max=5)
    for error in (make(StatusError()), make(StatusError(status_code=404))):
        with pytest.raises(type(error)):
            guard_by_decoration(bank, error)
    assert (bank.failures, bank.successes) == (1, 1)


@pytest.mark.parametrize(
    ("settings", "outcome"),
    [
        ({"ignore": [HTTPException]}, IGNORED),
        ({"exclude": [HTTPException]}, SUCCESS),
        ({"failures": [HTTPException]}, FAILURE),
        ({"failures": [lambda error: error.status_code == 404]}, FAILURE),
        ({"failures": [Exception]}, FAILURE),
        ({"failures": [OSError]}, SUCCESS),
    ],
)
def test_settings_overrule_the_status(settings: dict[str, Any], outcome: Outcome) -> None:
    assert CircuitBreaker(**settings).outcome_of(HTTPException(404)) is outcome


def test_with_failures_all_others_are_successes() -> None:
    bank = CircuitBreaker(failures=[ConnectionError])
    assert bank.outcome_of(ConnectionResetError()) is FAILURE
    assert bank.outcome_of(ValueError()) is SUCCESS


def test_exclude_comes_before_failures() -> None:
    files = CircuitBreaker(failures=[OSError], exclude=[FileNotFoundError])
    assert files.outcome_of(FileNotFoundError()) is SUCCESS
    assert files.outcome_of(PermissionError()) is FAILURE


# Rejections


def test_an_exception_raised_from_a_rejection_is_ignored() -> None:
    first = StatusError(status_code=503)
    first.__cause__ = rejected()
    second = RuntimeError()
    second.__cause__ = first
    assert CircuitBreaker().outcome_of(second) is IGNORED


def test_an_exception_raised_while_a_rejection_was_handled_is_ignored() -> None:
    bank, shop = CircuitBreaker(clock=FakeClock()), CircuitBreaker(fail_max=1)
    bank.open()

    @shop
    def pay() -> None:
        try:
            bank.acquire()
        except CircuitBreakerError:
            raise RuntimeError  # noqa: B904

    with pytest.raises(RuntimeError):
        pay()
    assert (shop.ignored, shop.failures) == (1, 0)


@pytest.mark.parametrize("link", ["__cause__", "__context__"])
def test_an_exception_raised_from_a_rejection_is_ignored_after_others_of_its_class_have_failed(
    link: str,
) -> None:
    shop = CircuitBreaker()
    error = ConnectionError()
    setattr(error, link, rejected())
    for item in (ConnectionError(), error, ConnectionError()):
        with pytest.raises(ConnectionError):
            guard_by_decoration(shop, item)
    assert (shop.failures, shop.ignored) == (2, 1)


def test_a_block_ignores_what_was_raised_in_it_from_a_rejection() -> None:
    bank, shop = CircuitBreaker(clock=FakeClock()), CircuitBreaker(fail_max=1)
    bank.open()
    with pytest.raises(RuntimeError), shop:  # noqa: PT012
        try:
            bank.acquire()
        except CircuitBreakerError:
            raise RuntimeError  # noqa: B904
    assert (shop.ignored, shop.failures) == (1, 0)


def test_an_exception_raised_from_none_is_no_rejection() -> None:
    error = RuntimeError()
    error.__context__ = rejected()
    error.__suppress_context__ = True
    assert CircuitBreaker().outcome_of(error) is FAILURE


@pytest.mark.parametrize("way", WAYS)
def test_the_failure_of_what_stands_in_for_a_rejected_dependency_is_a_failure(way: Any) -> None:
    bank, backup = CircuitBreaker(clock=FakeClock()), CircuitBreaker()
    bank.open()
    try:
        bank.acquire()
    except CircuitBreakerError:
        with pytest.raises(ConnectionError):
            way(backup, ConnectionError())
    assert (backup.failures, backup.ignored) == (1, 0)


@pytest.mark.parametrize("is_in_group", [False, True])
def test_a_rejection_that_was_being_handled_when_the_call_began_is_not_its_own(
    *, is_in_group: bool
) -> None:
    before, error = rejected(), ConnectionError()
    error.__context__ = before
    raised = ExceptionGroup("several", [error]) if is_in_group else error
    judgement = CircuitBreaker().config.judgement
    assert judgement.outcome_of(raised) is IGNORED
    assert judgement.outcome_of(raised, before) is FAILURE


def test_causes_that_go_round_in_a_circle_end() -> None:
    first, second = RuntimeError(), RuntimeError()
    first.__cause__, second.__cause__ = second, first
    assert CircuitBreaker().outcome_of(first) is FAILURE


# Groups


@pytest.mark.parametrize(
    ("leaves", "outcome"),
    [
        ([ConnectionError()], FAILURE),
        ([KeyError(), ConnectionError()], FAILURE),
        ([KeyError(), KeyError()], SUCCESS),
        ([HTTPException(404)], SUCCESS),
        ([ValueError()], IGNORED),
        ([ValueError(), KeyError()], IGNORED),
        ([asyncio.CancelledError(), KeyError()], IGNORED),
        ([asyncio.CancelledError(), ConnectionError()], FAILURE),
    ],
    ids=repr,
)
@pytest.mark.parametrize("depth", [1, 3])
def test_a_group_is_what_its_leaves_are(
    leaves: list[BaseException], outcome: Outcome, depth: int
) -> None:
    bank = CircuitBreaker(exclude=[KeyError], ignore=[ValueError])
    group = BaseExceptionGroup("several", leaves)
    for _ in range(depth - 1):
        group = BaseExceptionGroup("nested", [group])
    assert bank.outcome_of(group) is outcome


def test_a_group_of_rejections_is_the_one_that_takes_longest() -> None:
    short, long = rejected("short", 1), rejected("long", 9)
    group = ExceptionGroup("all", [short, ExceptionGroup("nested", [long])])
    assert rejection_behind(group) is long
    assert CircuitBreaker().outcome_of(group) is IGNORED


def test_a_group_with_something_else_is_no_rejection() -> None:
    assert rejection_behind(ExceptionGroup("all", [rejected(), ValueError()])) is None


def test_a_group_in_a_leafs_causes_is_looked_at() -> None:
    leaf, rejection = OSError(), rejected()
    leaf.__cause__ = ExceptionGroup("inner", [rejection])
    assert rejection_behind(ExceptionGroup("outer", [leaf])) is rejection


def test_a_leaf_that_is_raised_again_while_its_group_is_handled_is_no_rejection() -> None:
    leaf = OSError()
    group = ExceptionGroup("all", [leaf])
    leaf.__context__ = group
    assert rejection_behind(leaf) is rejection_behind(group) is None


def test_a_group_raised_while_a_rejection_was_handled_before_the_call_is_no_rejection() -> None:
    leaf, before = OSError(), rejected()
    leaf.__context__ = before
    group = ExceptionGroup("all", [leaf])
    assert rejection_behind(group) is before
    assert rejection_behind(group, before) is None


async def test_a_rejection_in_a_task_group_does_not_count() -> None:
    bank, shop = CircuitBreaker(clock=FakeClock()), CircuitBreaker(fail_max=1)
    bank.open()

    async def ask() -> None:
        await bank.acquire_async()

    @shop
    async def pay() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(ask())

    with pytest.raises(ExceptionGroup):
        await pay()
    assert (shop.ignored, shop.failures) == (1, 0)


# Predicates


async def later(_: object) -> bool:
    return True


async def several(_: object) -> AsyncIterator[bool]:
    yield True


class LaterCall:
    async def __call__(self, _: object) -> bool:
        return True


class SeveralCall:
    async def __call__(self, _: object) -> AsyncIterator[bool]:
        yield True


@pytest.mark.parametrize(
    "predicate",
    [later, several, LaterCall(), SeveralCall(), partial(partial(later))],
    ids=["function", "generator", "object", "object of a generator", "partial"],
)
@pytest.mark.parametrize("setting", ["exclude", "ignore", "failures", "is_failure"])
def test_an_async_predicate_is_refused_in_words(setting: str, predicate: Any) -> None:
    is_single = setting == "is_failure"
    settings: dict[str, Any] = {setting: predicate if is_single else [predicate]}
    with pytest.raises(BreakerConfigError) as caught:
        CircuitBreaker(**settings)
    named = setting if is_single else f"an item of {setting}"
    assert str(caught.value) == (
        f"{named}={predicate!r} is not allowed: give a plain function, not an async one. "
        "Nobody could await its answer, and a coroutine is always true."
    )


def test_a_predicate_that_returns_an_awaitable_counts_as_one_that_raised(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bank = CircuitBreaker(exclude=[lambda _: later(0)])
    assert bank.outcome_of(ValueError()) is FAILURE
    assert "failed in exclude, ignore or failures" in caplog.text


def test_a_judge_of_results_that_returns_an_awaitable_makes_no_failure() -> None:
    bank = CircuitBreaker(is_failure=lambda _: later(0))
    assert bank.outcome_of_result(503) is SUCCESS


# Memory and speed


def test_no_class_of_exceptions_is_kept_for_ever() -> None:
    bank = CircuitBreaker(fail_max=2)

    def fail() -> weakref.ref[type]:
        kind = type("Error", (Exception,), {})
        with pytest.raises(kind):
            guard_by_decoration(bank, kind())
        bank.acquire().success()
        return weakref.ref(kind)

    kinds = [fail() for _ in range(4 * MOST_CLASSES)]
    gc.collect()
    assert sum(kind() is not None for kind in kinds) <= 2 * MOST_CLASSES


def test_a_breaker_remembers_a_limited_number_of_classes_that_have_failed() -> None:
    bank = CircuitBreaker(fail_max=999)

    def fail() -> int:
        class LocalError(Exception):
            pass

        with pytest.raises(LocalError):
            guard_by_decoration(bank, LocalError())
        return len(bank._plain_failures)

    numbers = [fail() for _ in range(MOST_CLASSES + 2)]
    assert numbers == [*range(1, MOST_CLASSES + 1), 1, 2]


def test_a_config_does_not_change_while_calls_fail() -> None:
    bank = CircuitBreaker()

    def values() -> dict[str, Any]:
        judgement = bank.config.judgement
        return {slot: copy.copy(getattr(judgement, slot)) for slot in judgement.__slots__}

    before = values()
    with pytest.raises(ConnectionError):
        guard_by_decoration(bank, ConnectionError())
    assert values() == before


def test_a_failed_group_does_not_decide_the_next_one() -> None:
    bank = CircuitBreaker(exclude=[ValueError])
    for leaf in (ConnectionError(), ValueError()):
        with pytest.raises(ExceptionGroup):
            guard_by_decoration(bank, ExceptionGroup("tasks", [leaf]))
    assert (bank.failures, bank.successes) == (1, 1)


def test_a_class_that_is_excluded_later_is_judged_anew() -> None:
    bank = CircuitBreaker()
    for _ in range(2):
        with pytest.raises(ConnectionError):
            guard_by_decoration(bank, ConnectionError())
        bank.add_excluded_exception(ConnectionError)
    assert (bank.failures, bank.successes) == (1, 1)


def test_a_class_with_instancecheck_is_judged_anew_each_time() -> None:
    class Decides(type):
        def __instancecheck__(cls, instance: object) -> bool:
            return "mine" in getattr(instance, "args", ())

    class Mine(Exception, metaclass=Decides): ...  # noqa: N818

    bank = CircuitBreaker(exclude=[Mine])
    for words in ("other", "mine"):
        with pytest.raises(ValueError, match=words):
            guard_by_decoration(bank, ValueError(words))
    assert (bank.failures, bank.successes) == (1, 1)


@pytest.mark.parametrize("end", [StopIteration, StopAsyncIteration])
def test_the_end_of_an_iteration_is_a_success(end: type[Exception]) -> None:
    assert CircuitBreaker().outcome_of(end()) is SUCCESS


def test_a_guarded_next_succeeds_when_the_iteration_ends() -> None:
    bank = CircuitBreaker(fail_max=1)

    class Rows:
        def __iter__(self) -> Rows:
            return self

        @bank
        def __next__(self) -> int:
            raise StopIteration

    assert list(Rows()) == []
    assert (bank.successes, bank.failures) == (1, 0)


# Corners


@pytest.mark.parametrize(
    ("setting", "outcome"), [("ignore", Outcome.IGNORED), ("exclude", Outcome.SUCCESS)]
)
def test_a_class_of_groups_can_be_named(setting: str, outcome: Outcome) -> None:
    class BatchError(ExceptionGroup[Exception]):
        pass

    settings: Any = {setting: [BatchError]}
    breaker = CircuitBreaker(**settings)
    assert breaker.outcome_of(BatchError("two", [OSError(), OSError()])) is outcome


def test_a_predicate_that_returns_a_future_counts_as_false(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Future:
        def __await__(self) -> Any:
            yield

    breaker = CircuitBreaker(is_failure=lambda _: Future())
    assert breaker.outcome_of_result(1) is Outcome.SUCCESS
    assert "is_failure returned an awaitable" in caplog.text


def test_a_context_that_was_never_raised_is_looked_at() -> None:
    error, rejection = OSError(), CircuitBreakerError("bank")
    error.__context__ = rejection
    assert rejection_behind(error) is rejection


class Decides(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return False


class DecidedError(Exception, metaclass=Decides): ...


class Shop:
    class SoldOutError(Exception): ...


@pytest.mark.parametrize(
    "kind",
    [ConnectionError, asyncio.QueueFull, Shop.SoldOutError, named("a_missing_shop", "ShopError")],
)
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"exclude": [KeyError], "ignore": [ValueError]},
        {"profile": "postgres"},
        {"profile": Profile("bank", {"shop:ShopError": SUCCESS})},
    ],
)
def test_a_class_of_plain_errors_is_learnt_to_fail(settings: Any, kind: type) -> None:
    assert BreakerConfig(**settings).judgement.fails_by_class(kind)


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({}, TypeError),
        ({}, ExceptionGroup),
        ({}, named("django.http.response", "Http404")),
        ({"failures": [Exception]}, ConnectionError),
        ({"exclude": [str.isupper]}, ConnectionError),
        ({"exclude": [DecidedError]}, ConnectionError),
        ({"ignore": [lambda _: False]}, ConnectionError),
        ({"profile": Profile("bank", {"builtins:OSError": SUCCESS})}, ConnectionError),
    ],
)
def test_a_class_whose_errors_may_be_something_else_is_not_learnt_to_fail(
    settings: Any, kind: type
) -> None:
    assert not BreakerConfig(**settings).judgement.fails_by_class(kind)


def test_a_class_that_is_made_while_the_program_runs_is_not_learnt_to_fail() -> None:
    kind = type("MadeUpError", (Exception,), {})
    assert not BreakerConfig().judgement.fails_by_class(kind)


@pytest.mark.parametrize("kind", [ConnectionError, subprocess.CalledProcessError])
def test_a_class_without_a_status_is_learnt_to_fail(kind: type[Exception]) -> None:
    assert CircuitBreaker().config.judgement.fails_by_class(kind)


def test_an_error_of_grpc_without_a_code_is_a_failure() -> None:
    assert CircuitBreaker().outcome_of(named("grpc", "RpcError")()) is Outcome.FAILURE
