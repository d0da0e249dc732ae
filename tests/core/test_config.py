"""Every setting: its default, the values it refuses, and the error messages."""

from __future__ import annotations

import gc
import math
import time
import warnings
import weakref
from dataclasses import fields
from datetime import timedelta
from typing import Any

import pytest

from breaker_asgi import (
    BreakerConfig,
    BreakerConfigError,
    BreakerConfigWarning,
    BreakerRegistry,
    CircuitBreaker,
    CircuitBreakerError,
    CountWindow,
    TimeWindow,
)
from breaker_asgi._core import validation
from breaker_asgi.testing import FakeClock


def even(error: Exception) -> bool:
    return True


def no_arguments() -> str:
    return "nothing"


class Named:
    """A value with a fixed text."""

    def __repr__(self) -> str:
        return "<Named>"


NAMED = Named()
WHOLE = "give a whole number, 1 or more."
FRACTION = "give a fraction above 0 and up to 1, or None."
DURATION = "give a finite duration above 0, in seconds. Write 1.5 or timedelta(seconds=1.5)."
FUNCTION = "give a function. Pass the function itself, without calling it."

WINDOW = "give a CountWindow or a TimeWindow. Write CountWindow(100) or TimeWindow(60)."
MINIMUM = "give 100 at most, as CountWindow(calls=100) holds no more. No rate would ever be judged."
BACKOFF = "give a finite number, 1.0 or more. 2.0 doubles each open time."
JITTER = "give a finite number, from 0.0 to 1.0. 0.1 takes up to a tenth off."
AGGRESSION = "give a finite number, from 0.1 to 10.0. 2.0 admits more calls early, 0.5 fewer."
LONGEST = "give no less than timeout_duration=1, its default. Raise it."
CALLS = "give a whole number, from 1 to 1,000,000. CountWindow(100) is usual."
SECONDS = "give a whole number, from 1 to 86,400. TimeWindow(60) is usual."
MANY = (
    "so many failures in a row, without one success, hardly ever happen. A failure_rate opens "
    "earlier."
)
LONG = "the breaker would stay open for more than an hour. Durations are seconds, not milliseconds."
RAMP = (
    "calls would be rejected for more than an hour after the probes succeeded. Durations are "
    "seconds, not milliseconds."
)
SHORT = (
    "the breaker would let a call through more than ten times a second. Durations are seconds; "
    "give the dependency some of them to recover."
)
FALLBACK = (
    "give a value, or a function of the error. Its first argument is the CircuitBreakerError."
)

COMPANIONS: dict[str, dict[str, Any]] = {
    "minimum_calls": {"failure_rate": 0.5},
    "window": {"failure_rate": 0.5},
    "slow_call_rate": {"slow_call_duration": 1},
    "slow_call_duration": {"slow_call_rate": 0.5},
    "ramp_aggression": {"ramp": 30},
}
"""Settings without which another one has no effect."""


# Defaults


def test_a_breaker_without_settings_trips_by_five_failures_in_a_row() -> None:
    assert BreakerConfig().effective_fail_max == 5


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("timeout_duration", None),
        ("exclude", ()),
        ("ignore", ()),
        ("is_failure", None),
        ("failure_rate", None),
        ("slow_call_rate", None),
        ("slow_call_duration", None),
        ("window", CountWindow(100)),
        ("half_open_calls", 1),
        ("half_open_timeout", 30),
        ("backoff", None),
        ("max_timeout_duration", None),
        ("jitter", None),
        ("ramp", None),
        ("ramp_aggression", None),
        ("fallback", None),
        ("throw_new_error_on_trip", False),
        ("keep_messages", False),
        ("owner", None),
        ("runbook", None),
        ("description", None),
        ("clock", time.monotonic),
    ],
)
def test_a_setting_has_its_documented_default(setting: str, value: object) -> None:
    assert getattr(BreakerConfig(), setting) == value
    assert getattr(CircuitBreaker().config, setting) == value


def test_the_windows_have_defaults() -> None:
    assert CountWindow() == CountWindow(100)
    assert TimeWindow() == TimeWindow(60)


@pytest.mark.parametrize("rate", ["failure_rate", "slow_call_rate"])
def test_a_rate_turns_the_default_of_fail_max_off(rate: str) -> None:
    settings: dict[str, Any] = {rate: 0.5} | COMPANIONS.get(rate, {})
    config = BreakerConfig(**settings)
    assert config.effective_fail_max is None
    assert CircuitBreaker.from_config(config).fail_max is None


