"""Listeners: their events, the order of these, and that they can't hurt a call."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock
from weakref import WeakKeyDictionary, ref

import pytest

from breaker_asgi import (
    BreakerRegistry,
    CircuitBreaker,
    CircuitBreakerError,
    CircuitBreakerListener,
    CircuitBreakerState,
)
from breaker_asgi._core import listeners
from breaker_asgi.monitor.event_log import EventLog
from breaker_asgi.stores import MemoryStore
from breaker_asgi.testing import FakeClock

CLOSED = CircuitBreakerState.CLOSED
OPEN = CircuitBreakerState.OPEN
HALF_OPEN = CircuitBreakerState.HALF_OPEN


class DownError(Exception):
    """The dependency failed."""


def work(*args: object, **kwargs: object) -> object:
    return args, kwargs


def fail() -> None:
    raise DownError


async def work_later(*args: object, **kwargs: object) -> object:
    return args, kwargs


class Recorder(CircuitBreakerListener):
    """Records each event with its arguments."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    @property
    def names(self) -> list[str]:
        return [name for name, *_ in self.heard]

    def before_call(self, breaker: CircuitBreaker, func: Any, /, *args: Any, **kwargs: Any) -> None:
        self.heard.append(("before_call", breaker, func, args, kwargs))

    def success(self, breaker: CircuitBreaker) -> None:
        self.heard.append(("success", breaker))

    def failure(self, breaker: CircuitBreaker, exception: Exception | None) -> None:
        self.heard.append(("failure", breaker, exception))

    def ignored(self, breaker: CircuitBreaker, exception: BaseException | None) -> None:
        self.heard.append(("ignored", breaker, exception))

    def rejected(self, breaker: CircuitBreaker, error: CircuitBreakerError) -> None:
        self.heard.append(("rejected", breaker, error))

    def state_change(
        self, breaker: CircuitBreaker, old: CircuitBreakerState, new: CircuitBreakerState
    ) -> None:
        self.heard.append(("state_change", breaker, old, new))


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def breaker(recorder: Recorder) -> CircuitBreaker:
    return CircuitBreaker(fail_max=2, listeners=[recorder], clock=FakeClock())


@pytest.fixture
def log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Callable[[], list[str]]:
    """The errors logged so far, as if none had been logged before the test."""
    monkeypatch.setattr("breaker_asgi._core.logs._logged", WeakKeyDictionary())
    caplog.set_level(logging.DEBUG, "breaker_asgi")
    return lambda: [
        record.getMessage() for record in caplog.records if record.levelno == logging.ERROR
    ]


# Events


def test_a_success_notifies_before_call_and_success(
    breaker: CircuitBreaker, recorder: Recorder
) -> None:
    breaker.call(work, 1, b=2)
    assert recorder.heard == [
        ("before_call", breaker, work, (1,), {"b": 2}),
        ("success", breaker),
    ]


def test_a_guarded_function_notifies_the_same(breaker: CircuitBreaker, recorder: Recorder) -> None:
    breaker(work)(1, b=2)
    assert recorder.heard == [
        ("before_call", breaker, work, (1,), {"b": 2}),
        ("success", breaker),
    ]


async def test_async_calls_notify_the_same(breaker: CircuitBreaker, recorder: Recorder) -> None:
    await breaker.call_async(work_later, 1, b=2)
    await breaker(work_later)(1, b=2)
    events = [("before_call", breaker, work_later, (1,), {"b": 2}), ("success", breaker)]
    assert recorder.heard == events * 2


async def test_generators_notify_the_same(breaker: CircuitBreaker, recorder: Recorder) -> None:
    def items(*args: object, **kwargs: object) -> Iterator[object]:
        yield args, kwargs

    async def items_later(*args: object, **kwargs: object) -> AsyncIterator[object]:
        yield args, kwargs

    assert [*breaker(items)(1, b=2)] == [((1,), {"b": 2})]
    assert [item async for item in breaker(items_later)(1, b=2)] == [((1,), {"b": 2})]
    assert recorder.heard == [
        ("before_call", breaker, items, (1,), {"b": 2}),
        ("success", breaker),
        ("before_call", breaker, items_later, (1,), {"b": 2}),
        ("success", breaker),
    ]


