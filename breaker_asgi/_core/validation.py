"""Checks of single settings. Each returns the value to keep, or raises an error with a remedy."""

from __future__ import annotations

import inspect
import math
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from functools import partial, wraps
from typing import Any, ParamSpec, TypeGuard, TypeVar
from unicodedata import category
from urllib.parse import urlsplit

from breaker_asgi._core.errors import BreakerConfigError, BreakerConfigWarning

P = ParamSpec("P")
R = TypeVar("R")

_HUNDRED_YEARS = 100 * 365.25 * 86_400


def not_allowed(setting: str, value: object, allowed: str, remedy: str) -> BreakerConfigError:
    return BreakerConfigError(f"{setting}={value!r} is not allowed: give {allowed}. {remedy}.")


def has_no_effect(setting: str, value: object, why: str, remedy: str) -> BreakerConfigError:
    return BreakerConfigError(f"{setting}={value!r} has no effect: {why}. {remedy}.")


def no_effect(settings: dict[str, Any], names: Iterable[str], why: str, remedy: str) -> None:
    """Take settings out that have no effect; refuse one that was given nevertheless."""
    for name in names:
        value = settings.pop(name, None)
        if value:
            raise has_no_effect(name, value, why, remedy)


_without_warnings: ContextVar[bool] = ContextVar("without_warnings", default=False)


@contextmanager
def without_warnings() -> Iterator[None]:
    """Suppress warnings: the settings were checked before, and warned about then."""
    token = _without_warnings.set(True)
    try:
        yield
    finally:
        _without_warnings.reset(token)


def warn(setting: str, value: object, doubt: str, remedy: str) -> None:
    """Warn at the line that called into the package."""
    if _without_warnings.get():
        return
    depth, frame = 2, sys._getframe(1)
    while frame.f_back and str(frame.f_globals.get("__name__")).startswith("breaker_asgi."):
        depth, frame = depth + 1, frame.f_back
    warnings.warn(f"{setting}={value!r}: {doubt}. {remedy}.", BreakerConfigWarning, depth)


