"""Calls of the functions that users give to judge and to name."""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Any, TypeVar

from breaker_asgi._core.logs import log_once

if TYPE_CHECKING:
    from collections.abc import Callable

Default = TypeVar("Default")


def ask(function: Callable[..., Any], setting: str, default: Default, *args: Any) -> Any | Default:
    """Return what a user's function answers, or `default` if it raises.

    What it raises is logged once. An answer that would have to be awaited is always true, so it
    counts as raised.
    """
    during = sys.exception()  # a call's, whose text may be a secret
    try:
        answer = function(*args)
        if inspect.isawaitable(answer):
            if inspect.iscoroutine(answer):
                answer.close()
            raise TypeError(f"{setting} returned an awaitable; give a plain function")  # noqa: TRY301
        return answer  # noqa: TRY300
    except Exception as error:  # noqa: BLE001
        log_once(function, setting, error, during, *args)
    return default
