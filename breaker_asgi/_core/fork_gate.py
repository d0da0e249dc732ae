"""Work that no fork interrupts: a child would find the locks of its objects held for ever."""

from __future__ import annotations

from threading import get_ident
from time import monotonic, sleep

_LONGEST = 1.0
"""Seconds that a fork waits: work may hang."""
_PAUSE = 0.001


class ForkGate:
    """A gate between work and forks: any number of threads may work, or one of them forks.

    A fork waits for the work of other threads. Work that begins meanwhile waits for the fork, but
    for work within work: a handler may log, too.
    """

    def __init__(self) -> None:
        self._at_work: list[int] = []
        """The threads at work, once for each piece of it."""
        self._forking: set[int] = set()

    def __enter__(self) -> None:
        thread = get_ident()
        goes_on = thread in self._at_work
        self._at_work.append(thread)
        while not goes_on and self._forking - {thread}:
            self._at_work.remove(thread)
            sleep(_PAUSE)
            self._at_work.append(thread)

    def __exit__(self, *_: object) -> None:
        self._at_work.remove(get_ident())

    def before(self) -> None:
        """Wait for the work of other threads, for a second at most."""
        thread, until = get_ident(), monotonic() + _LONGEST
        self._forking.add(thread)
        while {*self._at_work} - {thread} and monotonic() < until:
            sleep(_PAUSE)

    def in_parent(self) -> None:
        """Let the others go on."""
        self._forking.discard(get_ident())

    def in_child(self) -> None:
        """Forget the threads of the parent."""
        thread = get_ident()
        self._at_work[:] = [at_work for at_work in self._at_work if at_work == thread]
        self._forking.clear()