def test_fail_max_and_a_rate_hold_together_if_both_are_given() -> None:
    assert BreakerConfig(fail_max=3, failure_rate=0.5).effective_fail_max == 3


@pytest.mark.parametrize(
    ("window", "calls"),
    [(CountWindow(100), 10), (CountWindow(4), 4), (TimeWindow(1), 10)],
)
def test_minimum_calls_is_ten_or_the_size_of_a_smaller_count_window(
    window: CountWindow | TimeWindow, calls: int
) -> None:
    assert BreakerConfig(failure_rate=0.5, window=window).effective_minimum_calls == calls


@pytest.mark.parametrize(("timeout", "longest"), [(5, 600), (600, 600), (1000, 1000)])
def test_the_longest_open_time_is_ten_minutes_or_a_longer_timeout(
    timeout: float, longest: float
) -> None:
    assert BreakerConfig(timeout_duration=timeout).longest_timeout == longest


@pytest.mark.parametrize(
    ("settings", "probes"),
    [
        ({}, 1),
        ({"half_open_calls": 20}, 20),
        ({"half_open_calls": 20, "failure_rate": 0.5}, 10),
        ({"half_open_calls": 20, "failure_rate": 0.5, "minimum_calls": 7}, 7),
        ({"half_open_calls": 5, "failure_rate": 0.5, "minimum_calls": 7}, 5),
    ],
)
def test_the_probes_that_decide_are_all_or_with_a_rate_those_that_it_needs(
    settings: dict[str, Any], probes: int
) -> None:
    assert BreakerConfig(**settings).probes_to_judge == probes


@pytest.mark.parametrize("setting", ["exclude", "ignore", "failures"])
def test_exceptions_are_kept_as_a_tuple_whatever_lists_them(setting: str) -> None:
    settings: dict[str, Any] = {setting: iter([KeyError, even])}
    assert getattr(BreakerConfig(**settings), setting) == (KeyError, even)


@pytest.mark.parametrize(
    ("settings", "measures"),
    [({}, False), ({"slow_call_rate": 0.5, "slow_call_duration": 3}, True)],
)
def test_durations_are_measured_where_a_call_may_be_slow(
    settings: dict[str, Any], *, measures: bool
) -> None:
    assert BreakerConfig(**settings).measures_duration is measures


@pytest.mark.parametrize("stream", ["event", "end"])
def test_a_stream_may_stall_without_limit_unless_one_is_given(stream: Any) -> None:
    assert BreakerConfig(stream=stream).stream_idle == math.inf
    assert BreakerConfig(stream=stream, stream_idle_timeout=5).stream_idle == 5


def test_a_rejected_call_without_a_fallback_raises() -> None:
    breaker = CircuitBreaker()
    breaker.open()
    with pytest.raises(CircuitBreakerError):
        breaker.call(len, "abc")


# Durations


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [
        ({"timeout_duration": timedelta(minutes=1.5)}, "timeout"),
        ({"half_open_timeout": timedelta(minutes=1.5)}, "probe_timeout"),
        ({"max_timeout_duration": timedelta(minutes=1.5)}, "longest_timeout"),
        ({"slow_call_rate": 1, "slow_call_duration": timedelta(minutes=1.5)}, "slow_after"),
        ({"ramp": timedelta(minutes=1.5)}, "ramp_time"),
    ],
)
def test_a_timedelta_equals_its_seconds(settings: dict[str, Any], seconds: str) -> None:
    assert getattr(BreakerConfig(**settings), seconds) == 90


@pytest.mark.parametrize("duration", [2, 2.0, timedelta(seconds=2)])
def test_a_breaker_stays_open_for_its_timeout_in_any_notation(duration: Any) -> None:
    clock = FakeClock()
    breaker = CircuitBreaker(timeout_duration=duration, clock=clock)
    breaker.open()
    assert breaker.snapshot().retry_after == 2


def test_a_time_window_takes_a_timedelta_of_whole_seconds() -> None:
    assert TimeWindow(timedelta(minutes=1)) == TimeWindow(60)
    assert TimeWindow(timedelta(minutes=1)).seconds == 60
    assert TimeWindow(timedelta(seconds=61)).seconds == 61


