"""The rejection that an exception was made of."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from breaker_asgi._core.errors import CircuitBreakerError

if TYPE_CHECKING:
    from collections.abc import Iterator

UNKNOWN = BaseException()
"""Stands for the exception that was being handled when a call began, where it was not recorded."""

_LONGEST_CHAIN = 100


def leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """Yield the exceptions of a group, and of the groups in it."""
    exceptions: list[BaseException] = [group]
    while exceptions:
        exception = exceptions.pop()
        if isinstance(exception, BaseExceptionGroup):
            exceptions.extend(reversed(exception.exceptions))
        else:
            yield exception


def rejection_behind(
    exception: BaseException | None,
    before: BaseException | None = UNKNOWN,
    _within: tuple[BaseException, ...] = (),
) -> CircuitBreakerError | None:
    """Return the rejection that `exception` is, or was raised from; None if there is none.

    Follows `__cause__`, and `__context__` unless it is suppressed: SDKs wrap what their transport
    raises several times. `raise ... from None` makes an exception something else. A group is
    a rejection if all its leaves are: the one with the longest `retry_after`.

    `before` is the exception that was being handled when the call began. What is raised then has it
    as its context, without having been made of it: the failure of a dependency that stands in for a
    rejected one is a failure.
    """
    for cause in causes(exception, before):
        if isinstance(cause, CircuitBreakerError):
            return cause
        if isinstance(cause, BaseExceptionGroup):
            if any(cause is group for group in _within):
                return None  # one of its leaves was raised again, while the group was handled
            return _longest(cause, before, (*_within, cause))
    return None


def causes(
    exception: BaseException | None, before: BaseException | None = UNKNOWN
) -> Iterator[BaseException]:
    """Yield an exception, and all that it was raised from since `before`."""
    for _ in range(_LONGEST_CHAIN):
        if exception is None:
            return
        yield exception
        cause = exception.__cause__
        if cause is None and not exception.__suppress_context__:
            cause = exception.__context__
            if cause is before or (before is UNKNOWN and cause and _is_being_handled(cause)):
                return
        exception = cause


def _longest(
    group: BaseExceptionGroup[BaseException],
    before: BaseException | None,
    within: tuple[BaseException, ...],
) -> CircuitBreakerError | None:
    rejections = [rejection_behind(leaf, before, within) for leaf in leaves(group)]
    present = [rejection for rejection in rejections if rejection is not None]
    if len(present) < len(rejections):
        return None
    return max(present, key=lambda rejection: rejection.retry_after)


def _is_being_handled(exception: BaseException) -> bool:
    """Return True if a caller of the running code has caught `exception`."""
    if exception.__traceback__ is None:
        return False
    catcher, frame = exception.__traceback__.tb_frame, sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        if frame is catcher:
            return True
    return False
