"""The warning at the start about readers that the application has not chosen."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from breaker_asgi._core.logs import log, one_line

if TYPE_CHECKING:
    from breaker_asgi.monitor.auth import Auth

_MESSAGE = (
    "the monitor at %s shows names and states of all breakers to every client, figures only to "
    "clients on this host (loopback, not through a proxy)%s. To open it: authorize=public for all, "
    "authorize=bearer(token), basic(user, password), Depends(...) or a function for some; to close "
    "it: authorize=nobody. From breaker_asgi.monitor import public, nobody, bearer, basic"
)
_OPERATORS = ", and everything to operators whom authorize_control allows"


class Announcement:
    """The warning of a monitor, which is logged once, and only without `authorize`."""

    def __init__(self, auth: Auth) -> None:
        self._is_due = auth.is_by_default
        self._operators = _OPERATORS if auth.has_controls else ""

    def make(self, path: str) -> None:
        """Log the warning, unless it was logged before."""
        if self._is_due:
            self._is_due = False
            log(logging.WARNING, _MESSAGE, one_line(path) or "/", self._operators)
