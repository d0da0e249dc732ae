"""The logger `breaker_asgi` of the standard library, and what keeps its records safe to write."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

from breaker_asgi._core.fork_gate import ForkGate

logger = logging.getLogger("breaker_asgi")

writing = ForkGate()
"""A fork waits for the records that are being written: streams have locks of their own."""

_logged: WeakKeyDictionary[object, set[str]] = WeakKeyDictionary()


def log(
    level: int,
    message: str,
    *values: object,
    error: BaseException | None = None,
    fields: dict[str, Any] | None = None,
) -> None:
    """Log a message. What a handler, a filter or a record factory raises stays here."""
    with suppress(Exception), writing:
        try:
            logger.log(level, message, *values, exc_info=error, extra=fields, stacklevel=2)
        except KeyError:  # a record factory of the application has set such a field
            if fields:
                logger.log(level, message, *values, exc_info=error, stacklevel=2)


def log_once(culprit: object, event: str, error: BaseException, *during: object) -> None:
    """Log what a listener or predicate raised, the first time that it does in `event`.

    `during` has the exceptions that were passed to it, or were being handled: calls have raised
    them, and their texts may be secrets.
    """
    try:
        events = _logged.setdefault(culprit, set())
    except Exception:  # noqa: BLE001 - it can't be a key: its type stands for it
        events = _logged.setdefault(type(culprit), set())
    if event not in events:
        events.add(event)
        name = getattr(culprit, "__qualname__", type(culprit).__qualname__)
        shareable = _apart(error, [item for item in during if isinstance(item, BaseException)])
        log(logging.ERROR, "%s failed in %s; not logged again", name, event, error=shareable)


def log_doubt(culprit: object, message: str, *values: object) -> None:
    """Log a warning about an object, the first time that it has these values."""
    events = _logged.setdefault(culprit, set())
    text = message % values
    if text not in events:
        events.add(text)
        log(logging.WARNING, message, *values)


def _apart(error: BaseException, secrets: list[BaseException]) -> BaseException | None:
    """Take secrets out of the causes and contexts of `error`. Return None if one is left in it."""
    hidden = _chain(secrets).keys()
    for key, link in _chain([error]).items():
        if key not in hidden:
            if id(link.__cause__) in hidden:
                link.__cause__ = None
            if id(link.__context__) in hidden:
                link.__context__ = None
    return error if hidden.isdisjoint(_chain([error])) else None


def _chain(errors: list[BaseException]) -> dict[int, BaseException]:
    """Return exceptions, with all that they were raised from or during, or are groups of, by id."""
    chain: dict[int, BaseException] = {}
    unvisited = list(errors)
    while unvisited:
        error = unvisited.pop()
        if id(error) not in chain:
            chain[id(error)] = error
            parts = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
            links = (error.__cause__, error.__context__, *parts)
            unvisited.extend(link for link in links if link is not None)
    return chain


def one_line(text: str) -> str:
    """Escape a text from elsewhere, so that it can't look like another line of the log."""
    return "".join(
        character if character.isprintable() else repr(character)[1:-1] for character in text
    )
