"""Failures that were counted already: one that leaves two calls of one breaker counts once.

A breaker may be around itself: the same name on a route and on its client, or a function that
calls itself. What it has counted is noted at the exception or at the response, with its number.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakKeyDictionary

from breaker_asgi import forks
from breaker_asgi.outcome import FAILURE
from breaker_asgi.rejections import causes, leaves

if TYPE_CHECKING:
    from breaker_asgi.circuit import Circuit

_KEY = "__breaker_asgi__"

Note: TypeAlias = "tuple[int, int, int, Note | None]"
"""A breaker's id, the process, the number of the failure, and the note before.

Plain values, as exceptions are pickled: a note says nothing in another process.
"""

_responses: WeakKeyDictionary[object, Note] = WeakKeyDictionary()


def note(breaker: Circuit, exception: BaseException) -> None:
    """Note at an exception that it is the failure that `breaker` has counted last."""
    notes = exception.__dict__
    notes[_KEY] = (id(breaker), forks.process, breaker.failures, notes.get(_KEY))


def note_response(breaker: Circuit, response: object) -> None:
    """Note at a response that it is the failure that `breaker` has counted last."""
    with suppress(TypeError):  # it can't be a key: then what is raised because of it counts, too
        before = _responses.get(response)
        _responses[response] = (id(breaker), forks.process, breaker.failures, before)


def was_counted(breaker: Circuit, exception: BaseException | None, failures: int) -> bool:
    """Return True if `exception` was counted by `breaker`, after its first `failures`.

    So was what it was raised from, and a group of which each failure was.
    """
    if isinstance(exception, BaseExceptionGroup):
        return all(
            was_counted(breaker, leaf, failures) or breaker.outcome_of(leaf) is not FAILURE
            for leaf in leaves(exception)
        )
    return any(
        _is_noted(breaker, failures, cause.__dict__.get(_KEY))
        or _is_noted(breaker, failures, _note_of(getattr(cause, "response", None)))
        for cause in causes(exception)
    )


def _note_of(response: Any) -> Note | None:
    try:
        return None if response is None else _responses.get(response)
    except TypeError:
        return None


def _is_noted(breaker: Circuit, failures: int, note: Note | None) -> bool:
    while note is not None:
        key, process, number, note = note
        if key == id(breaker) and process == forks.process:
            return number > failures
    return False


def is_wrong_call(exception: BaseException) -> bool:
    """Return True if no code of the guarded function has run: its arguments did not fit."""
    trace = exception.__traceback__
    return isinstance(exception, TypeError) and (trace is None or trace.tb_next is None)
