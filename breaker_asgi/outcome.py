"""What a call said of the dependency: three outcomes, and how they are told apart."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import TYPE_CHECKING

from breaker_asgi.errors import CircuitBreakerError
from breaker_asgi.log import log_once

if TYPE_CHECKING:
    from breaker_asgi.config import BreakerConfig, Exclusion


class Outcome(StrEnum):
    """What a call said about the health of what it called."""

    SUCCESS = "success"
    FAILURE = "failure"
    IGNORED = "ignored"
    """Nothing: cancelled, the client gone, rejected by another breaker."""


SUCCESS = Outcome.SUCCESS
FAILURE = Outcome.FAILURE
IGNORED = Outcome.IGNORED


def outcome_of_exception(config: BreakerConfig, exception: BaseException) -> Outcome:
    """What an exception says, by `exclude` and `ignore`.

    What is not an `Exception` says nothing (cancellation, `GeneratorExit`, `KeyboardInterrupt`,
    `SystemExit`), and nor does the rejection of another breaker.
    """
    if not isinstance(exception, Exception) or isinstance(exception, CircuitBreakerError):
        return IGNORED
    if _is_one_of(exception, config.ignored):
        return IGNORED
    if _is_one_of(exception, config.excluded):
        return SUCCESS
    if not config.has_predicates:
        config.failures.add(exception.__class__)
    return FAILURE


def outcome_of_result(config: BreakerConfig, result: object) -> Outcome:
    """What a result says, by `is_failure`; a success if that fails itself."""
    if config.is_failure is None:
        return SUCCESS
    try:
        return FAILURE if config.is_failure(result) else SUCCESS
    except Exception as raised:  # noqa: BLE001
        error = raised
    log_once(config.is_failure, "is_failure", error, sys.exception())  # by now the caller's, if any
    del error
    return SUCCESS


def _is_one_of(exception: Exception, exclusions: tuple[Exclusion, ...]) -> bool:
    for each in exclusions:
        if isinstance(each, type):
            if isinstance(exception, each):
                return True
        else:
            during = sys.exception()  # another one, where a permit is settled by hand
            try:
                if each(exception):
                    return True
            except Exception as error:  # noqa: BLE001
                log_once(each, "exclude or ignore", error, exception, during)
    return False
