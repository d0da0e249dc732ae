"""Driven with the same random calls, this package and aiobreaker 1.2.0 do the same.

Where they differ on purpose, the random calls keep away and say why; the second half of the file
shows each of those differences by itself. docs/migrating-from-aiobreaker.md tells them in words.
"""

from __future__ import annotations

import asyncio
import copy
import inspect
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple, TypeAlias
from unittest.mock import patch

import aiobreaker  # type: ignore[import-untyped]
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

import breaker_asgi
from breaker_asgi.testing import FakeClock

THEIRS: Any = aiobreaker
OURS: Any = breaker_asgi

MIDNIGHT = datetime(2030, 1, 1, tzinfo=UTC).replace(tzinfo=None)


@contextmanager
def in_aiobreaker(clock: FakeClock) -> Iterator[None]:
    """Give aiobreaker our clock."""
    now = FakeDatetime(clock)
    with (
        patch("aiobreaker.circuitbreaker.datetime", now),
        patch("aiobreaker.state.datetime", now),
    ):
        yield


class FakeDatetime:
    """Stands in for `datetime` in aiobreaker, in a place where local time is UTC.

    Anywhere else aiobreaker gets its times wrong, as it subtracts one from the other.
    """

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock

    def now(self) -> datetime:
        return MIDNIGHT + timedelta(seconds=self.clock())

    utcnow = now


# What the guarded functions do


class Down(Exception): ...  # noqa: N818


class Declined(Exception): ...  # noqa: N818


class DeclinedForGood(Declined): ...


class Status(Exception):  # noqa: N818
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def is_client_error(error: Exception) -> bool:
    return isinstance(error, Status) and error.code < 500


RAISED: list[Callable[[], BaseException]] = [
    Down,
    Declined,
    DeclinedForGood,
    partial(Status, 404),
    partial(Status, 503),
    TimeoutError,
    lambda: ExceptionGroup("two", [Down(), Declined()]),
    asyncio.CancelledError,
    KeyboardInterrupt,
    GeneratorExit,
]
EXCLUSIONS = [Declined, DeclinedForGood, Status, TimeoutError, is_client_error]

Outcome: TypeAlias = BaseException | str
"""Behaviour of a call: what it raises or returns."""
OFTEN: list[Callable[[], BaseException]] = [Down, partial(Status, 503)]
MAKERS: list[Callable[[], Outcome]] = [lambda: "fine", *OFTEN * 4, *RAISED]
outcomes = st.sampled_from(MAKERS).map(
    lambda make: make()  # one object a call: an exception that two calls raise counts once
)


def play(outcome: Outcome) -> str:
    if isinstance(outcome, BaseException):
        raise outcome.with_traceback(None)
    return outcome


class Gate:
    """Something to await, until somebody says how it ends."""

    def __await__(self) -> Generator[None, Outcome, str]:
        return play((yield))


async def wait_at_gate() -> str:
    return await Gate()


class Seen(NamedTuple):
    """A call, as its caller sees it."""

    returned: Any = None
    raised: str | None = None
    cause: str | None = None

    def without_trip_error(self) -> Seen:
        """The same, if the call that trips a breaker raised its own exception."""
        return Seen(raised=self.cause) if self.cause else self


def watch(call: Callable[[], Any]) -> Seen:
    try:
        return Seen(call())
    except StopIteration as end:
        return Seen(end.value)
    except BaseException as error:  # noqa: BLE001
        cause = error.__cause__
        return Seen(raised=name_of(error), cause=None if cause is None else name_of(cause))


def name_of(error: BaseException) -> str:
    return type(error).__name__


