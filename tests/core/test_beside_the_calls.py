"""Failures beside the calls are logged once, without the exceptions of calls, and hurt no call."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import pytest

from breaker_asgi import (
    BreakerMiddleware,
    BreakerRegistry,
    CircuitBreaker,
    CircuitBreakerError,
    CircuitBreakerListener,
)
from breaker_asgi._core.logs import log, log_once
from tests.asgi.visitor import visit

SECRET = "postgres://shop:s3cret@db"
logger = logging.getLogger("breaker_asgi")

Raise = Callable[[BaseException | None], object]


class DownError(Exception):
    """The dependency failed."""


class MineError(Exception):
    """Failure of a listener or a predicate."""


def connect() -> None:
    raise ConnectionError(SECRET)


def fail() -> None:
    try:
        connect()
    except ConnectionError as error:
        raise DownError(SECRET) from error


@pytest.fixture(autouse=True)
def _nothing_was_logged(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("breaker_asgi._core.logs._logged", WeakKeyDictionary())
    caplog.set_level(logging.INFO, "breaker_asgi")


# Exceptions of calls


def call(breaker: CircuitBreaker) -> None:
    """Make a call that fails, and check that its exception is unchanged."""
    with pytest.raises(DownError) as raised:
        breaker(fail)()
    error = raised.value
    assert type(error.__cause__) is ConnectionError
    assert error.__context__ is error.__cause__
    assert error.__suppress_context__


def settle_by_hand(breaker: CircuitBreaker) -> None:
    """Settle a permit later, while another exception is handled."""
    permit = breaker.acquire()
    with pytest.raises(DownError) as raised:
        fail()
    try:
        connect()
    except ConnectionError:
        breaker.outcome_of(raised.value)
        permit.failure(raised.value)


FAILS = pytest.mark.parametrize("fails", [call, settle_by_hand])


def plainly(_error: BaseException | None) -> None:
    raise MineError("mine")


def from_it(error: BaseException | None) -> None:
    raise MineError("mine") from error


def from_its_cause(error: BaseException | None) -> None:
    raise MineError("mine") from error and error.__cause__


def at_second_hand(error: BaseException | None) -> None:
    try:
        from_it(error)
    except MineError as first:
        raise MineError("mine again") from first


RAISES = pytest.mark.parametrize("raises", [plainly, from_it, from_its_cause, at_second_hand])


@FAILS
@RAISES
@pytest.mark.parametrize("setting", ["exclude", "ignore"])
def test_a_secret_is_not_logged_with_what_a_predicate_raises(
    setting: str,
    raises: Raise,
    fails: Callable[[CircuitBreaker], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    breaker = CircuitBreaker(**{setting: [raises]})  # type: ignore[arg-type]
    fails(breaker)
    assert breaker.failures == 1
    assert "MineError: mine" in caplog.text
    assert SECRET not in caplog.text


class Raising(CircuitBreakerListener):
    """Raises at `event`, by `raises` with the exception of the event."""

    def __init__(self, event: str, raises: Raise, *, later: bool = False) -> None:
        def hear(_breaker: CircuitBreaker, *details: Any) -> None:
            raises(details[0] if isinstance(details[0], BaseException) else None)

        async def hear_later(*details: Any) -> None:
            hear(*details)

        setattr(self, event, hear_later if later else hear)


@FAILS
@RAISES
@pytest.mark.parametrize("event", ["failure", "state_change"])
@pytest.mark.parametrize("made", [Raising, partial(Raising, later=True)], ids=["sync", "async"])
async def test_a_secret_is_not_logged_with_what_a_listener_raises(
    made: Callable[[str, Raise], Raising],
    event: str,
    raises: Raise,
    fails: Callable[[CircuitBreaker], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    breaker = CircuitBreaker(fail_max=1, listeners=[made(event, raises)])
    fails(breaker)
    await told(caplog)
    assert "MineError: mine" in caplog.text
    assert SECRET not in caplog.text


async def told(caplog: pytest.LogCaptureFixture) -> None:
    async with asyncio.timeout(2):
        while "failed in" not in caplog.text:  # noqa: ASYNC110 - no event tells when it is logged
            await asyncio.sleep(0)


@RAISES
@pytest.mark.parametrize("made", [Raising, partial(Raising, later=True)], ids=["sync", "async"])
async def test_an_exception_handled_at_a_rejection_is_not_logged(
    made: Callable[[str, Raise], Raising], raises: Raise, caplog: pytest.LogCaptureFixture
) -> None:
    breaker = CircuitBreaker(listeners=[made("rejected", raises)])
    breaker.open()

    def retry() -> None:
        try:
            fail()
        except DownError:
            breaker(len)("again")

    with pytest.raises(CircuitBreakerError) as rejected:
        retry()
    await told(caplog)
    assert "MineError: mine" in caplog.text
    assert SECRET not in caplog.text
    assert type(rejected.value.__context__) is DownError


@RAISES
def test_an_exception_handled_at_a_judged_result_is_not_logged(
    raises: Raise, caplog: pytest.LogCaptureFixture
) -> None:
    breaker = CircuitBreaker(is_failure=lambda _result: raises(None))
    try:
        fail()
    except DownError:
        breaker(len)("again")
    assert "MineError: mine" in caplog.text
    assert SECRET not in caplog.text


async def test_an_exception_of_an_application_with_is_failure_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    from starlette.applications import Starlette  # noqa: PLC0415
    from starlette.routing import Route  # noqa: PLC0415

    def broken(_status: int, _scope: object) -> bool:
        raise MineError("mine")

    async def orders(_request: object) -> None:
        fail()

    app = Starlette(routes=[Route("/orders", orders)])
    guarded = BreakerMiddleware(app, registry=BreakerRegistry(), is_failure=broken)
    with pytest.raises(DownError):
        await visit(guarded, "/orders")
    assert "MineError: mine" in caplog.text
    assert SECRET not in caplog.text


def again(error: BaseException | None) -> None:
    assert error is not None
    raise error


def in_a_group(error: BaseException | None) -> None:
    assert error is not None
    raise BaseExceptionGroup("mine", [error])


@pytest.mark.parametrize("raises", [again, in_a_group])
@pytest.mark.parametrize(
    "settings",
    [
        lambda raises: {"exclude": [raises]},
        lambda raises: {"listeners": [Raising("failure", raises)]},
    ],
    ids=["predicate", "listener"],
)
def test_a_listener_that_raises_a_secret_again_is_logged_without_it(
    settings: Callable[[Raise], dict[str, Any]], raises: Raise, caplog: pytest.LogCaptureFixture
) -> None:
    call(CircuitBreaker(**settings(raises)))
    [record] = caplog.records
    assert "failed in" in record.getMessage()
    assert SECRET not in caplog.text


# The log


def test_the_causes_of_a_listeners_error_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    def look_up(_error: BaseException | None) -> None:
        try:
            os.environ["OF_MINE"]
        except KeyError as cause:
            try:
                int("of mine, too")
            except ValueError as later:
                later.__cause__ = cause
                raise MineError("mine") from later

    call(CircuitBreaker(listeners=[Raising("failure", look_up)]))
    assert "KeyError: 'OF_MINE'" in caplog.text
    assert "ValueError: invalid literal" in caplog.text
    assert "MineError: mine" in caplog.text


def test_a_listener_that_has_no_hash_is_logged_by_its_type(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(Raising):
        def __hash__(self) -> int:
            raise AttributeError

    call(CircuitBreaker(listeners=[Broken("failure", plainly)]))
    assert "Broken failed in failure; not logged again" in caplog.text


# A log that raises


class BrokenHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise RuntimeError("the pipe is gone")


def broken_filter(_record: logging.LogRecord) -> bool:
    raise RuntimeError("no filter today")


def broken_factory(*_args: Any, **_kwargs: Any) -> logging.LogRecord:
    raise RuntimeError("no record today")


@pytest.fixture(params=["handler", "filter", "record factory"])
def broken_log(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    handler, factory = BrokenHandler(), logging.getLogRecordFactory()
    if request.param == "handler":
        logger.addHandler(handler)
    elif request.param == "filter":
        logger.addFilter(broken_filter)
    else:
        logging.setLogRecordFactory(broken_factory)
    yield
    logger.removeHandler(handler)
    logger.removeFilter(broken_filter)
    logging.setLogRecordFactory(factory)


@pytest.mark.usefixtures("broken_log")
class TestBrokenLog:
    def test_a_listener_that_raises_hurts_no_call(self) -> None:
        breaker = CircuitBreaker(fail_max=1, listeners=[Raising("state_change", plainly)])
        call(breaker)
        assert breaker.state == "open"

    @pytest.mark.parametrize("setting", ["exclude", "ignore"])
    def test_a_predicate_that_raises_hurts_no_call(self, setting: str) -> None:
        call(CircuitBreaker(**{setting: [plainly]}))  # type: ignore[arg-type]

    def test_an_is_failure_that_raises_hurts_no_call(self) -> None:
        assert CircuitBreaker(is_failure=plainly)(len)("four") == 4

    async def test_an_async_listener_that_raises_leaves_no_error_on_the_loop(self) -> None:
        listener = Raising("state_change", plainly, later=True)
        problems: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: problems.append(context)
        )
        CircuitBreaker(listeners=[listener]).open()
        for _ in range(5):
            await asyncio.sleep(0)
        assert problems == []

    def test_a_registry_without_room_gives_a_breaker(self) -> None:
        registry = BreakerRegistry(limit=1)
        registry.get("one").disable()
        assert registry.get("other")(len)("four") == 4


@pytest.fixture
def records_with(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Set a record factory that puts a field into each record."""
    usual = logging.getLogRecordFactory()

    def set_up(name: str) -> None:
        def factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
            record = usual(*args, **kwargs)
            setattr(record, name, "theirs")
            return record

        logging.setLogRecordFactory(factory)

    yield set_up
    logging.setLogRecordFactory(usual)