async def test_an_async_call_in_a_fleet_notifies_the_same(recorder: Recorder) -> None:
    registry = BreakerRegistry(store=MemoryStore(), listeners=[recorder])
    try:
        bank = registry.get("bank")
        await bank.call_async(work_later, 1, b=2)
    finally:
        assert registry.fleet is not None
        registry.fleet.stop()
    assert recorder.heard == [
        ("before_call", bank, work_later, (1,), {"b": 2}),
        ("success", bank),
    ]


def test_a_permit_and_a_block_have_no_function(breaker: CircuitBreaker, recorder: Recorder) -> None:
    breaker.acquire()
    with breaker:
        pass
    before: tuple[Any, ...] = ("before_call", breaker, None, (), {})
    assert recorder.heard == [before, before, ("success", breaker)]


@pytest.mark.parametrize("name", ["breaker", "func", "event", "listeners", "self"])
def test_arguments_of_a_call_may_have_any_name(
    name: str, breaker: CircuitBreaker, recorder: Recorder
) -> None:
    breaker.call(work, **{name: 1})
    assert recorder.heard[0] == ("before_call", breaker, work, (), {name: 1})


def test_a_failure_is_notified_with_its_exception(
    breaker: CircuitBreaker, recorder: Recorder
) -> None:
    with pytest.raises(DownError) as raised:
        breaker(fail)()
    assert recorder.heard[1:] == [("failure", breaker, raised.value)]


def test_a_result_that_is_a_failure_is_notified_with_none(recorder: Recorder) -> None:
    breaker = CircuitBreaker(is_failure=lambda result: True, listeners=[recorder])
    breaker(work)()
    assert recorder.heard[1:] == [("failure", breaker, None)]


def test_a_permit_that_is_ignored_is_notified_with_the_exception_it_was_given(
    breaker: CircuitBreaker, recorder: Recorder
) -> None:
    error = DownError()
    breaker.acquire().ignore(error)
    assert recorder.heard[1:] == [("ignored", breaker, error)]


def test_an_ignored_call_is_notified_with_its_exception(recorder: Recorder) -> None:
    breaker = CircuitBreaker(ignore=[DownError], listeners=[recorder])
    with pytest.raises(DownError) as raised:
        breaker(fail)()
    assert recorder.heard[1:] == [("ignored", breaker, raised.value)]


def test_an_excluded_exception_is_notified_as_a_success(recorder: Recorder) -> None:
    breaker = CircuitBreaker(exclude=[DownError], listeners=[recorder])
    with pytest.raises(DownError):
        breaker(fail)()
    assert recorder.heard[1:] == [("success", breaker)]


def test_a_rejection_is_notified_with_the_error_that_is_raised(
    breaker: CircuitBreaker, recorder: Recorder
) -> None:
    breaker.open()
    recorder.heard.clear()
    calls: list[Callable[[], object]] = [
        lambda: breaker.call(work),
        breaker(work),
        breaker.acquire,
    ]
    for call in calls:
        with pytest.raises(CircuitBreakerError) as raised:
            call()
        assert recorder.heard.pop() == ("rejected", breaker, raised.value)
    assert recorder.heard == []


def test_a_rejection_with_a_fallback_is_notified(recorder: Recorder) -> None:
    breaker = CircuitBreaker(fallback="fallback", listeners=[recorder])
    breaker.open()
    assert breaker(work)() == "fallback"
    assert recorder.names == ["state_change", "rejected"]


def test_the_call_that_trips_is_notified_in_order(
    breaker: CircuitBreaker, recorder: Recorder
) -> None:
    for _ in range(2):
        with pytest.raises(DownError):
            breaker(fail)()
    assert recorder.names == ["before_call", "failure", "before_call", "failure", "state_change"]
    assert recorder.heard[-1] == ("state_change", breaker, CLOSED, OPEN)