# Refused values


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("fail_max", 0, f"{WHOLE} Leave it out for 5, or for rates alone."),
        ("fail_max", -3, f"{WHOLE} Leave it out for 5, or for rates alone."),
        ("fail_max", 2.5, f"{WHOLE} Leave it out for 5, or for rates alone."),
        ("fail_max", "5", f"{WHOLE} Leave it out for 5, or for rates alone."),
        ("fail_max", True, f"{WHOLE} Leave it out for 5, or for rates alone."),
        ("timeout_duration", 0, DURATION),
        ("timeout_duration", -1.5, DURATION),
        ("timeout_duration", math.inf, DURATION),
        ("timeout_duration", math.nan, DURATION),
        ("timeout_duration", "60", DURATION),
        ("timeout_duration", True, DURATION),
        ("timeout_duration", timedelta(0), DURATION),
        ("timeout_duration", timedelta(seconds=-1), DURATION),
        ("half_open_timeout", 0, DURATION),
        ("half_open_timeout", None, DURATION),
        ("max_timeout_duration", 0, DURATION),
        ("max_timeout_duration", "600", DURATION),
        ("max_timeout_duration", 0.5, LONGEST),
        ("slow_call_duration", 0, DURATION),
        ("slow_call_duration", "2s", DURATION),
        ("failure_rate", 0, f"{FRACTION} Half of the calls is 0.5."),
        ("failure_rate", -0.5, f"{FRACTION} Half of the calls is 0.5."),
        ("failure_rate", math.nan, f"{FRACTION} Half of the calls is 0.5."),
        ("failure_rate", 101, f"{FRACTION} Half of the calls is 0.5."),
        ("failure_rate", "0.5", f"{FRACTION} Half of the calls is 0.5."),
        ("failure_rate", True, f"{FRACTION} Half of the calls is 0.5."),
        ("failure_rate", 50, f"{FRACTION} For 50 % write 0.5."),
        ("failure_rate", 100, f"{FRACTION} For 100 % write 1.0."),
        ("failure_rate", 1.5, f"{FRACTION} For 1.5 % write 0.015."),
        ("slow_call_rate", 0, f"{FRACTION} Half of the calls is 0.5."),
        ("slow_call_rate", 80, f"{FRACTION} For 80 % write 0.8."),
        ("window", 100, WINDOW),
        ("window", None, WINDOW),
        ("window", CountWindow, WINDOW),
        ("minimum_calls", 0, f"{WHOLE} Leave it out for 10."),
        ("minimum_calls", 1.5, f"{WHOLE} Leave it out for 10."),
        ("minimum_calls", 101, MINIMUM),
        ("half_open_calls", 0, f"{WHOLE} Leave it out for 1."),
        ("half_open_calls", None, f"{WHOLE} Leave it out for 1."),
        ("backoff", 0.5, BACKOFF),
        ("backoff", math.inf, BACKOFF),
        ("backoff", "2", BACKOFF),
        ("backoff", True, BACKOFF),
        ("jitter", -0.1, JITTER),
        ("jitter", 1.1, JITTER),
        ("jitter", math.nan, JITTER),
        ("jitter", "0.1", JITTER),
        ("ramp", 0, DURATION),
        ("ramp", "30", DURATION),
        ("ramp", True, DURATION),
        ("ramp_aggression", 0, AGGRESSION),
        ("ramp_aggression", 10.5, AGGRESSION),
        ("ramp_aggression", "2", AGGRESSION),
        ("exclude", ValueError, "give several exception types or predicates. Write exclude=[...]."),
        ("exclude", "abc", "give several exception types or predicates. Write exclude=[...]."),
        ("exclude", even, "give several exception types or predicates. Write exclude=[...]."),
        ("ignore", ValueError, "give several exception types or predicates. Write ignore=[...]."),
        ("ignore", 5, "give several exception types or predicates. Write ignore=[...]."),
        ("is_failure", NAMED, FUNCTION),
        ("is_failure", False, FUNCTION),
        ("clock", 0.0, FUNCTION),
        ("clock", None, FUNCTION),
        ("fallback", no_arguments, FALLBACK),
    ],
)
@pytest.mark.parametrize("construct", [BreakerConfig, CircuitBreaker])
def test_a_wrong_setting_is_refused_in_words(
    construct: Any, setting: str, value: object, message: str
) -> None:
    with pytest.raises(BreakerConfigError) as raised:
        construct(**{setting: value}, **COMPANIONS.get(setting, {}))
    assert str(raised.value) == f"{setting}={value!r} is not allowed: {message}"