def integer(setting: str, value: object, remedy: str, most: float = math.inf) -> int:
    """Return a whole number from 1 to `most`."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        limit = "1 or more" if most == math.inf else f"from 1 to {most:,}"
        raise not_allowed(setting, value, f"a whole number, {limit}", remedy)
    return value


def number(setting: str, value: object, least: float, most: float, remedy: str) -> float:
    """Return a finite number from `least` to `most`."""
    if not (_is_number(value) and math.isfinite(value) and least <= value <= most):
        limit = f"{least} or more" if most == math.inf else f"from {least} to {most}"
        raise not_allowed(setting, value, f"a finite number, {limit}", remedy)
    return float(value)


def rate(setting: str, value: object) -> float:
    """Return a fraction above 0, up to 1."""
    if not _is_number(value) or not 0 < value <= 1:
        remedy = "Half of the calls is 0.5"
        if _is_number(value) and 1 < value <= 100:  # noqa: PLR2004
            remedy = f"For {value} % write {value / 100}"
        raise not_allowed(setting, value, "a fraction above 0 and up to 1, or None", remedy)
    return float(value)


def seconds(setting: str, value: object) -> float:
    """Return a duration above 0, of a hundred years at most: what a `datetime` can hold."""
    number = value.total_seconds() if isinstance(value, timedelta) else value
    if not _is_number(number) or not 0 < number < math.inf:
        remedy = "Write 1.5 or timedelta(seconds=1.5)"
        raise not_allowed(setting, value, "a finite duration above 0, in seconds", remedy)
    if number > _HUNDRED_YEARS:
        remedy = "force_open() rejects calls until it is undone"
        raise not_allowed(setting, value, "a hundred years at most", remedy)
    return float(number)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def boolean(setting: str, value: object) -> None:
    if not isinstance(value, bool):
        raise not_allowed(setting, value, "True or False", "Leave it out for False")


_OTHER_NAMES = {
    "failure_threshold": "fail_max",
    "failure_rate_threshold": "failure_rate",
    "slow_call_rate_threshold": "slow_call_rate",
    "slow_call_duration_threshold": "slow_call_duration",
    "reset_timeout": "timeout_duration",
    "recovery_timeout": "timeout_duration",
    "wait_duration_in_open_state": "timeout_duration",
    "max_wait_duration_in_half_open_state": "half_open_timeout",
    "permitted_number_of_calls_in_half_open_state": "half_open_calls",
    "success_threshold": "half_open_calls",
    "minimum_number_of_calls": "minimum_calls",
    "sliding_window_size": "window",
    "expected_exception": "failures",
    "record_exceptions": "failures",
    "ignore_exceptions": "exclude",
    "fallback_function": "fallback",
}
"""Names that pybreaker, circuitbreaker and resilience4j have for our settings."""

_OF_A_BREAKER = frozenset(
    [
        "fail_max",
        "timeout_duration",
        "exclude",
        "ignore",
        "failures",
        "profile",
        "is_failure",
        "failure_rate",
        "slow_call_rate",
        "slow_call_duration",
        "window",
        "minimum_calls",
        "half_open_calls",
        "half_open_timeout",
        "backoff",
        "max_timeout_duration",
        "jitter",
        "ramp",
        "ramp_aggression",
        "stream",
        "stream_idle_timeout",
        "fallback",
        "throw_new_error_on_trip",
        "keep_messages",
        "owner",
        "runbook",
        "description",
        "clock",
    ]
)


def known_settings(function: str, settings: Iterable[str], *, of_a_breaker: bool = True) -> None:
    """Refuse settings that `function` does not have, with a remedy."""
    for setting in settings:
        if of_a_breaker and setting in _OF_A_BREAKER:
            continue
        if setting in _OF_A_BREAKER:
            remedy = f"Write {function}(config=BreakerConfig({setting}=...))"
        elif setting in _OTHER_NAMES:
            remedy = f"It is called {_OTHER_NAMES[setting]} here"
        elif setting in {"state_storage", "storage"}:
            remedy = "State is shared by the store of a registry: default_registry.share(store)"
        else:
            remedy = "docs/reference.md lists all"
        raise TypeError(f"{function}() has no setting {setting!r}. {remedy}.")


def own_settings(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Refuse the settings that a function, called `name` in messages, does not have."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        own = inspect.signature(function).parameters

        @wraps(function)
        def checked(*args: P.args, **settings: P.kwargs) -> R:
            if not settings.keys() <= own.keys():
                known_settings(name, settings.keys() - own.keys(), of_a_breaker=False)
            return function(*args, **settings)

        return checked

    return decorate


def text(setting: str, value: object) -> str:
    if not isinstance(value, str):
        raise not_allowed(setting, value, "a string", f'Write {setting}="payments"')
    return value


def line(setting: str, value: object, longest: int, remedy: str) -> str:
    """Return a text of one line."""
    if not isinstance(value, str) or not 0 < len(value) <= longest or not _is_one_line(value):
        allowed = f"a text of one line, of {longest:,} characters at most"
        raise not_allowed(setting, value, allowed, remedy)
    return value


def _is_one_line(value: str) -> bool:
    """Return True unless a text has a line break, a control character or half a character."""
    return not any(category(character) in {"Cc", "Zl", "Zp", "Cs"} for character in value)


def web_address(setting: str, value: object, longest: int) -> str:
    """Return the address of a page. Readers of the monitor get it as a link."""
    remedy = f'Write {setting}="https://wiki.example.com/payments"'
    address = line(setting, value, longest, remedy)
    try:
        parts = urlsplit(address)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.hostname or " " in address:
        raise not_allowed(setting, value, "an address that begins with http:// or https://", remedy)
    if "@" in parts.netloc:
        raise not_allowed(setting, value, "an address without a user and a password", remedy)
    return address


def instance(setting: str, value: object, allowed: type, remedy: str) -> None:
    if not isinstance(value, allowed):
        raise not_allowed(setting, value, f"a {allowed.__name__}", remedy)


def listed(setting: str, value: object, what: str) -> tuple[Any, ...]:
    """Return what an argument lists; None lists nothing."""
    if value is None:
        return ()
    if not isinstance(value, Iterable) or isinstance(value, str | type):
        raise not_allowed(setting, value, f"several {what}", f"Write {setting}=[...]")
    return tuple(value)


def function(setting: str, value: object, *, asynchronous: bool = False) -> None:
    """Refuse what is not a function, or is `async` where its answer can't be awaited."""
    if not callable(value):
        raise not_allowed(
            setting, value, "a function", "Pass the function itself, without calling it"
        )
    if not asynchronous and is_async(value):
        remedy = "Nobody could await its answer, and a coroutine is always true"
        raise not_allowed(setting, value, "a plain function, not an async one", remedy)


def is_async(function: object) -> bool:
    """Return True if a call of `function` gives something to await, by its kind."""
    while isinstance(function, partial):
        function = function.func
    bodies = (function, type(function).__call__)
    return any(
        inspect.iscoroutinefunction(body) or inspect.isasyncgenfunction(body) for body in bodies
    )


def exclusions(setting: str, value: object) -> tuple[type[Exception] | Callable[..., Any], ...]:
    """Return exception types and predicates that are narrower than all exceptions."""
    items = listed(setting, value, "exception types or predicates")
    for item in items:
        name = f"an item of {setting}"
        if item in (Exception, BaseException):
            remedy = f"With {setting}=[Exception] nothing ever fails"
            raise not_allowed(name, item, "narrower types", remedy)
        exclusion(name, item)
    return items


def failures(value: object) -> tuple[type[Exception] | Callable[..., Any], ...]:
    """Return the exception types and predicates of what alone is a failure."""
    items = listed("failures", value, "exception types or predicates")
    if not items:
        remedy = "With an empty list nothing ever fails. Leave it out for every exception"
        raise not_allowed("failures", value, "at least one exception type or predicate", remedy)
    for item in items:
        exclusion("an item of failures", item)
    return items


def exclusion(name: str, item: object) -> None:
    """Refuse what is neither an exception type nor a plain predicate."""
    if not isinstance(item, type):
        if not callable(item):
            remedy = "Name the type, not an instance"
            raise not_allowed(name, item, "exception types or predicates", remedy)
        function(name, item)
    elif not issubclass(item, Exception):
        remedy = "What is not an Exception is always ignored"
        raise not_allowed(name, item, "subclasses of Exception", remedy)