def test_a_probe_is_notified_in_order(recorder: Recorder) -> None:
    clock = FakeClock()
    breaker = CircuitBreaker(timeout_duration=60, listeners=[recorder], clock=clock)
    breaker.open()
    clock.advance(61)
    breaker(work)()
    assert recorder.names == [
        "state_change",
        "state_change",
        "before_call",
        "success",
        "state_change",
    ]
    assert [change[2:] for change in recorder.heard if change[0] == "state_change"] == [
        (CLOSED, OPEN),
        (OPEN, HALF_OPEN),
        (HALF_OPEN, CLOSED),
    ]


def test_a_state_that_stays_is_no_change(breaker: CircuitBreaker, recorder: Recorder) -> None:
    breaker.reset()
    breaker.open()
    breaker.open()
    assert recorder.names == ["state_change"]


def test_a_generator_is_notified_once_at_its_end(
    breaker: CircuitBreaker, recorder: Recorder
) -> None:
    @breaker
    def numbers() -> Iterator[int]:
        yield 1
        yield 2

    generator = numbers()
    assert recorder.names == []
    next(generator)
    assert recorder.names == ["before_call"]
    list(generator)
    assert recorder.names == ["before_call", "success"]


def test_listeners_are_notified_in_the_order_they_were_added() -> None:
    order: list[int] = []

    class Numbered(CircuitBreakerListener):
        def __init__(self, number: int) -> None:
            self.number = number

        def success(self, breaker: CircuitBreaker) -> None:
            order.append(self.number)

    breaker = CircuitBreaker(listeners=[Numbered(1), Numbered(2)])
    breaker.add_listeners(Numbered(3), Numbered(4))
    breaker(work)()
    assert order == [1, 2, 3, 4]


# Adding and removing


def test_a_listener_can_be_added_to_a_breaker_that_has_guarded_already(
    recorder: Recorder,
) -> None:
    breaker = CircuitBreaker()
    guarded = breaker(work)
    guarded()
    breaker.add_listener(recorder)
    guarded()
    assert recorder.names == ["before_call", "success"]
    assert breaker.listeners == (recorder,)


def test_a_removed_listener_is_not_notified(breaker: CircuitBreaker, recorder: Recorder) -> None:
    guarded = breaker(work)
    breaker.remove_listener(recorder)
    guarded()
    breaker.open()
    assert recorder.heard == []
    assert breaker.listeners == ()


def test_removing_an_unknown_listener_raises() -> None:
    with pytest.raises(ValueError, match="does not listen"):
        CircuitBreaker().remove_listener(Recorder())


def test_a_listener_of_a_registry_is_notified_of_each_call(recorder: Recorder) -> None:
    registry = BreakerRegistry(listeners=[recorder])
    bank = registry.get("bank")
    bank(work)()
    assert recorder.heard == [("before_call", bank, work, (), {}), ("success", bank)]


@pytest.mark.parametrize("event", ["before_call", "success"])
def test_a_listener_without_the_base_class_is_notified_by_its_methods(event: str) -> None:
    events: list[str] = []

    def hear(self: object, *args: object, **kwargs: object) -> None:
        events.append(event)

    listener = type("Partial", (), {event: hear})()
    breaker = CircuitBreaker(listeners=[listener])
    breaker(work)()
    breaker.open()
    with pytest.raises(CircuitBreakerError):
        breaker(work)()
    assert events == [event]


def test_a_listener_of_failures_is_notified_of_failures_only(breaker: CircuitBreaker) -> None:
    class Partial:
        def __init__(self) -> None:
            self.heard: list[Exception | None] = []

        def failure(self, breaker: CircuitBreaker, exception: Exception | None) -> None:
            self.heard.append(exception)

    partial = Partial()
    breaker = CircuitBreaker(listeners=[partial])
    breaker(work)()
    with pytest.raises(DownError) as raised:
        breaker(fail)()
    assert partial.heard == [raised.value]