OWNER = 'give a text of one line, of 100 characters at most. Write owner="team-payments".'
PAGE = 'Write runbook="https://wiki.example.com/payments".'
ADDRESS = f"give an address that begins with http:// or https://. {PAGE}"
LONG_DESCRIPTION = "Longer texts belong to the page that runbook= leads to."


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("owner", "", OWNER),
        ("owner", 7, OWNER),
        ("owner", "a\nb", OWNER),
        ("owner", "x" * 101, OWNER),
        (
            "description",
            "x" * 501,
            f"give a text of one line, of 500 characters at most. {LONG_DESCRIPTION}",
        ),
        ("runbook", "javascript:alert(1)", ADDRESS),
        ("runbook", "wiki/payments", ADDRESS),
        ("runbook", "https://", ADDRESS),
        ("runbook", "https://[", ADDRESS),
        ("runbook", "https://wiki.example.com/a b", ADDRESS),
        (
            "runbook",
            "https://wiki.example.com/\x1b",
            f"give a text of one line, of 2,000 characters at most. {PAGE}",
        ),
        (
            "runbook",
            "https://me:secret@wiki.example.com",
            f"give an address without a user and a password. {PAGE}",
        ),
    ],
)
def test_a_text_for_readers_of_the_monitor_is_refused_in_words(
    setting: str, value: Any, message: str
) -> None:
    with pytest.raises(BreakerConfigError) as raised:
        BreakerConfig(**{setting: value})
    assert str(raised.value) == f"{setting}={value!r} is not allowed: {message}"


@pytest.mark.parametrize(
    "settings",
    [
        {"owner": "team-payments"},
        {
            "owner": "x" * 100,
            "description": "Zahlungen \N{EM DASH} Z\N{LATIN SMALL LETTER U WITH DIAERESIS}rich",
        },
        {"runbook": "https://wiki.example.com:8443/payments?page=1#open"},
        {"runbook": "HTTP://wiki"},
    ],
)
def test_a_breaker_has_texts_for_readers_of_the_monitor(settings: dict[str, Any]) -> None:
    config = CircuitBreaker(**settings).config
    assert config.given() == settings


@pytest.mark.parametrize("setting", ["keep_messages", "throw_new_error_on_trip"])
def test_a_switch_that_is_neither_true_nor_false_is_refused_in_words(setting: str) -> None:
    with pytest.raises(BreakerConfigError) as raised:
        BreakerConfig(**{setting: "no"})  # type: ignore[arg-type]
    assert str(raised.value) == (
        f"{setting}='no' is not allowed: give True or False. Leave it out for False."
    )


@pytest.mark.parametrize("setting", ["exclude", "ignore"])
@pytest.mark.parametrize(
    ("item", "message"),
    [
        (Exception, "give narrower types. With {}=[Exception] nothing ever fails."),
        (BaseException, "give narrower types. With {}=[Exception] nothing ever fails."),
        (
            KeyboardInterrupt,
            "give subclasses of Exception. What is not an Exception is always ignored.",
        ),
        (int, "give subclasses of Exception. What is not an Exception is always ignored."),
        (NAMED, "give exception types or predicates. Name the type, not an instance."),
        (None, "give exception types or predicates. Name the type, not an instance."),
        ("ValueError", "give exception types or predicates. Name the type, not an instance."),
    ],
)
def test_a_wrong_item_of_exclude_or_ignore_is_refused_in_words(
    setting: str, item: object, message: str
) -> None:
    with pytest.raises(BreakerConfigError) as raised:
        CircuitBreaker(**{setting: [KeyError, item]})  # type: ignore[arg-type]
    expected = f"an item of {setting}={item!r} is not allowed: {message.format(setting)}"
    assert str(raised.value) == expected


def test_an_exception_that_is_both_excluded_and_ignored_is_refused() -> None:
    with pytest.raises(BreakerConfigError) as raised:
        CircuitBreaker(exclude=[KeyError, ValueError], ignore=[ValueError])
    assert str(raised.value) == (
        "exclude=<class 'ValueError'> is not allowed: give what ignore does not name too. "
        "A success, or nothing at all."
    )


