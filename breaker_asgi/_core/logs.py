"""What the standard library's `breaker_asgi` logger is told: nothing that goes well.

That a breaker opens, or is taken out of service by hand, is a WARNING. The way back is INFO, and
so are the failed probes of an outage that goes on, and what another worker has changed. What fails
beside the calls, such as a listener, is an ERROR, once.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from breaker_asgi._core.state import CLOSED, FORCED_OPEN, HALF_OPEN, OPEN

if TYPE_CHECKING:
    from breaker_asgi._core.generation import Generation
    from breaker_asgi._core.state_machine import StateMachine

logger = logging.getLogger("breaker_asgi")

_logged: WeakKeyDictionary[object, set[str]] = WeakKeyDictionary()


def say(
    level: int,
    message: str,
    *values: object,
    error: BaseException | None = None,
    fields: dict[str, Any] | None = None,
) -> None:
    """Log something. What a handler, a filter or a record factory raises stays here."""
    with suppress(Exception):
        try:
            logger.log(level, message, *values, exc_info=error, extra=fields, stacklevel=2)
        except KeyError:  # somebody else's records have a field of such a name already
            if fields:
                logger.log(level, message, *values, exc_info=error, stacklevel=2)


def log_once(culprit: object, event: str, error: BaseException, *during: object) -> None:
    """Log what a listener or predicate raised, the first time that it does in `event`.

    `during` has the exceptions among it that it was told of, or that were being handled: calls
    have raised them, and what they say may be a secret.
    """
    try:
        events = _logged.setdefault(culprit, set())
    except Exception:  # noqa: BLE001 - it can't be a key: its type stands for it
        events = _logged.setdefault(type(culprit), set())
    if event not in events:
        events.add(event)
        name = getattr(culprit, "__qualname__", type(culprit).__qualname__)
        shown = _apart(error, [each for each in during if isinstance(each, BaseException)])
        say(logging.ERROR, "%s failed in %s; not logged again", name, event, error=shown)


def log_doubt(culprit: object, message: str, *values: object) -> None:
    """Log a warning about an object, the first time that it has these values."""
    events = _logged.setdefault(culprit, set())
    text = message % values
    if text not in events:
        events.add(text)
        say(logging.WARNING, message, *values)


def _apart(error: BaseException, secrets: list[BaseException]) -> BaseException | None:
    """`error`, no longer raised from or during one of these; None if there is one in it still."""
    hidden = {id(each) for each in _chain(secrets)}
    for each in _chain([error]):
        if id(each) not in hidden:
            if id(each.__cause__) in hidden:
                each.__cause__ = None
            if id(each.__context__) in hidden:
                each.__context__ = None
    return error if hidden.isdisjoint(map(id, _chain([error]))) else None


def _chain(errors: list[BaseException]) -> list[BaseException]:
    """These, and all that they were raised from or during, or are groups of."""
    chain = list(errors)
    known = {id(each) for each in chain}
    for each in chain:
        parts = each.exceptions if isinstance(each, BaseExceptionGroup) else ()
        for other in (each.__cause__, each.__context__, *parts):
            if other is not None and id(other) not in known:
                known.add(id(other))
                chain.append(other)
    return chain


def log_change(machine: StateMachine, before: Generation, after: Generation) -> None:
    """Log a change of state."""
    level = _level(after)
    if logger.isEnabledFor(level):
        say(
            level,
            "breaker %r: %s -> %s%s (%s%s)",
            machine.name,
            before.state.words,
            after.state.words,
            _how_long(after),
            one_line(after.reason),
            _by_whom(after),
            fields=_fields(machine, before, after),
        )


def is_first_opening(generation: Generation) -> bool:
    """Whether an outage begins: a breaker has opened by itself that was not open before."""
    change = generation.transition
    by_itself = not (change.by_hand or change.elsewhere)
    return change.state is OPEN and change.openings == 1 and by_itself


def _level(after: Generation) -> int:
    change = after.transition
    by_hand_here = change.by_hand and not change.elsewhere
    takes_out = by_hand_here and change.state not in {CLOSED, HALF_OPEN}
    return logging.WARNING if takes_out or is_first_opening(after) else logging.INFO


def _fields(machine: StateMachine, before: Generation, after: Generation) -> dict[str, Any]:
    """What formatters get as `extra`: plain values, the same keys in every record."""
    change, config, seen = after.transition, machine.config, after.seen
    rated = config.rated and seen.calls > 0
    return {
        "breaker": machine.name,
        "state_from": before.state.value,
        "state_to": after.state.value,
        "reason": after.reason,
        "open_for": _seconds_left(after) if after.state in {OPEN, FORCED_OPEN} else None,
        "calls": seen.calls,
        "failures": seen.failures,
        "slow_calls": seen.slow_calls,
        "failure_rate": seen.failures / seen.calls if rated else None,
        "slow_call_rate": seen.slow_calls / seen.calls if rated and config.times else None,
        "consecutive_failures": seen.streak,
        "changed_by": change.who,
        "elsewhere": change.elsewhere,
        "alone": change.alone,
        "generation": after.number,
    }


def _seconds_left(after: Generation) -> float | None:
    lasts = after.transition.lasts
    return None if lasts is None else round(max(0.0, lasts - after.transition.age), 3)


def _how_long(after: Generation) -> str:
    left = _seconds_left(after)
    return "" if left is None else f" for {left:g} s"


def _by_whom(after: Generation) -> str:
    change = after.transition
    by = "" if change.who is None else f"; by {one_line(change.who)}"
    if change.elsewhere:
        return f"{by}; in another worker"
    return f"{by}; in this worker only" if change.alone else by


def one_line(text: str) -> str:
    """A text that somebody gave, so that it can't look like another line of the log."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