class Listener:
    """Written for aiobreaker, and used for both."""

    def __init__(self) -> None:
        self.heard: list[tuple[object, ...]] = []

    def before_call(self, breaker: Any, func: Any, *args: Any, **kwargs: Any) -> None:
        self.heard.append(("before_call", func.__name__, args, kwargs))

    def success(self, breaker: Any) -> None:
        self.heard.append(("success", breaker.fail_counter))

    def failure(self, breaker: Any, exception: Exception) -> None:
        self.heard.append(("failure", exception, breaker.current_state.name))

    def state_change(self, breaker: Any, old: Any, new: Any) -> None:
        self.heard.append(("state_change", name_in_state(old), name_in_state(new)))


def name_in_state(state: Any) -> str:
    """The name of a state; aiobreaker gives its listeners objects that hold it."""
    name: str = getattr(state, "state", state).name
    return name


# The two of them, side by side


class Side:
    """One library's breaker, and every way to make a call under it."""

    def __init__(self, library: Any, **settings: Any) -> None:
        self.listener = Listener()
        self.breaker = breaker = library.CircuitBreaker(**settings, listeners=[self.listener])
        self.pending: list[Callable[[Outcome], Any]] = []

        def plain(outcome: Outcome, *, note: str) -> str:
            return play(outcome)

        async def slow(outcome: Outcome, *, note: str) -> str:
            return play(outcome)

        def items(outcome: Outcome, *, note: str) -> Iterator[str]:
            yield note
            yield play(outcome)

        def run(coroutine: Coroutine[Any, Any, Any]) -> None:
            coroutine.send(None)

        decorated, decorated_slow, decorated_items = breaker(plain), breaker()(slow), breaker(items)
        decorated_for_both = breaker(ignore_on_call=False)(plain)
        another = library.CircuitBreaker(999)
        self.ways: dict[str, Callable[..., Any]] = {
            "call": partial(breaker.call, plain),
            "call_async": lambda *args, **named: run(breaker.call_async(slow, *args, **named)),
            "decorated": decorated,
            "decorated async": lambda *args, **named: run(decorated_slow(*args, **named)),
            "decorated generator": lambda *args, **named: [*decorated_items(*args, **named)],
            "generator, left early": lambda *args, **named: next(decorated_items(*args, **named)),
            "decorated, by call": partial(breaker.call, decorated),
            "decorated, by call of another": partial(another.call, decorated),
            "decorated async, by call_async": lambda *args, **named: run(
                breaker.call_async(decorated_slow, *args, **named)
            ),
            "decorated for both, by call of another": partial(another.call, decorated_for_both),
        }

    def begin(self) -> Seen | None:
        """Start an async call; None if it runs now."""
        context = copy_context()  # as asyncio does for a task
        call = self.breaker.call_async(wait_at_gate)
        outcome = watch(partial(context.run, call.send, None))
        if outcome != Seen():
            return outcome
        self.pending.append(partial(context.run, call.send))
        return None

    def hear(self) -> list[tuple[object, ...]]:
        """Return the events of one step.

        aiobreaker also tells of changes from a state to itself, and of the success that closes
        only after the change: cause and effect come in this order here.
        """
        events, self.listener.heard = self.listener.heard, []
        events = [event for event in events if event[0] != "state_change" or event[1] != event[2]]
        if events[-2:] == [("state_change", "HALF_OPEN", "CLOSED"), ("success", 0)]:
            events[-2:] = events[:-3:-1]
        return events


WAYS = [*Side(OURS).ways]