def test_an_excluded_exception_that_ignore_covers_is_refused_as_it_has_no_effect() -> None:
    with pytest.raises(BreakerConfigError, match=r"exclude=.*ConnectionError"):
        CircuitBreaker(exclude=[ConnectionError], ignore=[OSError])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"failures": []},
            (
                "failures=[] is not allowed: give at least one exception type or predicate. With "
                "an empty list nothing ever fails. Leave it out for every exception."
            ),
        ),
        (
            {"failures": "ValueError"},
            (
                "failures='ValueError' is not allowed: give several exception types or predicates. "
                "Write failures=[...]."
            ),
        ),
        (
            {"failures": [KeyboardInterrupt]},
            (
                "an item of failures=<class 'KeyboardInterrupt'> is not allowed: give subclasses "
                "of Exception. What is not an Exception is always ignored."
            ),
        ),
        (
            {"failures": [ValueError], "exclude": [ValueError]},
            (
                "failures=<class 'ValueError'> is not allowed: give what exclude does not name "
                "too. A failure, or a success."
            ),
        ),
        (
            {"failures": [KeyError], "ignore": [LookupError]},
            (
                "failures=<class 'KeyError'> is not allowed: give what ignore does not name too. "
                "A failure, or nothing at all."
            ),
        ),
        (
            {"failures": [ValueError], "profile": "postgres"},
            (
                "profile='postgres' has no effect: failures= says of all exceptions what they are. "
                "Give one of them."
            ),
        ),
    ],
)
def test_failures_that_can_not_work_are_refused_in_words(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(BreakerConfigError) as raised:
        CircuitBreaker(**settings)
    assert str(raised.value) == message


def test_an_ignored_exception_that_exclude_covers_is_fine() -> None:
    breaker = CircuitBreaker(exclude=[OSError], ignore=[ConnectionError])
    assert breaker.outcome_of(ConnectionError()).value == "ignored"
    assert breaker.outcome_of(OSError()).value == "success"


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"slow_call_rate": 0.5}, "slow_call_rate=0.5, slow_call_duration=None"),
        ({"slow_call_duration": 2}, "slow_call_rate=None, slow_call_duration=2"),
    ],
)
def test_a_slow_call_rate_without_its_duration_is_refused_and_so_is_the_reverse(
    settings: dict[str, Any], named: str
) -> None:
    with pytest.raises(BreakerConfigError) as raised:
        CircuitBreaker(**settings)
    assert str(raised.value) == (
        f"{named}: one has no effect without the other. Give both: the share of calls that "
        "opens, and the seconds that make a call slow."
    )


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"window": CountWindow(10)}, "window=CountWindow(calls=10)"),
        ({"window": TimeWindow(10)}, "window=TimeWindow(seconds=10)"),
        ({"minimum_calls": 20}, "minimum_calls=20"),
        ({"minimum_calls": 20, "fail_max": 3}, "minimum_calls=20"),
    ],
)
def test_settings_of_rates_are_refused_without_a_rate(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(BreakerConfigError) as raised:
        CircuitBreaker(**settings)
    assert str(raised.value) == (
        f"{named} has no effect: only a rate looks at it. Give failure_rate or slow_call_rate "
        "too, or leave it out."
    )


def test_the_shape_of_a_ramp_is_refused_without_a_ramp() -> None:
    with pytest.raises(BreakerConfigError) as raised:
        CircuitBreaker(ramp_aggression=2)
    assert str(raised.value) == (
        "ramp_aggression=2 has no effect: without a ramp all calls are admitted at once. Give "
        "ramp too, in seconds, or leave it out."
    )


@pytest.mark.parametrize(
    ("window", "value", "message"),
    [
        (CountWindow, 0, CALLS),
        (CountWindow, 1_000_001, CALLS),
        (CountWindow, 1.5, CALLS),
        (CountWindow, True, CALLS),
        (CountWindow, None, CALLS),
        (TimeWindow, 0, SECONDS),
        (TimeWindow, 0.5, SECONDS),
        (TimeWindow, 86_401, SECONDS),
        (TimeWindow, timedelta(seconds=1.5), SECONDS),
        (TimeWindow, "60", SECONDS),
    ],
)
def test_a_wrong_window_is_refused_in_words(window: Any, value: object, message: str) -> None:
    with pytest.raises(BreakerConfigError) as raised:
        window(value)
    name = "CountWindow calls" if window is CountWindow else "TimeWindow seconds"
    assert str(raised.value) == f"{name}={value!r} is not allowed: {message}"


def test_a_time_window_of_more_than_a_day_is_refused_in_words() -> None:
    with pytest.raises(BreakerConfigError) as raised:
        TimeWindow(timedelta(days=2))
    assert str(raised.value) == f"TimeWindow seconds=172800 is not allowed: {SECONDS}"


def test_a_wrong_setting_is_a_value_error() -> None:
    assert issubclass(BreakerConfigError, ValueError)


def test_a_single_listener_is_refused_in_words() -> None:
    with pytest.raises(BreakerConfigError) as raised:
        CircuitBreaker(listeners=NAMED)  # type: ignore[arg-type]
    assert str(raised.value) == (
        "listeners=<Named> is not allowed: give several listeners. Write listeners=[...]."
    )


def test_a_name_that_is_no_text_is_refused_in_words() -> None:
    with pytest.raises(BreakerConfigError) as raised:
        CircuitBreaker(name=5)  # type: ignore[arg-type]
    assert str(raised.value) == 'name=5 is not allowed: give a string. Write name="payments".'


def test_the_largest_and_smallest_values_are_allowed() -> None:
    BreakerConfig(fail_max=1, timeout_duration=0.1, half_open_calls=1, jitter=1, backoff=1)
    BreakerConfig(failure_rate=1, window=CountWindow(1_000_000), minimum_calls=1_000_000)
    BreakerConfig(failure_rate=0.001, window=TimeWindow(86_400), minimum_calls=1_000_001)
    BreakerConfig(slow_call_rate=1, slow_call_duration=0.001, window=CountWindow(1))
    BreakerConfig(max_timeout_duration=60)
    BreakerConfig(max_timeout_duration=timedelta(days=36_525))
    BreakerConfig(fail_max=999, timeout_duration=3600)
    BreakerConfig(ramp=3600, ramp_aggression=0.1)
    BreakerConfig(ramp=0.001, ramp_aggression=10)


@pytest.mark.parametrize("nothing", [None, (), [], set()])
def test_an_empty_exclude_has_several_notations(nothing: Any) -> None:
    assert BreakerConfig(exclude=nothing, ignore=nothing) == BreakerConfig()


# Warnings


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("fail_max", 1000, MANY),
        ("timeout_duration", 3601, LONG),
        ("timeout_duration", timedelta(days=1), LONG),
        ("timeout_duration", 0.05, SHORT),
        ("ramp", 3601, RAMP),
        ("ramp", timedelta(days=1), RAMP),
    ],
)
@pytest.mark.parametrize("construct", [BreakerConfig, CircuitBreaker])
def test_a_doubtful_setting_warns_in_words(
    construct: Any, setting: str, value: object, message: str
) -> None:
    with pytest.warns(BreakerConfigWarning) as warned:
        construct(**{setting: value}, clock=FakeClock())
    assert [str(warning.message) for warning in warned] == [f"{setting}={value!r}: {message}"]


