"""Judgement of a call by what it raised or returned."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeAlias

from breaker_asgi._core.outcome import FAILURE, IGNORED, SUCCESS, Outcome
from breaker_asgi._core.predicates import ask
from breaker_asgi._core.rejections import UNKNOWN, leaves, rejection_behind
from breaker_asgi._core.statuses import has_status_by_class, outcome_by_status

Exclusion: TypeAlias = type[Exception] | Callable[[Exception], object]
"""An item of `exclude` and `ignore`: an exception type, or a predicate of the exception."""


class ErrorRules(Protocol):
    """The rules of a profile."""

    name: str

    def judge(self, exception: Exception) -> Outcome | None: ...

    def outcome_of_status(self, status: int) -> Outcome | None: ...

    def rules_of(self, kind: type) -> tuple[object, ...]: ...


class Judgement:
    """The settings `ignore`, `exclude`, `failures` and `profile`, applied to exceptions.

    The first that names an exception decides, in this order. With `failures` all that it does not
    name is a success. Without it an HTTP status below 500 is a success, and the rest a failure.
    """

    __slots__ = (
        "_by_class",
        "exclude",
        "failures",
        "ignore",
        "profile",
    )

    def __init__(
        self,
        ignore: tuple[Exclusion, ...],
        exclude: tuple[Exclusion, ...],
        failures: tuple[Exclusion, ...] | None,
        profile: ErrorRules | None = None,
    ) -> None:
        self.ignore = ignore
        self.exclude = exclude
        self.failures = failures
        self.profile = profile
        self._by_class = all(
            isinstance(item, type) and type(item).__instancecheck__ is type.__instancecheck__
            for item in (*ignore, *exclude, *(failures or ()))
        )

    def outcome_of(
        self, exception: BaseException, before: BaseException | None = UNKNOWN
    ) -> Outcome:
        """Return the outcome of a call that raised `exception`.

        `before` is the exception that was being handled when the call began. Not an `Exception`
        (cancellation, `GeneratorExit`, `KeyboardInterrupt`, `SystemExit`) and a rejection are
        ignored; so is what was raised from a rejection. A group is what its leaves are.
        """
        if isinstance(exception, BaseExceptionGroup):
            return self._outcome_of_group(exception, before)
        if not isinstance(exception, Exception) or rejection_behind(exception, before):
            return IGNORED
        if isinstance(exception, StopIteration | StopAsyncIteration):
            return SUCCESS  # the end of an iterator whose `__next__` is guarded
        named = self._outcome_by_name(exception)
        if named is not None:
            return named
        by_status = outcome_by_status(exception)
        if by_status is not None:
            return by_status
        return FAILURE

    def names(self, exception: BaseException) -> bool:
        """Return True if `failures` is given, or the profile has rules for an exception's class."""
        profile = self.profile
        return self.failures is not None or bool(profile and profile.rules_of(type(exception)))

    def _outcome_by_name(self, exception: Exception) -> Outcome | None:
        if _is_one_of(exception, self.ignore):
            return IGNORED
        if _is_one_of(exception, self.exclude):
            return SUCCESS
        if self.failures is None:
            return None if self.profile is None else self.profile.judge(exception)
        return FAILURE if _is_one_of(exception, self.failures) else SUCCESS

    def _outcome_of_group(
        self, group: BaseExceptionGroup[BaseException], before: BaseException | None
    ) -> Outcome:
        if isinstance(group, tuple(item for item in self.ignore if isinstance(item, type))):
            return IGNORED
        if isinstance(group, tuple(item for item in self.exclude if isinstance(item, type))):
            return SUCCESS
        outcomes = {self.outcome_of(leaf, before) for leaf in leaves(group)}
        return next(outcome for outcome in (FAILURE, IGNORED, SUCCESS) if outcome in outcomes)

    def fails_by_class(self, kind: type) -> bool:
        """Return True if exceptions of a class are failures, whatever else they carry.

        Not those of a `TypeError`, which may be of a call that was never made; nor a group, which
        its leaves judge; nor those of a class that is made while the program runs, as the breaker
        would keep it alive.
        """
        if not self._by_class or self.failures is not None:
            return False
        if issubclass(kind, TypeError | BaseExceptionGroup):
            return False
        if self.profile is not None and self.profile.rules_of(kind):
            return False
        return not has_status_by_class(kind) and not _is_made_on_the_way(kind)


def _is_made_on_the_way(kind: type) -> bool:
    """Return True for a class that its module does not have, as boto3 makes for each session."""
    module = sys.modules.get(kind.__module__)
    return (
        module is not None
        and "." not in kind.__qualname__
        and (getattr(module, kind.__qualname__, None) is not kind)
    )


def outcome_of_result(is_failure: Callable[[Any], object] | None, result: object) -> Outcome:
    """Return the outcome of a call that returned `result`; a success if `is_failure` fails."""
    if is_failure is None or not ask(is_failure, "is_failure", None, result):
        return SUCCESS
    return FAILURE


def _is_one_of(exception: Exception, items: Iterable[Exclusion]) -> bool:
    for item in items:
        if isinstance(item, type):
            if isinstance(exception, item):
                return True
        elif ask(item, "exclude, ignore or failures", None, exception):
            return True
    return False
