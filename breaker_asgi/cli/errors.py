"""The exit codes, and the error that ends a command."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """The exit codes, part of the interface."""

    DONE = 0
    OPEN = 1
    USAGE = 2
    NO_MONITOR = 3
    NOT_ALLOWED = 4
    NO_SUCH_BREAKER = 5


class CommandError(Exception):
    """A request that failed, with its answer; `remedy` is how to mend it."""

    def __init__(self, code: Exit, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.remedy = remedy