def test_a_config_is_doubtful_if_it_was_warned_about() -> None:
    with pytest.warns(BreakerConfigWarning):
        assert BreakerConfig(fail_max=1000).doubtful is True
    assert BreakerConfig(fail_max=999).doubtful is False


def test_a_warning_points_at_the_line_that_made_the_breaker() -> None:
    with pytest.warns(BreakerConfigWarning) as warned:
        CircuitBreaker(fail_max=2000)
    assert [warning.filename for warning in warned] == [__file__]


def test_a_warning_points_at_the_line_that_made_the_config() -> None:
    with pytest.warns(BreakerConfigWarning) as warned:
        BreakerConfig(fail_max=2000)
    assert [warning.filename for warning in warned] == [__file__]


def test_a_warning_points_at_the_line_that_set_a_setting() -> None:
    breaker = CircuitBreaker()
    with pytest.warns(BreakerConfigWarning) as warned:
        breaker.fail_max = 2000
    assert [warning.filename for warning in warned] == [__file__]


def test_a_second_breaker_with_a_doubtful_setting_warns_too() -> None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        CircuitBreaker(fail_max=3000)
        CircuitBreaker(fail_max=3000)
    assert len(warned) == 2


# Breakers and configs


def test_a_breaker_takes_the_names_and_order_of_its_ancestor() -> None:
    breaker = CircuitBreaker(3, timedelta(seconds=7), [KeyError], None, "payments")
    config = breaker.config
    assert (config.fail_max, config.timeout, config.exclude) == (3, 7, (KeyError,))
    assert (breaker.listeners, breaker.name) == ((), "payments")