class Both(RuleBasedStateMachine):
    """Does everything twice, and compares what comes of it."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = ExitStack()

    @initialize(
        fail_max=st.integers(1, 4),
        timeout=st.sampled_from([10, 60]),
        exclude=st.lists(st.sampled_from(EXCLUSIONS), max_size=2),
        throws=st.booleans(),
    )
    def set_up(self, fail_max: int, timeout: int, exclude: list[Any], *, throws: bool) -> None:
        self.clock = FakeClock()
        self.patches.enter_context(in_aiobreaker(self.clock))
        settings = {
            "fail_max": fail_max,
            "timeout_duration": timedelta(seconds=timeout),
            "exclude": exclude,
        }
        self.throws = throws
        self.ours = Side(OURS, **settings, throw_new_error_on_trip=throws, clock=self.clock)
        self.theirs = Side(THEIRS, **settings)
        self.generation = 0
        self.state = self.ours.breaker.state
        self.has_probed = False

    def teardown(self) -> None:
        self.patches.close()

    # Calls

    @property
    def probing(self) -> bool:
        """True if a probe is under way. aiobreaker would admit more of them: a herd."""
        half_open = self.ours.breaker.state is OURS.CircuitBreakerState.HALF_OPEN
        return half_open and bool(self.ours.pending)

    @precondition(lambda self: not self.probing)
    @rule(way=st.sampled_from(WAYS), outcome=outcomes)
    def call(self, way: str, outcome: Outcome) -> None:
        """Arguments are given as the function orders them: its listeners see them so here."""
        self.compare_calls(lambda side: watch(partial(side.ways[way], outcome, note="-")))

    @precondition(lambda self: not self.probing)
    @rule()
    def begin(self) -> None:
        self.compare_calls(Side.begin)

    @precondition(lambda self: self.ours.pending)
    @rule(position=st.integers(0, 9), outcome=outcomes)
    def end(self, position: int, outcome: Outcome) -> None:
        def end(side: Side) -> Seen:
            call = side.pending.pop(position % len(side.pending))
            return watch(partial(call, outcome))

        self.compare_calls(end)

    def compare_calls(self, do: Callable[[Side], Seen | None]) -> None:
        ours, theirs = do(self.ours), do(self.theirs)
        if theirs is not None and not self.throws:
            theirs = theirs.without_trip_error()
        assert ours == theirs

    # All else

    @rule(seconds=st.integers(0, 60))
    def wait(self, seconds: int) -> None:
        """Not until the very end of the open time: aiobreaker admits then, this one after."""
        self.clock.advance(seconds)
        if self.ours.breaker.time_until_open == timedelta(0):
            self.clock.advance(0.25)

    @rule(method=st.sampled_from(["open", "half_open", "close"]))
    def change_by_hand(self, method: str) -> None:
        for side in (self.ours, self.theirs):
            getattr(side.breaker, method)()

    @rule(fail_max=st.integers(1, 5))
    def set_fail_max(self, fail_max: int) -> None:
        self.ours.breaker.fail_max = self.theirs.breaker.fail_max = fail_max

    @precondition(lambda self: self.ours.breaker.state is not OURS.CircuitBreakerState.OPEN)
    @rule(timeout=st.integers(1, 60))
    def set_timeout(self, timeout: int) -> None:
        """Not while open: here it holds from the next opening, there at once."""
        duration = timedelta(seconds=timeout)
        self.ours.breaker.timeout_duration = self.theirs.breaker.timeout_duration = duration

    @rule(exclusions=st.lists(st.sampled_from(EXCLUSIONS), min_size=1, max_size=2))
    def exclude(self, exclusions: list[Any]) -> None:
        for side in (self.ours, self.theirs):
            side.breaker.add_excluded_exceptions(*exclusions)

    @precondition(lambda self: self.ours.breaker.excluded_exceptions)
    @rule(position=st.integers(0, 9))
    def exclude_no_more(self, position: int) -> None:
        excluded = self.ours.breaker.excluded_exceptions
        for side in (self.ours, self.theirs):
            side.breaker.remove_excluded_exception(excluded[position % len(excluded)])

    @rule()
    def listen_or_stop_listening(self) -> None:
        for side in (self.ours, self.theirs):
            listening = side.breaker.listeners == (side.listener,)
            change = side.breaker.remove_listener if listening else side.breaker.add_listener
            change(side.listener)

    # What must be equal

    @invariant()
    def both_are_the_same(self) -> None:
        self.go_on_from_a_change_of_state()
        ours, theirs = self.ours.breaker, self.theirs.breaker
        assert ours.current_state.name == theirs.current_state.name
        assert ours.fail_max == theirs.fail_max
        assert ours.timeout_duration == theirs.timeout_duration
        assert ours.excluded_exceptions == theirs.excluded_exceptions
        assert self.ours.hear() == self.theirs.hear()
        for error in RAISED:
            if isinstance(error, Exception):
                assert ours.is_system_error(error) == theirs.is_system_error(error)
        if not self.has_probed:  # the failures of probes are counted anew here
            assert ours.fail_counter == theirs.fail_counter
        if ours.state is OURS.CircuitBreakerState.OPEN:
            assert ours.time_until_open == time_until_open(theirs)

    def go_on_from_a_change_of_state(self) -> None:
        """Cancel the calls that were admitted before it.

        Their results count in aiobreaker, whatever has happened since; here they don't.
        """
        snapshot = self.ours.breaker.snapshot()
        if snapshot.generation != self.generation:
            for side in (self.ours, self.theirs):
                while side.pending:
                    outcome = watch(partial(side.pending.pop(), asyncio.CancelledError()))
                    assert outcome == Seen(raised="CancelledError")
            self.has_probed = snapshot.state != "closed" and (
                self.state != "closed" or snapshot.state == "half_open"
            )
            self.generation, self.state = snapshot.generation, snapshot.state


def time_until_open(breaker: Any) -> timedelta | None:
    try:
        left: timedelta = breaker.time_until_open
    except TypeError:  # aiobreaker's way of saying that it has passed
        return None
    return left


TestBoth = Both.TestCase
TestBoth.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)


# Where they differ on purpose


@pytest.fixture
def clock() -> Iterator[FakeClock]:
    clock = FakeClock()
    with in_aiobreaker(clock):
        yield clock


def make(library: Any, clock: FakeClock, fail_max: int = 1, **settings: Any) -> Any:
    """A breaker that stays open for ten seconds."""
    if library is OURS:
        settings["clock"] = clock
    return library.CircuitBreaker(fail_max, timedelta(seconds=10), **settings)


def fail(breaker: Any) -> Seen:
    return watch(partial(breaker.call, play, Down()))


def begin(breaker: Any) -> Callable[[Outcome], Any]:
    """Start a call, and give what ends it."""
    context = copy_context()
    call = breaker.call_async(wait_at_gate)
    context.run(call.send, None)
    return partial(context.run, call.send)


def test_the_call_that_trips_raises_its_own_exception(clock: FakeClock) -> None:
    assert fail(make(THEIRS, clock)) == Seen(raised="CircuitBreakerError", cause="Down")
    assert fail(make(OURS, clock)) == Seen(raised="Down")


def test_half_open_admits_one_probe_not_all_who_ask(clock: FakeClock) -> None:
    def admitted(library: Any) -> int:
        breaker = make(library, clock)
        breaker.half_open()
        calls = [watch(partial(begin, breaker)) for _ in range(50)]
        return sum(call.raised is None for call in calls)

    assert admitted(THEIRS) == 50
    assert admitted(OURS) == 1


def test_a_late_failure_keeps_no_breaker_open_for_longer(clock: FakeClock) -> None:
    def open_time_left(library: Any) -> timedelta | None:
        breaker = make(library, clock)
        late = begin(breaker)
        fail(breaker)
        clock.advance(4)
        watch(partial(late, Down()))
        return time_until_open(breaker)

    assert open_time_left(THEIRS) == timedelta(seconds=10)
    assert open_time_left(OURS) == timedelta(seconds=6)


def test_a_late_probe_closes_no_breaker_that_was_opened_since(clock: FakeClock) -> None:
    def state_after(library: Any) -> str:
        breaker = make(library, clock)
        breaker.half_open()
        late = begin(breaker)
        breaker.open()
        watch(partial(late, "fine"))
        return name_in_state(breaker.current_state)

    assert state_after(THEIRS) == "CLOSED"
    assert state_after(OURS) == "OPEN"


def test_a_call_inside_a_probe_is_part_of_it(clock: FakeClock) -> None:
    def state_inside(library: Any) -> str:
        breaker = make(library, clock)
        breaker.half_open()

        def probe() -> str:
            breaker.call(str)
            return name_in_state(breaker.current_state)

        state: str = breaker.call(probe)
        return state

    assert state_inside(THEIRS) == "CLOSED"
    assert state_inside(OURS) == "HALF_OPEN"


def test_a_success_is_told_before_the_change_that_it_brings(clock: FakeClock) -> None:
    def told(library: Any) -> list[object]:
        listener = Listener()
        breaker = make(library, clock, listeners=[listener])
        breaker.half_open()
        breaker.call(str)
        return [event for event, *_ in listener.heard[-2:]]

    assert told(THEIRS) == ["state_change", "success"]
    assert told(OURS) == ["success", "state_change"]


def test_staying_in_a_state_is_no_change(clock: FakeClock) -> None:
    def told(library: Any) -> int:
        listener = Listener()
        breaker = make(library, clock, listeners=[listener])
        breaker.close()
        return len(listener.heard)

    assert told(THEIRS) == 1
    assert told(OURS) == 0


def test_the_very_end_of_the_open_time_belongs_to_it(clock: FakeClock) -> None:
    def admitted(library: Any) -> bool:
        breaker = make(library, clock)
        breaker.open()
        clock.advance(10)
        return watch(partial(breaker.call, str)).raised is None

    assert admitted(THEIRS)
    assert not admitted(OURS)


def test_a_new_timeout_holds_from_the_next_opening(clock: FakeClock) -> None:
    def open_time_left(library: Any) -> timedelta | None:
        breaker = make(library, clock)
        breaker.open()
        breaker.timeout_duration = timedelta(seconds=5)
        return time_until_open(breaker)

    assert open_time_left(THEIRS) == timedelta(seconds=5)
    assert open_time_left(OURS) == timedelta(seconds=10)


def test_the_rejection_of_an_inner_breaker_is_no_failure(clock: FakeClock) -> None:
    def state_of_outer(library: Any) -> str:
        inner, outer = make(library, clock), make(library, clock)
        inner.open()
        watch(partial(outer.call, inner.call, str))
        return name_in_state(outer.current_state)

    assert state_of_outer(THEIRS) == "OPEN"
    assert state_of_outer(OURS) == "CLOSED"


def test_a_predicate_that_raises_hides_no_error(clock: FakeClock) -> None:
    def broken(error: Exception) -> bool:
        raise LookupError

    def seen(library: Any) -> tuple[str | None, int]:
        breaker = make(library, clock, 2, exclude=[broken])
        return fail(breaker).raised, breaker.fail_counter

    assert seen(THEIRS) == ("LookupError", 0)
    assert seen(OURS) == ("Down", 1)


@pytest.mark.parametrize("event", ["before_call", "success"])
def test_a_listener_that_raises_breaks_no_call(clock: FakeClock, event: str) -> None:
    def seen(library: Any) -> Seen:
        def broken(self: object, *args: object) -> None:
            raise LookupError

        listener = type("Broken", (library.CircuitBreakerListener,), {event: broken})()
        return watch(partial(make(library, clock, listeners=[listener]).call, str))

    assert seen(THEIRS) == Seen(raised="LookupError")
    assert seen(OURS) == Seen(returned="")


def test_an_async_listener_is_heard() -> None:
    async def told(library: Any) -> list[object]:
        failures: list[object] = []

        class Async(library.CircuitBreakerListener):  # type: ignore[misc]
            async def failure(self, breaker: object, exception: Exception) -> None:
                failures.append(exception)

        breaker = library.CircuitBreaker(listeners=[Async()])
        fail(breaker)
        await asyncio.sleep(0)
        return failures

    with pytest.warns(RuntimeWarning, match="was never awaited"):
        assert asyncio.run(told(THEIRS)) == []
    assert [type(error) for error in asyncio.run(told(OURS))] == [Down]


def test_calling_an_async_function_with_call_judges_what_it_does(clock: FakeClock) -> None:
    async def failing() -> None:
        raise Down

    def failures(library: Any) -> int:
        breaker = make(library, clock, 2)
        watch(partial(breaker.call(failing).send, None))
        counter: int = breaker.fail_counter
        return counter

    assert failures(THEIRS) == 0
    assert failures(OURS) == 1


async def count_slowly() -> AsyncIterator[int]:
    yield 1
    raise Down


def count() -> Generator[int, None, str]:
    yield 1
    return "end"


def test_an_async_generator_is_judged_by_its_whole_run(clock: FakeClock) -> None:
    def failures(library: Any) -> int:
        breaker = make(library, clock, 2)

        async def read() -> list[int]:
            return [item async for item in breaker(count_slowly)()]

        watch(partial(read().send, None))
        counter: int = breaker.fail_counter
        return counter

    assert failures(THEIRS) == 0
    assert failures(OURS) == 1


def test_a_generator_is_admitted_when_it_starts_not_when_it_is_made(clock: FakeClock) -> None:
    def seen(library: Any) -> list[str | None]:
        breaker = make(library, clock)
        numbers = breaker(count)
        breaker.open()
        made = watch(numbers)
        return [made.raised] if made.raised else [None, watch(partial(next, made.returned)).raised]

    assert seen(THEIRS) == ["CircuitBreakerError"]
    assert seen(OURS) == [None, "CircuitBreakerError"]


def test_a_generator_keeps_what_it_returns(clock: FakeClock) -> None:
    def returned(library: Any) -> object:
        numbers = make(library, clock)(count)()
        next(numbers)
        return watch(partial(next, numbers)).returned

    assert returned(THEIRS) is None
    assert returned(OURS) == "end"


def test_a_generator_can_catch_what_is_thrown_into_it(clock: FakeClock) -> None:
    def patient() -> Iterator[str]:
        try:
            yield "first"
        except Down:
            yield "second"

    def seen(library: Any) -> Seen:
        words = make(library, clock, 2)(patient)()
        next(words)
        return watch(partial(words.throw, Down()))

    assert seen(THEIRS) == Seen(raised="Down")
    assert seen(OURS) == Seen(returned="second")


@pytest.mark.parametrize(
    ("kind", "function"),
    [
        (inspect.isgeneratorfunction, count),
        (inspect.isasyncgenfunction, count_slowly),
    ],
)
def test_a_guarded_generator_function_looks_like_one(
    clock: FakeClock, kind: Callable[[object], bool], function: Callable[[], object]
) -> None:
    assert not kind(make(THEIRS, clock)(function))
    assert kind(make(OURS, clock)(function))


class Client:
    def __call__(self) -> str:
        return "fine"


@pytest.mark.parametrize("target", [Client(), partial(play, "fine")], ids=["object", "partial"])
def test_any_callable_can_be_decorated(clock: FakeClock, target: Callable[[], str]) -> None:
    with pytest.raises(TypeError):
        make(THEIRS, clock)(target)
    assert make(OURS, clock)(target)() == "fine"


def test_a_listener_sees_the_arguments_as_the_function_does(clock: FakeClock) -> None:
    def charge(amount: int, currency: str = "EUR") -> None: ...

    def seen(library: Any) -> tuple[object, ...]:
        listener = Listener()
        make(library, clock, listeners=[listener])(charge)(amount=5)
        return listener.heard[0]

    assert seen(THEIRS) == ("before_call", "charge", (), {"amount": 5})
    assert seen(OURS) == ("before_call", "charge", (5, "EUR"), {})


def test_a_function_may_have_an_argument_called_func(clock: FakeClock) -> None:
    def twice(func: str) -> str:
        return func * 2

    def seen(library: Any) -> Seen:
        return watch(partial(make(library, clock)(twice), func="a"))

    assert seen(THEIRS).raised == "TypeError"
    assert seen(OURS) == Seen(returned="aa")


def test_an_exception_type_may_have_a_metaclass(clock: FakeClock) -> None:
    class Meta(type): ...

    class Strange(Exception, metaclass=Meta): ...  # noqa: N818

    def failures(library: Any) -> int:
        breaker = make(library, clock, 2, exclude=[Strange])
        fail(breaker)
        counter: int = breaker.fail_counter
        return counter

    assert failures(THEIRS) == 0  # each exception is excluded
    assert failures(OURS) == 1


def test_a_subclass_judges_by_exclude_not_by_is_system_error(clock: FakeClock) -> None:
    def failures(library: Any) -> int:
        class Lenient(library.CircuitBreaker):  # type: ignore[misc]
            def is_system_error(self, exception: Exception) -> bool:
                return False

        breaker = make(SimpleNamespace(CircuitBreaker=Lenient), clock, 2)
        fail(breaker)
        counter: int = breaker.fail_counter
        return counter

    assert failures(THEIRS) == 0
    assert failures(OURS) == 1


@pytest.mark.parametrize(
    "useless",
    [
        {"fail_max": 0},
        {"timeout_duration": timedelta(0)},
        {"timeout_duration": timedelta(seconds=-1)},
        {"exclude": [Exception]},
        {"exclude": [KeyboardInterrupt]},
        {"exclude": [Down()]},
    ],
    ids=repr,
)
def test_a_useless_setting_is_refused(useless: dict[str, Any]) -> None:
    THEIRS.CircuitBreaker(**useless)
    with pytest.raises(OURS.BreakerConfigError):
        OURS.CircuitBreaker(**useless)


def test_a_breaker_takes_no_attributes_of_others() -> None:
    THEIRS.CircuitBreaker().note = "mine"
    with pytest.raises(AttributeError):
        OURS.CircuitBreaker().note = "mine"


def test_a_breaker_is_not_copied() -> None:
    copy.deepcopy(THEIRS.CircuitBreaker())
    with pytest.raises(TypeError):
        copy.deepcopy(OURS.CircuitBreaker())


def test_a_breaker_that_is_not_open_has_no_open_time_left() -> None:
    with pytest.raises(TypeError):
        _ = THEIRS.CircuitBreaker().time_until_open
    assert OURS.CircuitBreaker().time_until_open is None


def test_a_breaker_that_was_closed_by_hand_opens_no_more(clock: FakeClock) -> None:
    def opens_at(library: Any) -> datetime | None:
        breaker = make(library, clock)
        breaker.open()
        breaker.close()
        moment: datetime | None = breaker.opens_at
        return moment

    assert opens_at(THEIRS) is not None
    assert opens_at(OURS) is None


@pytest.fixture(params=["UTC-9", "UTC+5"], ids=["Tokyo", "New York"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A place whose time is ahead of UTC, or behind it: POSIX turns the sign around."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield str(request.param)
    monkeypatch.undo()
    time.tzset()


@pytest.mark.filterwarnings("ignore:.*utcnow:DeprecationWarning")
def test_times_are_right_wherever_the_service_runs(place: str) -> None:
    minute = timedelta(minutes=1)

    def rejection(library: Any) -> Any:
        breaker = library.CircuitBreaker(1, minute)
        breaker.open()
        with pytest.raises(library.CircuitBreakerError) as caught:
            breaker.call(str)
        return caught.value

    if place == "UTC-9":
        assert rejection(THEIRS).reopen_time is None
    else:
        assert rejection(THEIRS).time_remaining > timedelta(hours=5)
    assert timedelta(0) < rejection(OURS).time_remaining <= minute
    assert rejection(OURS).reopen_time.tzinfo is UTC