@pytest.mark.parametrize("event", ["before_call", "success", "rejected"])
@pytest.mark.parametrize("make", [SimpleNamespace, Mock], ids=["object", "mock"])
def test_a_listener_with_attributes_as_methods_is_notified(make: Any, event: str) -> None:
    events: list[str] = []
    listener = make(**{event: lambda *args, **kwargs: events.append(event)})
    breaker = CircuitBreaker(listeners=[listener])
    guarded = breaker(work)
    guarded()
    breaker.open()
    with pytest.raises(CircuitBreakerError):
        guarded()
    assert events == [event]


def test_a_method_that_is_marked_to_do_nothing_is_not_called() -> None:
    events: list[str] = []

    class Quiet:
        @listeners.no_op
        def success(self, _breaker: CircuitBreaker) -> None:
            events.append("success")

        def failure(self, _breaker: CircuitBreaker, _exception: Exception | None) -> None:
            events.append("failure")

        def before_call(self, _breaker: CircuitBreaker, *_: object) -> None:
            events.append("before_call")

    breaker = CircuitBreaker(listeners=[Quiet()])
    breaker(work)()
    assert events == ["before_call"]


# Errors of listeners


def test_listeners_that_raise_change_nothing(
    recorder: Recorder, log: Callable[[], list[str]]
) -> None:
    class Raising(CircuitBreakerListener):
        def before_call(self, *args: Any, **kwargs: Any) -> None:
            raise RuntimeError

        success = failure = ignored = rejected = state_change = before_call

    breaker = CircuitBreaker(fail_max=1, listeners=[Raising(), recorder])
    assert breaker(work)(5) == ((5,), {})
    with pytest.raises(DownError):
        breaker(fail)()
    with pytest.raises(CircuitBreakerError):
        breaker(work)()
    assert recorder.names == [
        "before_call",
        "success",
        "before_call",
        "failure",
        "state_change",
        "rejected",
    ]
    assert breaker.state is OPEN
    assert len(log()) == 5


def test_a_listener_that_raises_is_logged_once(log: Callable[[], list[str]]) -> None:
    class Raising(CircuitBreakerListener):
        def success(self, breaker: CircuitBreaker) -> None:
            raise RuntimeError

    breaker = CircuitBreaker(listeners=[Raising()])
    for _ in range(3):
        breaker(work)()
    [message] = log()
    assert "Raising failed in success; not logged again" in message


