"""Checks of single settings. Each gives the value as it is kept, or says how to mend it."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, TypeGuard

from breaker_asgi.errors import BreakerConfigError, BreakerConfigWarning


def wrong(setting: str, value: object, allowed: str, remedy: str) -> BreakerConfigError:
    return BreakerConfigError(f"{setting}={value!r} is not allowed: give {allowed}. {remedy}.")


def useless(setting: str, value: object, why: str, remedy: str) -> BreakerConfigError:
    return BreakerConfigError(f"{setting}={value!r} has no effect: {why}. {remedy}.")


def warn(setting: str, value: object, doubt: str, remedy: str) -> None:
    """Warn at the line that called into the package."""
    depth, frame = 2, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("breaker_asgi."):
        depth, frame = depth + 1, frame.f_back
    warnings.warn(f"{setting}={value!r}: {doubt}. {remedy}.", BreakerConfigWarning, depth)


def whole(setting: str, value: object, remedy: str, most: float = math.inf) -> int:
    """A whole number from 1 to `most`."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        limit = "1 or more" if most == math.inf else f"from 1 to {most:,}"
        raise wrong(setting, value, f"a whole number, {limit}", remedy)
    return value


def number(setting: str, value: object, least: float, most: float, remedy: str) -> float:
    """A finite number from `least` to `most`."""
    if not (_is_number(value) and math.isfinite(value) and least <= value <= most):
        limit = f"{least} or more" if most == math.inf else f"from {least} to {most}"
        raise wrong(setting, value, f"a finite number, {limit}", remedy)
    return float(value)


def rate(setting: str, value: object) -> float:
    """A fraction above 0, up to 1."""
    if not _is_number(value) or not 0 < value <= 1:
        remedy = "Half of the calls is 0.5"
        if _is_number(value) and 1 < value <= 100:  # noqa: PLR2004
            remedy = f"For {value} % write {value / 100}"
        raise wrong(setting, value, "a fraction above 0 and up to 1, or None", remedy)
    return float(value)


def seconds(setting: str, value: object) -> float:
    """A finite duration above 0."""
    given = value.total_seconds() if isinstance(value, timedelta) else value
    if not _is_number(given) or not 0 < given < math.inf:
        remedy = "Write 1.5 or timedelta(seconds=1.5)"
        raise wrong(setting, value, "a finite duration above 0, in seconds", remedy)
    return float(given)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def switch(setting: str, value: object) -> None:
    if not isinstance(value, bool):
        raise wrong(setting, value, "True or False", "Leave it out for False")


def text(setting: str, value: object) -> str:
    if not isinstance(value, str):
        raise wrong(setting, value, "a string", f'Write {setting}="payments"')
    return value


def kind(setting: str, value: object, allowed: type, remedy: str) -> None:
    if not isinstance(value, allowed):
        raise wrong(setting, value, f"a {allowed.__name__}", remedy)


def several(setting: str, value: object, what: str) -> tuple[Any, ...]:
    """What an argument lists; None lists nothing."""
    if value is None:
        return ()
    if not isinstance(value, Iterable) or isinstance(value, str | type):
        raise wrong(setting, value, f"several {what}", f"Write {setting}=[...]")
    return tuple(value)


def function(setting: str, value: object) -> None:
    if not callable(value):
        raise wrong(setting, value, "a function", "Pass the function itself, without calling it")


def exclusions(setting: str, value: object) -> tuple[type[Exception] | Callable[..., Any], ...]:
    """Exception types and predicates."""
    items = several(setting, value, "exception types or predicates")
    for item in items:
        exclusion(setting, item)
    return items


def exclusion(setting: str, item: object) -> None:
    """One exception type that is not all of them, or one predicate."""
    name = f"an item of {setting}"
    if item in (Exception, BaseException):
        raise wrong(name, item, "narrower types", f"With {setting}=[Exception] nothing ever fails")
    if isinstance(item, type):
        if not issubclass(item, Exception):
            raise wrong(
                name, item, "subclasses of Exception", "What is not an Exception is always ignored"
            )
    elif not callable(item):
        raise wrong(name, item, "exception types or predicates", "Name the type, not an instance")
