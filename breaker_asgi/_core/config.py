"""Every setting of a breaker, checked where it is given."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any, Literal, TypeAlias

from breaker_asgi._core import validation
from breaker_asgi._core.errors import BreakerConfigError
from breaker_asgi._core.fallback import FallbackFunction, fallback_function_of
from breaker_asgi._core.judgement import Exclusion, Judgement
from breaker_asgi._core.profiles import resolve
from breaker_asgi._core.profiles.profile import Profile  # noqa: TC001 - of a field
from breaker_asgi._core.windows import CountWindow, TimeWindow

Duration: TypeAlias = float | timedelta
"""A number of seconds, or a `timedelta`."""
Clock: TypeAlias = Callable[[], float]
"""Seconds since some moment, never set back: `time.monotonic`, or a `FakeClock` in tests."""
StreamJudgement: TypeAlias = Literal["head", "event", "end"]
"""The part of a stream that judges it: its head, its first event of data, or its end."""

DEFAULT_FAIL_MAX = 5
DEFAULT_MINIMUM_CALLS = 10
DEFAULT_WINDOW = CountWindow(100)
DEFAULT_TIMEOUT = 1.0
DEFAULT_BACKOFF = 2.0
DEFAULT_JITTER = 0.1
DEFAULT_LONGEST_TIMEOUT = 60.0
LONGEST_GIVEN_TIMEOUT = 600.0
LONGEST_OWNER = 100
LONGEST_RUNBOOK = 2000
LONGEST_DESCRIPTION = 500

_TENTH = 0.1
_HOUR = 3600.0
_MANY_FAILURES = 1000


@dataclass(frozen=True, slots=True)
class BreakerConfig:
    """The settings of a breaker. Immutable; `replace` makes another one.

    A breaker trips by `fail_max`, by `failure_rate` or by `slow_call_rate`; with several of them,
    by whichever comes first. The rules of the rates are those of resilience4j.

    Raises `BreakerConfigError` for a setting that is wrong or without any effect, and warns with
    `BreakerConfigWarning` about one that makes the breaker useless where it was not meant.
    """

    fail_max: int | None = None
    """Failures in a row that open the breaker. `None`: 5, or off where a rate is given."""
    timeout_duration: Duration | None = None
    """Time for which the breaker stays open before it admits a probe. `None`: a second, which
    doubles with each opening in a row, up to 60 s, and has up to a tenth taken off. One that is
    given is the same each time, unless `backoff` or `jitter` are given too."""
    exclude: Iterable[Exclusion] | None = ()
    """Exceptions that prove that the dependency answered: successes."""
    ignore: Iterable[Exclusion] | None = ()
    """Exceptions that prove nothing: they count for nothing, and a probe's permit goes back."""
    failures: Iterable[Exclusion] | None = None
    """The only exceptions that are failures; all others are successes. `None`: every exception but
    those that carry an HTTP status below 500, which are answers. `[Exception]`: every one."""
    profile: Profile | str | None = None
    """Profile of the dependency's errors, such as `"postgres"`: see docs/profiles.md."""
    is_failure: Callable[[Any], object] | None = None
    """Judges the result of a call that raised nothing; true makes it a failure."""
    failure_rate: float | None = None
    """Share of the window's calls, above 0 and up to 1, that opens the breaker by failing."""
    slow_call_rate: float | None = None
    """Share of the window's calls, above 0 and up to 1, that opens the breaker by being slow."""
    slow_call_duration: Duration | None = None
    """A call that takes longer than this is slow, whether it fails or not."""
    window: CountWindow | TimeWindow = DEFAULT_WINDOW
    """The calls that the rates look at."""
    minimum_calls: int | None = None
    """Calls that the window must hold before a rate is judged. `None`: 10, or the size of a
    smaller `CountWindow`."""
    half_open_calls: int = 1
    """Probes that a half-open breaker admits."""
    half_open_timeout: Duration = 30.0
    """A probe that has not been settled for so long gives its permit back."""
    backoff: float | None = None
    """Each opening in a row lasts this many times as long as the one before. `None`: 1, or 2
    without a `timeout_duration`."""
    max_timeout_duration: Duration | None = None
    """Upper limit of `backoff`. `None`: ten minutes, or a longer `timeout_duration`; 60 s without
    one."""
    jitter: float | None = None
    """Takes a random share, up to this fraction, off each open time, so that the processes of a
    fleet do not probe in step. `None`: 0, or 0.1 without a `timeout_duration`."""
    ramp: Duration | None = None
    """Time for which a growing share of the calls is admitted after the probes have succeeded; the
    rest is rejected. For dependencies with caches or pools to fill. `None`: all at once."""
    ramp_aggression: float | None = None
    """Shape of the ramp: the share is `(elapsed / ramp) ** (1 / ramp_aggression)`, and a tenth at
    least. `None`: 1, a straight line. Above it more are admitted early, below it fewer."""
    stream: StreamJudgement = "head"
    """The part that judges a stream: its `"head"`, its first `"event"` of data, or its `"end"`. A
    stream is a response of server-sent events or of JSON lines, and a generator that is guarded;
    that has no head, so with `"head"` all of its time counts. By an event or the end it is slow by
    the time to its first event, and an event of an error is a failure."""
    stream_idle_timeout: Duration | None = None
    """A stream of which nothing comes for longer than this is a failure. `None`: no limit. It needs
    `stream="event"` or `stream="end"`. The stream itself goes on: the breaker does not cut it."""
    fallback: Any = None
    """Result of a rejected call, which then raises nothing: a value, or a function, sync or async,
    of the error and, where it takes more than one argument, the arguments of the call."""
    throw_new_error_on_trip: bool = False
    """True if the call that trips the breaker raises `CircuitBreakerError` from its own exception,
    as in aiobreaker, instead of its own exception."""
    keep_messages: bool = False
    """True if the text of the last failure is kept for `snapshot()`; it may hold secrets."""
    owner: str | None = None
    """Team or person that answers for the dependency: one line, shown by the monitor."""
    runbook: str | None = None
    """Address, http or https, of the page that says what to do when the breaker is open."""
    description: str | None = None
    """Description of the dependency: one line, shown by the monitor."""
    clock: Clock = time.monotonic

    effective_fail_max: int | None = field(init=False, repr=False, compare=False)
    """`fail_max` with its default applied; `None` where only rates trip the breaker."""
    rated: bool = field(init=False, repr=False, compare=False)
    """True if a rate may trip the breaker, so that a window is kept."""
    effective_minimum_calls: int = field(init=False, repr=False, compare=False)
    """`minimum_calls` with its default applied."""
    judgement: Judgement = field(init=False, repr=False, compare=False)
    """`exclude`, `ignore`, `failures` and `profile`, applied to exceptions."""
    probes_to_judge: int = field(init=False, repr=False, compare=False)
    """Settled probes that decide a half-open breaker."""
    timeout: float = field(init=False, repr=False, compare=False)
    """`timeout_duration` in seconds."""
    effective_backoff: float = field(init=False, repr=False, compare=False)
    """`backoff` with its default applied."""
    longest_timeout: float = field(init=False, repr=False, compare=False)
    """`max_timeout_duration` in seconds, with its default applied."""
    forced_retry: float = field(init=False, repr=False, compare=False)
    """The `retry_after` of a breaker that is forced open without an end, in seconds."""
    effective_jitter: float = field(init=False, repr=False, compare=False)
    """`jitter` with its default applied."""
    ramp_time: float = field(init=False, repr=False, compare=False)
    """`ramp` in seconds; 0 where all calls are admitted at once."""
    effective_ramp_aggression: float = field(init=False, repr=False, compare=False)
    """`ramp_aggression` with its default applied."""
    probe_timeout: float = field(init=False, repr=False, compare=False)
    """`half_open_timeout` in seconds."""
    slow_after: float = field(init=False, repr=False, compare=False)
    """`slow_call_duration` in seconds; infinite where it is not given, and no call is slow."""
    measures_duration: bool = field(init=False, repr=False, compare=False)
    """True if the duration of a call matters."""
    stream_idle: float = field(init=False, repr=False, compare=False)
    """`stream_idle_timeout` in seconds; infinite where it is not given."""
    fallback_function: FallbackFunction | None = field(init=False, repr=False, compare=False)
    """`fallback` as one kind of function, whatever it takes."""
    doubtful: bool = field(init=False, repr=False, compare=False)
    """True if there was a warning about it."""

    def __post_init__(self) -> None:
        self._keep(doubtful=False)
        self._check_trips()
        self._check_half_open()
        self._check_open_time()
        self._check_ramp()
        self._check_stream()
        self._check_judgement()
        validation.function("clock", self.clock)
        validation.boolean("throw_new_error_on_trip", self.throw_new_error_on_trip)
        validation.boolean("keep_messages", self.keep_messages)
        self._check_texts()

    def given(self) -> dict[str, Any]:
        """Return the settings that differ from their defaults, by name."""
        settings = (setting for setting in fields(self) if setting.init)
        values = ((item.name, getattr(self, item.name), item.default) for item in settings)
        return {name: value for name, value, default in values if value != default}

    def replace(self, **changes: Any) -> BreakerConfig:
        """Return these settings with `changes`, checked again."""
        return BreakerConfig(**(self.given() | changes))

    def _doubt(self, setting: str, doubt: str, remedy: str) -> None:
        validation.warn(setting, getattr(self, setting), doubt, remedy)
        self._keep(doubtful=True)

    def _doubt_hours(self, setting: str, seconds: float, doubt: str) -> None:
        if seconds > _HOUR:
            self._doubt(setting, doubt, "Durations are seconds, not milliseconds")

    def _keep(self, **values: object) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _check_trips(self) -> None:
        rates = [
            validation.rate(name, value)
            for name in ("failure_rate", "slow_call_rate")
            if (value := getattr(self, name)) is not None
        ]
        slow_after = math.inf
        if self.slow_call_duration is not None:
            slow_after = validation.seconds("slow_call_duration", self.slow_call_duration)
        if (self.slow_call_rate is None) != (self.slow_call_duration is None):
            values = f"{self.slow_call_rate!r}, slow_call_duration={self.slow_call_duration!r}"
            raise BreakerConfigError(
                f"slow_call_rate={values}: one has no effect without the other. Give both: the "
                "share of calls that opens, and the seconds that make a call slow."
            )
        if self.fail_max is not None:
            validation.integer("fail_max", self.fail_max, "Leave it out for 5, or for rates alone")
            if self.fail_max >= _MANY_FAILURES:
                self._doubt(
                    "fail_max",
                    "so many failures in a row, without one success, hardly ever happen",
                    "A failure_rate opens earlier",
                )
        limit = self.fail_max or (None if rates else DEFAULT_FAIL_MAX)
        self._keep(rated=bool(rates), effective_fail_max=limit)
        self._keep(slow_after=slow_after, measures_duration=slow_after < math.inf)
        self._check_window()

    def _check_window(self) -> None:
        if not isinstance(self.window, CountWindow | TimeWindow):
            remedy = "Write CountWindow(100) or TimeWindow(60)"
            raise validation.not_allowed(
                "window", self.window, "a CountWindow or a TimeWindow", remedy
            )
        size = self.window.calls if isinstance(self.window, CountWindow) else math.inf
        least = self.minimum_calls
        if least is not None:
            least = validation.integer("minimum_calls", least, "Leave it out for 10")
            if least > size:
                allowed = f"{size} at most, as {self.window} holds no more"
                raise validation.not_allowed(
                    "minimum_calls", least, allowed, "No rate would ever be judged"
                )
        if not self.rated:
            for name, default in (("window", DEFAULT_WINDOW), ("minimum_calls", None)):
                if (value := getattr(self, name)) != default:
                    remedy = "Give failure_rate or slow_call_rate too, or leave it out"
                    raise validation.has_no_effect(name, value, "only a rate looks at it", remedy)
        self._keep(effective_minimum_calls=least or min(DEFAULT_MINIMUM_CALLS, size))

    def _check_half_open(self) -> None:
        calls = validation.integer("half_open_calls", self.half_open_calls, "Leave it out for 1")
        self._keep(
            probes_to_judge=min(calls, self.effective_minimum_calls) if self.rated else calls,
            probe_timeout=validation.seconds("half_open_timeout", self.half_open_timeout),
        )

    def _check_open_time(self) -> None:
        is_given = self.timeout_duration is not None
        timeout = DEFAULT_TIMEOUT
        if self.timeout_duration is not None:
            timeout = validation.seconds("timeout_duration", self.timeout_duration)
        doubt = "the breaker would stay open for more than an hour"
        self._doubt_hours("timeout_duration", timeout, doubt)
        if timeout < _TENTH:
            self._doubt(
                "timeout_duration",
                "the breaker would let a call through more than ten times a second",
                "Durations are seconds; give the dependency some of them to recover",
            )
        backoff = 1.0 if is_given else DEFAULT_BACKOFF
        if self.backoff is not None:
            remedy = "2.0 doubles each open time"
            backoff = validation.number("backoff", self.backoff, 1.0, math.inf, remedy)
        jitter = 0.0 if is_given else DEFAULT_JITTER
        if self.jitter is not None:
            remedy = "0.1 takes up to a tenth off"
            jitter = validation.number("jitter", self.jitter, 0.0, 1.0, remedy)
        longest = max(timeout, LONGEST_GIVEN_TIMEOUT) if is_given else DEFAULT_LONGEST_TIMEOUT
        if self.max_timeout_duration is not None:
            longest = validation.seconds("max_timeout_duration", self.max_timeout_duration)
            if longest < timeout:
                least = repr(self.timeout_duration) if is_given else f"{timeout:g}, its default"
                allowed = f"no less than timeout_duration={least}"
                raise validation.not_allowed(
                    "max_timeout_duration", self.max_timeout_duration, allowed, "Raise it"
                )
        self._keep(timeout=timeout, effective_backoff=backoff, longest_timeout=longest)
        self._keep(effective_jitter=jitter, forced_retry=timeout if is_given else longest)

    def _check_ramp(self) -> None:
        ramp, aggression = 0.0, 1.0
        if self.ramp is not None:
            ramp = validation.seconds("ramp", self.ramp)
            doubt = "calls would be rejected for more than an hour after the probes succeeded"
            self._doubt_hours("ramp", ramp, doubt)
        if self.ramp_aggression is not None:
            if self.ramp is None:
                remedy = "Give ramp too, in seconds, or leave it out"
                why = "without a ramp all calls are admitted at once"
                raise validation.has_no_effect("ramp_aggression", self.ramp_aggression, why, remedy)
            remedy = "2.0 admits more calls early, 0.5 fewer"
            aggression = validation.number(
                "ramp_aggression", self.ramp_aggression, _TENTH, 10.0, remedy
            )
        self._keep(ramp_time=ramp, effective_ramp_aggression=aggression)

    def _check_stream(self) -> None:
        if self.stream not in ("head", "event", "end"):
            allowed = "'head', 'event' or 'end'"
            raise validation.not_allowed("stream", self.stream, allowed, "Leave it out for 'head'")
        idle, timeout = math.inf, self.stream_idle_timeout
        if timeout is not None:
            idle = validation.seconds("stream_idle_timeout", timeout)
            if self.stream == "head":
                why, remedy = "a stream that is judged by its head has no end", "Give stream='end'"
                raise validation.has_no_effect("stream_idle_timeout", timeout, why, remedy)
        self._keep(stream_idle=idle)

    def _check_texts(self) -> None:
        if self.owner is not None:
            remedy = 'Write owner="team-payments"'
            validation.line("owner", self.owner, LONGEST_OWNER, remedy)
        if self.runbook is not None:
            validation.web_address("runbook", self.runbook, LONGEST_RUNBOOK)
        if self.description is not None:
            remedy = "Longer texts belong to the page that runbook= leads to"
            validation.line("description", self.description, LONGEST_DESCRIPTION, remedy)

    def _check_judgement(self) -> None:
        exclude = validation.exclusions("exclude", self.exclude)
        ignore = validation.exclusions("ignore", self.ignore)
        failures = None if self.failures is None else validation.failures(self.failures)
        for setting, items, other, others, remedy in (
            ("exclude", exclude, "ignore", ignore, "A success, or nothing at all"),
            ("failures", failures or (), "ignore", ignore, "A failure, or nothing at all"),
            ("failures", failures or (), "exclude", exclude, "A failure, or a success"),
        ):
            for item in items:
                if item in others or _covers(others, item):
                    allowed = f"what {other} does not name too"
                    raise validation.not_allowed(setting, item, allowed, remedy)
        if self.is_failure is not None:
            validation.function("is_failure", self.is_failure)
        function = None if self.fallback is None else fallback_function_of(self.fallback)
        profile = resolve(self.profile)
        if profile is not None and failures is not None:
            why, remedy = "failures= says of all exceptions what they are", "Give one of them"
            raise validation.has_no_effect("profile", self.profile, why, remedy)
        judgement = Judgement(ignore, exclude, failures, profile)
        self._keep(exclude=exclude, ignore=ignore, failures=failures, fallback_function=function)
        self._keep(judgement=judgement)


def _covers(exclusions: Iterable[Exclusion], item: Exclusion) -> bool:
    return isinstance(item, type) and any(
        isinstance(kind, type) and issubclass(item, kind) for kind in exclusions
    )
