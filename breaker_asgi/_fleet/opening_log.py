"""The log of changes of one breaker: of all workers that open at the same time, one warns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from breaker_asgi._core.state import OPEN
from breaker_asgi._core.transition_log import is_first_opening, log_change

if TYPE_CHECKING:
    from breaker_asgi._core.generation import Generation
    from breaker_asgi.breaker import CircuitBreaker


class Numbered(Protocol):
    """A link, as far as the log needs it."""

    @property
    def breaker(self) -> CircuitBreaker | None: ...

    def number_of(self, generation: Generation) -> int | None: ...


class OpeningLog:
    """Logs changes, but an opening only once the store shows whether another worker was first."""

    def __init__(self) -> None:
        self._waiting: tuple[Generation, Generation] | None = None
        """An opening that is not logged yet."""

    def add(self, link: Numbered, before: Generation, after: Generation, *, waits: bool) -> None:
        """Log a change. An opening is logged later, if it `waits` for the store."""
        if is_first_opening(after) and waits:
            self._waiting = before, after
            return
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            was, opened = waiting
            if after.transition.remote and opened is before and after.state is OPEN:
                before = was
            else:
                _log(link, was, opened)
        _log(link, before, after)

    def flush(self, link: Numbered) -> None:
        """Log the opening that waits: it holds in this process."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            _log(link, *waiting)

    def forget(self) -> None:
        """Forget an opening that waits, in a child process: the parent logs it."""
        self._waiting = None


def _log(link: Numbered, before: Generation, after: Generation) -> None:
    if (breaker := link.breaker) is not None:
        log_change(breaker.name, breaker.config, before, after, link.number_of(after))
