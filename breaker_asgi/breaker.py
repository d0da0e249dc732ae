"""`CircuitBreaker`: the state machine, and every way to use it."""

from __future__ import annotations

import inspect
import sys
import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from breaker_asgi._core import validation
from breaker_asgi._core.admission import admit, admit_async
from breaker_asgi._core.aiobreaker_compat import AiobreakerNames
from breaker_asgi._core.blocks import enter_block, leave_block
from breaker_asgi._core.calls import call, call_async
from breaker_asgi._core.config import (
    DEFAULT_WINDOW,
    BreakerConfig,
    Clock,
    Duration,
    StreamJudgement,
)
from breaker_asgi._core.generation import Transition
from breaker_asgi._core.logs import log_doubt
from breaker_asgi._core.snapshot import BreakerSnapshot, take_snapshot
from breaker_asgi._core.state import CLOSED, DISABLED, FORCED_OPEN, HALF_OPEN, METRICS_ONLY, OPEN
from breaker_asgi._core.wrapping import guard

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from types import TracebackType
    from typing import Self

    from breaker_asgi._core.judgement import Exclusion
    from breaker_asgi._core.permit import Permit
    from breaker_asgi._core.profiles.profile import Profile
    from breaker_asgi._core.state import CircuitBreakerState
    from breaker_asgi._core.windows import CountWindow, TimeWindow

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

_shared_config = lru_cache(maxsize=256, typed=True)(BreakerConfig)
"""Many breakers have the same settings. For functions the cache would keep their owners alive."""