def test_a_failure_of_a_listener_is_logged_with_its_traceback(
    log: Callable[[], list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    class Raising(CircuitBreakerListener):
        def success(self, breaker: CircuitBreaker) -> None:
            raise LookupError

    CircuitBreaker(listeners=[Raising()])(work)()
    [record] = caplog.records
    assert record.levelname == "ERROR"
    assert record.exc_info
    assert record.exc_info[0] is LookupError


def test_each_listener_that_raises_is_logged(log: Callable[[], list[str]]) -> None:
    class Raising(CircuitBreakerListener):
        def success(self, breaker: CircuitBreaker) -> None:
            raise RuntimeError

    breaker = CircuitBreaker(listeners=[Raising(), Raising()])
    breaker(work)()
    assert len(log()) == 2


def test_a_listener_may_call_the_breaker_again(recorder: Recorder) -> None:
    class Nosy(CircuitBreakerListener):
        calls = 0

        def before_call(self, breaker: CircuitBreaker, func: Any, /, *args: Any, **kw: Any) -> None:
            if not args:
                breaker.call(work, "again")

        def success(self, breaker: CircuitBreaker) -> None:
            assert breaker.snapshot().state is CLOSED

    breaker = CircuitBreaker(listeners=[Nosy(), recorder])
    breaker(work)()
    assert breaker.successes == 2
    assert recorder.names.count("success") == 2


def test_a_listener_may_change_the_state(recorder: Recorder) -> None:
    class Cautious(CircuitBreakerListener):
        def failure(self, breaker: CircuitBreaker, exception: Exception | None) -> None:
            breaker.force_open()

    breaker = CircuitBreaker(fail_max=1, listeners=[Cautious(), recorder])
    with pytest.raises(DownError):
        breaker(fail)()
    assert breaker.state is CircuitBreakerState.FORCED_OPEN
    assert [event[2:] for event in recorder.heard if event[0] == "state_change"] == [
        (CLOSED, CircuitBreakerState.FORCED_OPEN)
    ]


def test_a_change_by_a_listener_of_the_success_stays() -> None:
    class Cautious:
        def success(self, breaker: CircuitBreaker) -> None:
            breaker.force_open()

    breaker = CircuitBreaker(listeners=[Cautious()])
    breaker.half_open()
    breaker.acquire().success()
    assert breaker.state is CircuitBreakerState.FORCED_OPEN


def test_a_listener_may_undo_a_change() -> None:
    class Stubborn(CircuitBreakerListener):
        def state_change(
            self, breaker: CircuitBreaker, old: CircuitBreakerState, new: CircuitBreakerState
        ) -> None:
            if new is OPEN:
                breaker.close()

    breaker = CircuitBreaker(fail_max=1, listeners=[Stubborn()])
    with pytest.raises(DownError):
        breaker(fail)()
    assert breaker.state is CLOSED
    assert breaker(work)() == ((), {})


def test_a_listener_may_remove_itself(recorder: Recorder) -> None:
    class Shy(CircuitBreakerListener):
        successes = 0

        def success(self, breaker: CircuitBreaker) -> None:
            self.successes += 1
            breaker.remove_listener(self)

    shy = Shy()
    breaker = CircuitBreaker(listeners=[shy, recorder])
    breaker(work)()
    breaker(work)()
    assert shy.successes == 1
    assert recorder.names.count("success") == 2


# Async listeners


class AsyncRecorder(CircuitBreakerListener):
    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.heard: list[str] = []

    async def success(self, breaker: CircuitBreaker) -> None:
        await self.go.wait()
        self.heard.append("success")

    async def state_change(
        self, breaker: CircuitBreaker, old: CircuitBreakerState, new: CircuitBreakerState
    ) -> None:
        await self.go.wait()
        self.heard.append(new)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(2):
        while not condition():  # noqa: ASYNC110 - no event tells when a task has ended
            await asyncio.sleep(0)


async def test_an_async_listener_does_not_hold_up_the_call() -> None:
    listener = AsyncRecorder()
    breaker = CircuitBreaker(listeners=[listener])
    assert await breaker(work_later)(5) == ((5,), {})
    assert breaker(work)(5) == ((5,), {})
    assert listener.heard == []
    listener.go.set()
    await until(lambda: listener.heard == ["success", "success"])


async def test_an_async_listener_is_notified_by_a_worker_thread() -> None:
    listener = AsyncRecorder()
    listener.go.set()
    breaker = CircuitBreaker(listeners=[listener])
    breaker.open()
    await until(lambda: listener.heard == ["open"])
    await asyncio.to_thread(breaker.close)
    await until(lambda: listener.heard == ["open", "closed"])


async def test_an_async_listener_is_notified_of_a_change_by_a_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listeners, "_background", listeners._Background())
    listener = AsyncRecorder()
    listener.go.set()
    breaker = CircuitBreaker(listeners=[listener])
    await asyncio.to_thread(breaker.open)
    await until(lambda: listener.heard == ["open"])


def test_an_async_listener_without_any_event_loop_is_logged_and_the_call_goes_on(
    monkeypatch: pytest.MonkeyPatch, log: Callable[[], list[str]]
) -> None:
    monkeypatch.setattr(listeners, "_background", listeners._Background())
    breaker = CircuitBreaker(listeners=[AsyncRecorder()])
    assert breaker(work)(5) == ((5,), {})
    assert breaker(work)(5) == ((5,), {})
    assert len(log()) == 1


def test_an_async_listener_whose_event_loop_has_ended_is_logged(
    monkeypatch: pytest.MonkeyPatch, log: Callable[[], list[str]]
) -> None:
    monkeypatch.setattr(listeners, "_background", listeners._Background())
    breaker = CircuitBreaker(listeners=[AsyncRecorder()])

    async def once() -> None:
        breaker.open()

    asyncio.run(once())
    breaker.close()
    assert breaker.state is CLOSED
    assert len(log()) == 1


async def test_an_async_listener_that_raises_is_logged_once(log: Callable[[], list[str]]) -> None:
    class Raising(CircuitBreakerListener):
        successes = 0

        async def success(self, breaker: CircuitBreaker) -> None:
            self.successes += 1
            raise RuntimeError

    listener = Raising()
    breaker = CircuitBreaker(listeners=[listener])
    for _ in range(3):
        breaker(work)()
    await until(lambda: listener.successes == 3)
    await asyncio.sleep(0)
    [message] = log()
    assert "Raising failed in success" in message


async def test_an_async_listener_that_raises_after_a_call_of_a_thread_is_logged(
    monkeypatch: pytest.MonkeyPatch, log: Callable[[], list[str]]
) -> None:
    class Raising(CircuitBreakerListener):
        async def success(self, breaker: CircuitBreaker) -> None:
            raise RuntimeError

    monkeypatch.setattr(listeners, "_background", listeners._Background())
    breaker = CircuitBreaker(listeners=[Raising()])
    await asyncio.to_thread(breaker(work))
    await until(lambda: len(log()) == 1)
    assert "Raising failed in success" in log()[0]


async def test_a_task_of_an_async_listener_is_kept_until_it_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The event loop keeps no strong reference to it."""
    background = listeners._Background()
    monkeypatch.setattr(listeners, "_background", background)
    listener = AsyncRecorder()
    CircuitBreaker(listeners=[listener])(work)()
    assert background._tasks == asyncio.all_tasks() - {asyncio.current_task()}
    listener.go.set()
    await until(lambda: not background._tasks)
    assert listener.heard == ["success"]


async def test_an_async_listener_that_is_cancelled_is_not_logged(
    log: Callable[[], list[str]],
) -> None:
    listener = AsyncRecorder()
    CircuitBreaker(listeners=[listener])(work)()
    [task] = asyncio.all_tasks() - {asyncio.current_task()}
    task.cancel()
    await until(task.done)
    await asyncio.sleep(0)
    assert log() == []


async def test_async_listeners_leave_no_task_behind() -> None:
    listener = AsyncRecorder()
    listener.go.set()
    CircuitBreaker(listeners=[listener])(work)()
    await until(lambda: listener.heard == ["success"])
    await until(lambda: len(asyncio.all_tasks()) == 1)


# Costs


def calls_made_by(function: Callable[[], object]) -> list[str]:
    """The Python functions that run while `function` does, itself left out."""
    names: list[str] = []

    def trace(frame: Any, event: str, argument: object) -> None:
        if event == "call":
            names.append(frame.f_code.co_name)

    sys.setprofile(trace)
    try:
        function()
    finally:
        sys.setprofile(None)
    return names


@pytest.mark.parametrize("unconcerned", [[], [CircuitBreakerListener()]], ids=["none", "silent"])
def test_a_call_without_listeners_costs_one_frame(
    unconcerned: list[object],
) -> None:
    guarded = CircuitBreaker(listeners=unconcerned)(work)
    guarded()
    assert calls_made_by(guarded) == ["guarded", "work"]


def test_a_listener_of_failures_costs_a_success_nothing() -> None:
    class Partial(CircuitBreakerListener):
        def failure(self, breaker: CircuitBreaker, exception: Exception | None) -> None: ...

        def rejected(self, breaker: CircuitBreaker, error: CircuitBreakerError) -> None: ...

        def state_change(
            self, breaker: CircuitBreaker, old: CircuitBreakerState, new: CircuitBreakerState
        ) -> None: ...

    guarded = CircuitBreaker(listeners=[Partial()])(work)
    guarded()
    assert calls_made_by(guarded) == ["guarded", "work"]


def test_a_listener_of_changes_costs_a_failure_nothing() -> None:
    class Changes(CircuitBreakerListener):
        def state_change(
            self, breaker: CircuitBreaker, old: CircuitBreakerState, new: CircuitBreakerState
        ) -> None: ...

    def fails_with(*listeners: object) -> list[str]:
        guarded = CircuitBreaker(fail_max=99, listeners=listeners)(fail)

        def call() -> None:
            with pytest.raises(DownError):
                guarded()

        call()
        return calls_made_by(call)

    assert fails_with(Changes()) == fails_with()


class Rejections(CircuitBreakerListener):
    def rejected(self, breaker: CircuitBreaker, error: CircuitBreakerError) -> None: ...


def rejection_of(guarded: Callable[[], object]) -> Callable[[], None]:
    def reject() -> None:
        try:
            guarded()
        except CircuitBreakerError:
            return
        raise AssertionError

    return reject


def test_a_rejection_costs_one_frame_and_those_of_its_notification() -> None:
    breaker = CircuitBreaker(listeners=[CircuitBreakerListener()])
    reject = rejection_of(breaker(work))
    breaker.open()
    assert calls_made_by(reject) == ["reject", "guarded"]
    breaker.add_listener(Rejections())
    assert calls_made_by(reject) == ["reject", "guarded", "_rejection", "notify", "rejected"]


def test_a_notified_rejection_leaves_nothing_for_the_garbage_collector() -> None:
    errors: list[ref[CircuitBreakerError]] = []

    class Noting(CircuitBreakerListener):
        def rejected(self, breaker: CircuitBreaker, error: CircuitBreakerError) -> None:
            errors.append(ref(error))

    breaker = CircuitBreaker(listeners=[Noting()])
    reject = rejection_of(breaker(work))
    breaker.open()
    gc.disable()
    try:
        for _ in range(3):
            reject()
        assert [error() for error in errors] == [None] * 3
    finally:
        gc.enable()


def test_a_breaker_with_a_listener_of_rejections_admits_its_probe_after_the_open_time() -> None:
    clock = FakeClock()
    breaker = CircuitBreaker(timeout_duration=60, listeners=[Rejections()], clock=clock)
    guarded = breaker(work)
    breaker.open()
    clock.advance(61)
    assert guarded(5) == ((5,), {})
    assert breaker.state is CLOSED


def test_a_listener_that_was_removed_costs_nothing_more(
    breaker: CircuitBreaker, recorder: Recorder
) -> None:
    guarded = breaker(work)
    guarded()
    breaker.remove_listener(recorder)
    guarded()
    assert calls_made_by(guarded) == ["guarded", "work"]


# Order


class Steps:
    """A listener that records changes."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []

    def state_change(self, _breaker: CircuitBreaker, old: Any, new: Any) -> None:
        self.heard.append((old.value, new.value))


class Closes:
    """A listener that closes a breaker when it opens."""

    def state_change(self, breaker: CircuitBreaker, _old: Any, new: Any) -> None:
        if new == "open":
            breaker.close()


def test_a_change_by_a_listener_is_notified_after_the_first_one() -> None:
    before, after = Steps(), Steps()
    bank = CircuitBreaker(listeners=[before, Closes(), after])
    bank.open()
    assert before.heard == after.heard == [("closed", "open"), ("open", "closed")]


def test_the_event_log_has_changes_by_listeners_in_order() -> None:
    registry = BreakerRegistry(listeners=[Closes()])
    event_log = EventLog.of(registry)
    registry.get("bank").open(why="a test")
    changes = [(event["to"], event["reason"]) for event in event_log.newest_first()[:10]]
    assert changes == [("closed", "closed by hand"), ("open", "opened by hand: a test")]


def test_changes_of_several_threads_are_notified_in_the_order_of_their_generations() -> None:
    events: list[tuple[int, int]] = []

    class Slow:
        def state_change(self, *_: object) -> None:
            time.sleep(0)

        def _changed(self, _breaker: object, before: Any, after: Any) -> None:
            events.append((before.number, after.number))

    bank = CircuitBreaker(listeners=[Slow()])

    def change() -> None:
        for _ in range(50):
            bank.open()
            bank.close()

    threads = [threading.Thread(target=change) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert events == [(number, number + 1) for number in range(400)]
