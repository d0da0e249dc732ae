"""Authorization of requests to the monitor: to read it, and to change breakers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from breaker_asgi.monitor.controls import one_line
from breaker_asgi.monitor.decisions import Authorize, Decision
from breaker_asgi.monitor.denial import DeniedError
from breaker_asgi.monitor.loopback import is_local

if TYPE_CHECKING:
    from breaker_asgi.asgi.types import Receive, Scope

__all__ = ["Auth", "Authorize", "Rights"]


class Rights(NamedTuple):
    """The rights of a request."""

    read: bool = False
    """True if it may see names and states."""
    figures: bool = False
    """True if it may see figures, reasons, events and the stream."""
    details: bool = False
    """True if it may see settings and limits, exception texts, and the authors of changes."""
    control: bool = False
    who: str | None = None
    """The operator's name, if `authorize_control` returns one."""


class Auth:
    """The two authorization functions.

    Without `authorize` all requests may read names and states, and those of this host figures.
    """

    def __init__(self, authorize: Authorize | None, authorize_control: Authorize | None) -> None:
        self._read = None if authorize is None else Decision("authorize", authorize)
        self._control = None
        if authorize_control is not None:
            self._control = Decision("authorize_control", authorize_control)

    @property
    def is_by_default(self) -> bool:
        """True if `authorize` is not set."""
        return self._read is None

    @property
    def has_controls(self) -> bool:
        """True if `authorize_control` is set."""
        return self._control is not None

    @property
    def has_login(self) -> bool:
        """True if a browser may ask an operator for a name and a password."""
        return self._control is not None and self._control.has_login

    async def to_read(self, scope: Scope, receive: Receive) -> Rights:
        """Return the rights of a request that reads. Raises `DeniedError`."""
        if self._read is not None:
            await self._read.allow(scope, receive, "Reading was not authorized.")
        if self._control is not None:
            try:
                return await self.to_control(scope, receive)
            except DeniedError:
                pass
        by_function = self._read is not None
        return Rights(read=True, figures=by_function or is_local(scope), details=by_function)

    async def to_control(self, scope: Scope, receive: Receive) -> Rights:
        """Return the rights of a request that changes a breaker. Raises `DeniedError`."""
        if self._control is None:
            raise DeniedError("Controls are off: authorize_control is not given.")
        allowed = await self._control.allow(scope, receive, "Controlling was not authorized.")
        who = (one_line(allowed) or None) if isinstance(allowed, str) else None
        return Rights(read=True, figures=True, details=True, control=True, who=who)
