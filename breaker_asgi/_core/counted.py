"""Failures that were counted already: one that leaves two calls of one breaker counts once.

A breaker may be around itself: the same name on a route and on its client, or a function that
calls itself. What it has counted is noted at the exception or at the response, with its number: an
attribute of plain values, as exceptions are pickled, that says nothing in another process.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakKeyDictionary

from breaker_asgi._core import process
from breaker_asgi._core.outcome import FAILURE, Outcome
from breaker_asgi._core.rejections import causes, leaves

if TYPE_CHECKING:
    from collections.abc import Mapping


class Counting(Protocol):
    """A breaker, as far as its failures are noted."""

    failures: int

    @property
    def _note(self) -> str | None: ...

    def _make_note(self) -> str: ...

    def outcome_of(self, exception: BaseException) -> Outcome: ...


_responses: WeakKeyDictionary[object, dict[str, int]] = WeakKeyDictionary()


def note_response(breaker: Counting, response: object) -> None:
    """Note at a response that it is the failure that `breaker` has counted last."""
    with suppress(TypeError):  # it can't be a key: then what is raised because of it counts, too
        notes = _responses.setdefault(response, {})
        notes[breaker._note or breaker._make_note()] = process.offset + breaker.failures


def was_counted(breaker: Counting, exception: BaseException | None, failures: int) -> bool:
    """Return True if `exception` was counted by `breaker`, after its first `failures`.

    So was what it was raised from, and a group of which each failure was.
    """
    note = breaker._note
    if note is None or breaker.failures == failures:
        return False
    if isinstance(exception, BaseExceptionGroup):
        return all(
            was_counted(breaker, leaf, failures) or breaker.outcome_of(leaf) is not FAILURE
            for leaf in leaves(exception)
        )
    first = process.offset + failures
    return any(
        first < notes.get(note, 0) <= first + breaker.failures
        for cause in causes(exception)
        for notes in (cause.__dict__, _notes_of(getattr(cause, "response", None)))
    )


def _notes_of(response: Any) -> Mapping[str, int]:
    try:
        return _responses.get(response, {})
    except TypeError:
        return {}


def is_wrong_call(exception: BaseException) -> bool:
    """Return True if no code of the guarded function has run: its arguments did not fit."""
    trace = exception.__traceback__
    return isinstance(exception, TypeError) and (trace is None or trace.tb_next is None)