class CircuitBreaker(AiobreakerNames):
    """Guards calls to one dependency: cuts them off while it fails, and finds out when it is back.

        payments = CircuitBreaker(name="payments", fail_max=3, timeout_duration=5)

        @payments
        async def charge(order): ...

    The settings are those of `BreakerConfig`, which describes them. Guards async and plain
    functions, generators of both kinds, methods and callable objects, as a decorator, by `call`
    and `call_async`, as a context manager, or by a `Permit` from `acquire`. One breaker may serve
    any number of tasks and threads.

    Raises `BreakerConfigError` for a setting that is wrong or has no effect.
    """

    __slots__ = ()

    @validation.own_settings("CircuitBreaker")
    def __init__(
        self,
        fail_max: int | None = None,
        timeout_duration: Duration | None = None,
        exclude: Iterable[Exclusion] | None = (),
        listeners: Iterable[object] | None = (),
        name: str | None = None,
        *,
        ignore: Iterable[Exclusion] | None = (),
        failures: Iterable[Exclusion] | None = None,
        profile: Profile | str | None = None,
        is_failure: Callable[[Any], object] | None = None,
        failure_rate: float | None = None,
        slow_call_rate: float | None = None,
        slow_call_duration: Duration | None = None,
        window: CountWindow | TimeWindow = DEFAULT_WINDOW,
        minimum_calls: int | None = None,
        half_open_calls: int = 1,
        half_open_timeout: Duration = 30.0,
        backoff: float | None = None,
        max_timeout_duration: Duration | None = None,
        jitter: float | None = None,
        ramp: Duration | None = None,
        ramp_aggression: float | None = None,
        stream: StreamJudgement = "head",
        stream_idle_timeout: Duration | None = None,
        fallback: Any = None,
        throw_new_error_on_trip: bool = False,
        keep_messages: bool = False,
        owner: str | None = None,
        runbook: str | None = None,
        description: str | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        if isinstance(fail_max, str) and not fail_max.isdigit():
            remedy = f"Write CircuitBreaker(name={fail_max!r}) to name it"
            raise validation.not_allowed("fail_max", fail_max, "a whole number", remedy)
        settings: dict[str, Any] = {
            "fail_max": fail_max,
            "timeout_duration": timeout_duration,
            "exclude": exclude,
            "ignore": ignore,
            "failures": failures,
            "profile": profile,
            "is_failure": is_failure,
            "failure_rate": failure_rate,
            "slow_call_rate": slow_call_rate,
            "slow_call_duration": slow_call_duration,
            "window": window,
            "minimum_calls": minimum_calls,
            "half_open_calls": half_open_calls,
            "half_open_timeout": half_open_timeout,
            "backoff": backoff,
            "max_timeout_duration": max_timeout_duration,
            "jitter": jitter,
            "ramp": ramp,
            "ramp_aggression": ramp_aggression,
            "stream": stream,
            "stream_idle_timeout": stream_idle_timeout,
            "fallback": fallback,
            "throw_new_error_on_trip": throw_new_error_on_trip,
            "keep_messages": keep_messages,
            "owner": owner,
            "runbook": runbook,
            "description": description,
            "clock": clock,
        }
        shared = exclude == () == ignore and (failures, profile, is_failure) == (None, None, None)
        if not shared or fallback is not None or clock is not time.monotonic:
            config = BreakerConfig(**settings)
        else:
            config = _shared_config(**settings)
            if config.doubtful:
                _shared_config.cache_clear()  # so that the next one is warned of, too
        self._set_up(config, name, listeners)
        if name is not None:
            for hook in _named_hooks:
                hook(self)

    @classmethod
    def from_config(
        cls,
        config: BreakerConfig,
        name: str | None = None,
        listeners: Iterable[object] | None = (),
    ) -> Self:
        """Return a breaker with settings that exist already; no registry lists it by itself."""
        breaker = cls.__new__(cls)
        breaker._set_up(config, name, listeners)
        return breaker

    # What it is

    @property
    def state(self) -> CircuitBreakerState:
        """The state. An open breaker turns half-open at the first call after its open time."""
        return self._generation.state

    @property
    def calls(self) -> int:
        """Calls since the start, whatever their outcome; rejected ones included."""
        return self.successes + self.failures + self.ignored + self.rejected

    def snapshot(self, *, messages: bool = False) -> BreakerSnapshot:
        """Return a snapshot of the breaker; with `messages`, the last failure's text too."""
        return take_snapshot(self, messages=messages)

    def __repr__(self) -> str:
        return f"<CircuitBreaker {self.name!r}, {self.state.words}>"

    # Guarding calls

    def acquire(self) -> Permit:
        """Return a permit for one call, to be settled by the caller.

        Raises `CircuitBreakerError` if the call is not admitted.
        """
        return admit(self)

    async def acquire_async(self) -> Permit:
        """Acquire a permit in async code: a probe that a store has to lend is waited for.

        Raises `CircuitBreakerError` if the call is not admitted.
        """
        return await admit_async(self)

    @overload
    def __call__(self, function: F, /, *, ignore_on_call: bool = True) -> F: ...

    @overload
    def __call__(self, *, ignore_on_call: bool = True) -> Callable[[F], F]: ...

    def __call__(self, *functions: Any, ignore_on_call: bool = True) -> Any:
        """Guard a function, as `@breaker` or `@breaker()`. The wrapper has its signature and type.

        With `ignore_on_call`, `call` and `call_async` of any breaker leave the guarded function
        to its own. Raises `TypeError` for what can't be guarded.
        """
        if not functions:
            return lambda function: self(function, ignore_on_call=ignore_on_call)
        target, *others = functions
        if others:
            raise TypeError(f"{self!r} guards one function at a time; {len(functions)} were given")
        guarded = guard(self, target)
        function = getattr(guarded, "__func__", guarded)  # of a staticmethod or classmethod
        if inspect.isfunction(function):
            vars(function)["_ignore_on_call"] = ignore_on_call
        return guarded

    def call(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a function; if it returns an awaitable or a generator, the call is what that does.

        Raises what it raises, or `CircuitBreakerError` if the call is not admitted.
        """
        if not callable(function):
            raise TypeError(f"call takes a function, and {function!r} is not one")
        if getattr(function, "_ignore_on_call", None) is True:  # a mock has any attribute
            return function(*args, **kwargs)
        result: R = call(self, function, args, kwargs)
        return result

    async def call_async(
        self, function: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Call an async function under the breaker.

        Raises what it raises, or `CircuitBreakerError` if the call is not admitted.
        """
        if not callable(function):
            raise TypeError(f"call_async takes a function and its arguments, not {function!r}")
        if getattr(function, "_ignore_on_call", None) is True:
            return await function(*args, **kwargs)
        result: R = await call_async(self, function, args, kwargs)
        return result

    def __enter__(self) -> Permit:
        if self.config.fallback_function is not None:
            self._doubt_fallback()
        return enter_block(self.acquire(), sys._getframe(1))

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        leave_block(self, sys._getframe(1)).__exit__(exc_type, exception, traceback)

    async def __aenter__(self) -> Permit:
        if self.config.fallback_function is not None:
            self._doubt_fallback()
        return enter_block(await self.acquire_async(), sys._getframe(1))

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        leave_block(self, sys._getframe(1)).__exit__(exc_type, exception, traceback)

    def _doubt_fallback(self) -> None:
        """Log, once, that a block raises its rejection though the breaker has a fallback."""
        log_doubt(
            self,
            "breaker %r has a fallback, and guards a block by `with`: a block that is rejected "
            "can't return it, so the CircuitBreakerError is raised. Guard a function instead",
            self.name,
        )

    def __reduce__(self) -> Any:
        raise TypeError(f"{self!r} can't be copied or pickled: each process and user has its own")

    # Changing the state by hand

    def open(
        self,
        duration: Duration | None = None,
        *,
        who: str | None = None,
        why: str | None = None,
    ) -> None:
        """Reject calls for `duration` seconds, or for the open time if none is given; then probe.

        As with all commands, `who` gives it and `why` go into the reason and the event log.
        Raises `BreakerConfigError` for a wrong duration.
        """
        self._by_hand(OPEN, "opened", who, why, duration)

    def half_open(self, *, who: str | None = None, why: str | None = None) -> None:
        """Admit probes, which decide the next state."""
        self._by_hand(HALF_OPEN, "half-opened", who, why)

    def close(self, *, who: str | None = None, why: str | None = None) -> None:
        """Admit calls, with an empty window."""
        self._by_hand(CLOSED, "closed", who, why)

    def force_open(
        self,
        *,
        for_: Duration | None = None,
        who: str | None = None,
        why: str | None = None,
    ) -> None:
        """Reject calls until the state is changed by hand, or for `for_` seconds; then close."""
        self._by_hand(FORCED_OPEN, "forced open", who, why, for_)

    def disable(
        self,
        *,
        for_: Duration | None = None,
        who: str | None = None,
        why: str | None = None,
    ) -> None:
        """Admit calls and record nothing, until the state is changed by hand, or for `for_`."""
        self._by_hand(DISABLED, "disabled", who, why, for_)

    def metrics_only(
        self,
        *,
        for_: Duration | None = None,
        who: str | None = None,
        why: str | None = None,
    ) -> None:
        """Admit calls, record them and never trip, until it is changed by hand, or for `for_`."""
        self._by_hand(METRICS_ONLY, "set to metrics only", who, why, for_)

    def reset(self, *, who: str | None = None, why: str | None = None) -> None:
        """Close as if new: an empty window, no openings in a row. Totals since the start stay."""
        self._by_hand(CLOSED, "reset", who, why)

    def _by_hand(
        self,
        state: CircuitBreakerState,
        done: str,
        who: str | None,
        why: str | None,
        lasts: Duration | None = None,
    ) -> None:
        setting = "duration" if state is OPEN else "for_"
        seconds = None if lasts is None else validation.seconds(setting, lasts)
        reason = (
            f"{done} by hand" if why is None else f"{done} by hand: {validation.text('why', why)}"
        )
        who = None if who is None else validation.text("who", who)
        self._change(Transition(state, reason, seconds, by_hand=True, who=who))


_named_hooks: list[Callable[[CircuitBreaker], object]] = []


def on_named(hook: Callable[[CircuitBreaker], object]) -> None:
    """Have `hook` called with each breaker that the constructor makes with a name."""
    _named_hooks.append(hook)
