"""The guards of paths that were requested of late: most requests need no routing of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from breaker_asgi.middleware.route_guard import RouteGuard

Place: TypeAlias = tuple[str | None, str | None, str | None]
"""The method, path and root path of a request, which decide its route."""
Routed: TypeAlias = "tuple[RouteGuard, object]"
"""The guard of a request, and the endpoint that the framework will choose."""

MOST = 1024
LONGEST = 256
"""Characters of a path that is remembered. A flood of long paths must not fill the memory."""


class RecentPaths(dict[Place, Routed]):
    """The guards of paths. There are few at a time: when it is full, it begins anew."""

    def remember(self, place: Place, routed: Routed) -> None:
        if len(place[1] or "") > LONGEST:
            return
        if len(self) >= MOST:
            self.clear()
        self[place] = routed