def test_a_breaker_from_a_config_behaves_by_it() -> None:
    config = BreakerConfig(fail_max=1)
    breaker = CircuitBreaker.from_config(config, "payments")
    breaker.acquire().failure()
    assert breaker.config is config
    assert (breaker.name, breaker.state.value) == ("payments", "open")


def test_a_breaker_without_a_name_is_called_unnamed() -> None:
    assert CircuitBreaker().name == "unnamed"


def test_breakers_with_settings_that_have_no_hash_can_be_made() -> None:
    breaker = CircuitBreaker(exclude=[KeyError], fallback=[1, 2])
    assert breaker.config.exclude == (KeyError,)


def test_settings_that_are_equal_but_of_other_types_are_still_refused() -> None:
    CircuitBreaker(half_open_calls=1)
    with pytest.raises(BreakerConfigError):
        CircuitBreaker(half_open_calls=True)
    with pytest.raises(BreakerConfigError):
        CircuitBreaker(half_open_calls=1.0)  # type: ignore[arg-type]


def test_a_config_can_not_be_changed() -> None:
    with pytest.raises(AttributeError):
        BreakerConfig().fail_max = 3  # type: ignore[misc]


def test_replace_makes_another_config_with_the_changes() -> None:
    config = BreakerConfig(fail_max=3, timeout_duration=9)
    changed = config.replace(fail_max=4, exclude=[KeyError])
    assert changed == BreakerConfig(fail_max=4, timeout_duration=9, exclude=[KeyError])
    assert changed.exclude == (KeyError,)
    assert config.fail_max == 3


def test_replace_checks_the_settings_again() -> None:
    with pytest.raises(BreakerConfigError, match="fail_max=0"):
        BreakerConfig().replace(fail_max=0)


def test_replace_applies_the_defaults_again() -> None:
    config = BreakerConfig(failure_rate=0.5)
    assert config.replace(failure_rate=None).effective_fail_max == 5
    assert config.replace(window=CountWindow(3)).effective_minimum_calls == 3


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(TypeError, match="fail_maximum"):
        BreakerConfig().replace(fail_maximum=3)


def test_given_returns_the_settings_that_differ_from_their_defaults() -> None:
    config = BreakerConfig(fail_max=3, minimum_calls=None, exclude=[KeyError], jitter=0.1)
    assert config.given() == {"fail_max": 3, "exclude": (KeyError,), "jitter": 0.1}
    assert BreakerConfig().given() == {}


def test_the_settings_of_a_config_make_an_equal_one() -> None:
    config = BreakerConfig(failure_rate=0.5, window=TimeWindow(30), ignore=[even], backoff=2)
    assert BreakerConfig(**config.given()) == config


def test_configs_with_the_same_settings_are_equal_and_have_one_hash() -> None:
    first = BreakerConfig(exclude=[KeyError], window=TimeWindow(30), failure_rate=0.5)
    second = BreakerConfig(exclude=(KeyError,), window=TimeWindow(30), failure_rate=0.5)
    assert first == second
    assert len({first, second}) == 1
    assert first != second.replace(failure_rate=0.6)


def test_a_config_shows_its_settings_and_nothing_derived() -> None:
    text = repr(BreakerConfig(fail_max=3))
    assert text.startswith("BreakerConfig(fail_max=3, timeout_duration=None, ")
    assert "effective_fail_max" not in text


# Settings of a living breaker


def test_fail_max_can_be_set() -> None:
    breaker = CircuitBreaker()
    breaker.fail_max = 1
    breaker.acquire().failure()
    assert breaker.fail_max == 1
    assert breaker.state.value == "open"


def test_timeout_duration_can_be_set_for_the_next_opening() -> None:
    breaker = CircuitBreaker(clock=FakeClock())
    breaker.timeout_duration = 7
    assert breaker.timeout_duration == timedelta(seconds=7)
    breaker.open()
    assert breaker.snapshot().retry_after == 7


@pytest.mark.parametrize(
    ("setting", "value"),
    [("fail_max", 0), ("fail_max", "3"), ("timeout_duration", -1), ("timeout_duration", "9")],
)
def test_a_wrong_value_changes_nothing(setting: str, value: object) -> None:
    breaker = CircuitBreaker(fail_max=3, timeout_duration=9)
    before = breaker.config
    with pytest.raises(BreakerConfigError, match=f"{setting}="):
        setattr(breaker, setting, value)
    assert breaker.config is before