def test_where_a_field_is_taken_the_change_is_logged_without_fields(
    records_with: Callable[[str], None], caplog: pytest.LogCaptureFixture
) -> None:
    records_with("reason")
    CircuitBreaker(name="bank").force_open()
    [record] = caplog.records
    fields = vars(record)
    assert record.getMessage() == "breaker 'bank': closed -> forced open (forced open by hand)"
    assert (fields["reason"], fields.get("breaker")) == ("theirs", None)


def test_a_message_keeps_its_error_where_a_field_of_it_can_not_be_set(
    records_with: Callable[[str], None], caplog: pytest.LogCaptureFixture
) -> None:
    records_with("breaker")
    error = MineError("no route")
    log(logging.ERROR, "%s and %s", "this", "that", error=error, fields={"breaker": "bank"})
    [record] = caplog.records
    assert (record.levelno, record.getMessage()) == (logging.ERROR, "this and that")
    assert record.exc_info == (MineError, error, None)


def test_a_key_error_of_a_filter_is_no_reason_to_log_an_error_twice() -> None:
    questions = []

    def look_up(record: logging.LogRecord) -> bool:
        questions.append(record)
        raise KeyError("of theirs")

    logger.addFilter(look_up)
    try:
        log_once(look_up, "a test", MineError())
    finally:
        logger.removeFilter(look_up)
    assert len(questions) == 1
