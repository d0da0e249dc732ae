"""The log of changes of one breaker: of all workers that open at the same time, one warns."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from breaker_asgi._core.state import OPEN
from breaker_asgi._core.transition_log import is_first_opening, log_change

if TYPE_CHECKING:
    from collections.abc import Iterator

    from breaker_asgi._core.generation import Generation
    from breaker_asgi.breaker import CircuitBreaker


class Numbered(Protocol):
    """A link, as far as the log needs it."""

    @property
    def breaker(self) -> CircuitBreaker | None: ...

    def number_of(self, generation: Generation) -> int | None: ...


class OpeningLog:
    """Logs changes, but an opening only once the store shows whether another worker was first.

    Used by the thread that announces changes, and by the fleet's thread.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[Generation, Generation]] = deque(maxlen=1)
        """The opening that is not logged yet."""

    def add(self, link: Numbered, before: Generation, after: Generation) -> None:
        """Log a change. An opening waits for `flush`, or for the next change."""
        if is_first_opening(after):
            self._waiting.append((before, after))
            return
        for was, opened in self._take():
            if after.transition.remote and opened is before and after.state is OPEN:
                before = was
            else:
                _log(link, was, opened)
        _log(link, before, after)

    def flush(self, link: Numbered) -> None:
        """Log the opening that waits: it holds in this process."""
        for before, after in self._take():
            _log(link, before, after)

    def forget(self) -> None:
        """Forget an opening that waits, in a child process: the parent logs it."""
        self._waiting.clear()

    def _take(self) -> Iterator[tuple[Generation, Generation]]:
        """Take the opening that waits, for one thread only."""
        with suppress(IndexError):
            yield self._waiting.pop()


def _log(link: Numbered, before: Generation, after: Generation) -> None:
    if (breaker := link.breaker) is not None:
        log_change(breaker.name, breaker.config, before, after, link.number_of(after))
