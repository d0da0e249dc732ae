"""The mount of the monitor inside of the middleware."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breaker_asgi._core import validation
from breaker_asgi.asgi.requests import route_path
from breaker_asgi.monitor import CircuitBreakerMonitor
from breaker_asgi.monitor.history import History

if TYPE_CHECKING:
    from breaker_asgi.asgi.types import Scope
    from breaker_asgi.monitor.auth import Authorize
    from breaker_asgi.registry import BreakerRegistry


class MonitorMount:
    """The monitor, mounted at its path."""

    _NOWHERE = "\0"
    """A path that no request contains."""

    def __init__(
        self,
        path: str | None,
        registry: BreakerRegistry,
        authorize: Authorize | None,
        authorize_control: Authorize | None,
    ) -> None:
        self.path = MonitorMount._NOWHERE
        self._history: History | None = None
        if path is None:
            settings = {"authorize": authorize, "authorize_control": authorize_control}
            for setting, function in settings.items():
                if function is not None:
                    why, remedy = "monitor_path=None turns the monitor off", "Leave it out"
                    raise validation.has_no_effect(setting, function, why, remedy)
            return
        if not isinstance(path, str) or not path.startswith("/") or not path.strip("/"):
            remedy = 'Write monitor_path="/breakers"'
            raise validation.not_allowed("monitor_path", path, "a path, or None", remedy)
        self.path = path.rstrip("/")
        self.app = CircuitBreakerMonitor(
            registry=registry, authorize=authorize, authorize_control=authorize_control
        )
        self._history = History.of(registry)

    def scope(self, scope: Scope) -> Scope | None:
        """Return the monitor's scope of a request; None if it is for the application."""
        path = route_path(scope)
        if self._history is None or not f"{path}/".startswith(f"{self.path}/"):
            return None
        root = scope.get("root_path", "")
        return {**scope, "root_path": root + self.path, "path": root + path}

    def start(self) -> None:
        """Start the history, now that an event loop runs, and warn of open access."""
        if self._history is not None:
            self._history.start()
            self.app._announcement.make(self.path)