def test_a_wrong_exclusion_changes_nothing() -> None:
    breaker = CircuitBreaker(exclude=[KeyError])
    with pytest.raises(BreakerConfigError, match="an item of exclude"):
        breaker.add_excluded_exceptions(ValueError, Exception)
    assert breaker.excluded_exceptions == (KeyError,)


def test_a_setting_of_one_breaker_is_not_that_of_another_with_equal_settings() -> None:
    first, second = CircuitBreaker(fail_max=3), CircuitBreaker(fail_max=3)
    first.fail_max = 4
    first.add_excluded_exception(KeyError)
    assert (second.fail_max, second.excluded_exceptions) == (3, ())


def test_settings_do_not_keep_their_owner_alive() -> None:
    class Client:
        def __init__(self) -> None:
            self.breaker = CircuitBreaker(fallback=self.answer)

        def answer(self, error: CircuitBreakerError) -> str:
            return "later"

    client = Client()
    kept = weakref.ref(client)
    del client
    gc.collect()
    assert kept() is None


def test_every_setting_is_accepted_wherever_settings_are() -> None:
    settings = {field.name for field in fields(BreakerConfig) if field.init}
    assert settings == validation._OF_A_BREAKER


@pytest.mark.parametrize("stream", ["tail", None, [], 1])
def test_a_stream_is_judged_by_one_of_three(stream: Any) -> None:
    with pytest.raises(BreakerConfigError) as raised:
        BreakerConfig(stream=stream)
    assert str(raised.value) == (
        f"stream={stream!r} is not allowed: give 'head', 'event' or 'end'. Leave it out for 'head'."
    )


def test_a_stream_that_is_judged_by_its_head_can_not_stall() -> None:
    with pytest.raises(BreakerConfigError) as raised:
        BreakerConfig(stream_idle_timeout=5)
    assert str(raised.value) == (
        "stream_idle_timeout=5 has no effect: a stream that is judged by its head has no end. "
        "Give stream='end'."
    )


@pytest.mark.parametrize("idle", [0, -1, math.inf, "5"])
def test_an_idle_limit_is_a_duration(idle: Any) -> None:
    with pytest.raises(BreakerConfigError) as raised:
        BreakerConfig(stream="end", stream_idle_timeout=idle)
    assert str(raised.value) == f"stream_idle_timeout={idle!r} is not allowed: {DURATION}"


def test_a_setting_that_a_client_can_not_use_is_refused_where_it_is_given() -> None:
    settings = {"fallback": None, "name": "bank"}
    validation.no_effect(settings, ["fallback", "clock"], "a channel has none", "Leave it out")
    assert settings == {"name": "bank"}
    with pytest.raises(BreakerConfigError) as raised:
        validation.no_effect({"fallback": 1}, ["fallback"], "a channel has none", "Leave it out")
    assert str(raised.value) == "fallback=1 has no effect: a channel has none. Leave it out."


def test_a_function_refuses_the_settings_that_it_does_not_have() -> None:
    @validation.own_settings("shop")
    def sell(item: str, *, price: int = 1) -> tuple[str, int]:
        return item, price

    assert (sell("tea", price=2), sell(item="tea")) == (("tea", 2), ("tea", 1))
    settings: dict[str, Any] = {"fail_max": 3}
    with pytest.raises(TypeError) as raised:
        sell("tea", **settings)
    assert str(raised.value) == (
        "shop() has no setting 'fail_max'. Write shop(config=BreakerConfig(fail_max=...))."
    )


def test_a_registry_takes_no_other_config_than_a_breaker_config() -> None:
    config: Any = {"failure_rate": 0.3}
    with pytest.raises(BreakerConfigError) as raised:
        BreakerRegistry(config)
    assert str(raised.value) == (
        f"config={config} is not allowed: give a BreakerConfig. "
        "Write BreakerConfig(failure_rate=0.3)."
    )


def test_a_registry_warns_of_its_doubtful_config_once() -> None:
    with pytest.warns(BreakerConfigWarning) as warned:
        config = BreakerConfig(fail_max=2000)
    registry = BreakerRegistry(config)
    warned.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert registry.get("payments").config == config
