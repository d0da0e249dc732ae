"""`CircuitBreakerMonitor`: the ASGI application, and the routing of its paths."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breaker_asgi._core import validation
from breaker_asgi.asgi.requests import route_path
from breaker_asgi.asgi.responses import HTML, Response, wants_html
from breaker_asgi.monitor.announcement import Announcement
from breaker_asgi.monitor.answers import base_of, json_response, make_304_if_unchanged
from breaker_asgi.monitor.audience import View
from breaker_asgi.monitor.auth import Auth
from breaker_asgi.monitor.broadcaster import Broadcaster
from breaker_asgi.monitor.control_requests import ControlRequests
from breaker_asgi.monitor.controls import ACTIONS
from breaker_asgi.monitor.denial import DeniedError
from breaker_asgi.monitor.event_log import EventLog
from breaker_asgi.monitor.history import History
from breaker_asgi.monitor.html import pages
from breaker_asgi.monitor.html.assets import static
from breaker_asgi.monitor.html.page import PAGE_HEADERS, page
from breaker_asgi.monitor.html.wording import address
from breaker_asgi.monitor.listing import Listing
from breaker_asgi.monitor.log_listing import LogListing
from breaker_asgi.monitor.paths import OWN, find
from breaker_asgi.monitor.problems import NOT_KEPT, Problem, names_near
from breaker_asgi.monitor.publication import publish
from breaker_asgi.monitor.query import Query, WrongQueryError, parameters, quoted, worker_of
from breaker_asgi.monitor.stream import EventStream
from breaker_asgi.monitor.stream_limits import LimitedStream, TooManyStreamsError, take_place
from breaker_asgi.registry import BreakerRegistry, default_registry

if TYPE_CHECKING:
    from breaker_asgi.asgi.headers import Headers
    from breaker_asgi.asgi.types import ASGIApp, Receive, Scope, Send
    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.monitor.auth import Authorize, Rights
    from breaker_asgi.monitor.scope import Elsewhere
    from breaker_asgi.monitor.scope import Scope as Workers

_SAFE: Headers = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]
_READABLE = b"GET, HEAD"
_STRANGER = (
    "Only names and states are open to this request. Figures are for requests of the host itself "
    "(on loopback, not through a proxy), and for those that authorize or authorize_control allow."
)
_NOT_HERE = 1000
"""Close code for websockets: closing one before it is accepted makes the server answer 403."""


class CircuitBreakerMonitor:
    """An ASGI application that shows the breakers of a registry: as JSON, and as a page.

        app.mount("/breakers", CircuitBreakerMonitor())

    By default every client may read names and states, and clients on this host figures, too.
    `authorize`, a sync or async function of the request, decides if it may read, and shows settings
    and exception texts too. `authorize_control` decides if the request may change states by hand,
    and may return a name for the event log; without it, controls are off. A function that raises
    denies the request. Both may be FastAPI's `Depends(...)`, or ready-made: `public`, `nobody`,
    `this_host`, `bearer(token)` and `basic(user, password)` of `breaker_asgi.monitor`.

    Raises `BreakerConfigError` for a wrong setting.
    """

    def __init__(
        self,
        *,
        registry: BreakerRegistry = default_registry,
        authorize: Authorize | None = None,
        authorize_control: Authorize | None = None,
    ) -> None:
        validation.instance(
            "registry", registry, BreakerRegistry, "Leave it out for the default one"
        )
        self.registry = registry
        self._auth = Auth(authorize, authorize_control)
        self._announcement = Announcement(self._auth)
        self._event_log = EventLog.of(registry)
        self._history = History.of(registry)
        self._listing = Listing(registry, self._event_log, self._history)
        publish(registry, self._event_log, self._history)
        self._log = LogListing(registry, self._event_log, self._history)
        self._controls = ControlRequests(registry, self._auth, self._listing)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": _NOT_HERE})
        if scope["type"] != "http":
            return
        self._history.start()
        self._announcement.make(base_of(scope))
        try:
            response = await self._respond(scope, receive)
        except WrongQueryError as error:
            response = Problem(error.status, str(error))
        except DeniedError as error:
            response = Problem(error.status, str(error), error.headers)
        if isinstance(response, Problem) and wants_html(scope):
            response = response.as_page(base_of(scope), login=self._auth.has_login)
        if isinstance(response, Response):
            response.headers += _SAFE
            make_304_if_unchanged(response, scope)
        await response(scope, receive, send)

    async def _respond(self, scope: Scope, receive: Receive) -> ASGIApp:
        path, method = route_path(scope).removeprefix("/"), scope["method"]
        name, _, action = path.rpartition("/")
        if method == "POST" and action in ACTIONS:
            only = name if "/" in path else None
            return await self._controls.change(only, action, scope, receive)
        if not path and scope.get("query_string") == b"sign-in":
            await self._auth.to_control(scope, receive)
            return Response(303, HTML, b"", [(b"location", address(base_of(scope), "").encode())])
        rights = await self._auth.to_read(scope, receive)
        if method not in {"GET", "HEAD"}:
            return self._refuse(path, method)
        if not rights.figures:
            return self._list_for_stranger(path, scope)
        return self._read(path, rights, scope)

    def _refuse(self, path: str, method: str) -> Response:
        """Respond to a method that the path does not allow."""
        name, _, action = path.rpartition("/")
        allowed = _READABLE
        workers = self._listing.scope()
        if action in ACTIONS and find(workers, name):
            allowed = b"GET, HEAD, POST"
        elif method == "POST" and path and not find(workers, path):
            return Problem(404, f"Post to /NAME/ACTION, with an action of {', '.join(ACTIONS)}.")
        return Problem(405, f"Allowed: {allowed.decode()}.", [(b"allow", allowed)])

    # Reading

    def _read(self, path: str, rights: Rights, scope: Scope) -> ASGIApp:
        params = parameters(scope.get("query_string", b""))
        workers = self._listing.scope(worker_of(params), details=rights.details)
        listed = None
        if path:
            listed = find(workers, path)
        if listed is None and (own := self._read_own(path, params, rights, scope)) is not None:
            return own
        if listed is not None or not path:
            return self._list(listed, workers, params, rights, scope)
        name, _, log = path.rpartition("/")
        if log in {"events", "log"} and (breaker := find(workers, name)) is not None:
            return self._entries(log, breaker.name, params, rights)
        return self._unknown(path)

    def _read_own(
        self, path: str, params: dict[str, list[str]], rights: Rights, scope: Scope
    ) -> ASGIApp | None:
        """Return the answer at one of the monitor's own paths; their prefix may be missing."""
        folder, _, file = path.removeprefix(OWN).partition("/")
        if folder == "static":
            return static(file, params)
        if file:
            return None
        if folder == "stream":
            return self._stream(params, rights, scope)
        if folder == "events" or path == f"{OWN}log":
            return self._entries(folder, None, params, rights)
        return self._traffic(params, rights) if path == f"{OWN}traffic" else None

    def _unknown(self, path: str) -> Problem:
        labels = map(self.registry.label_of, self.registry)
        near = names_near(path.removesuffix("/events"), labels)
        return Problem(404, f"There is no breaker named {quoted(path)}.", near=near)

    def _list_for_stranger(self, path: str, scope: Scope) -> Response:
        if path:
            raise DeniedError(_STRANGER)
        params = parameters(scope.get("query_string", b""))
        listing = self._listing.names(Query.of(params))
        if not wants_html(scope):
            return json_response(listing)
        document = pages.stranger_page(listing, base_of(scope), params, login=self._auth.has_login)
        headers = [*NOT_KEPT, *pages.PAGE_HEADERS]
        return Response(200, HTML, document, headers + pages.RELOAD * ("still" not in params))

    def _list(
        self,
        breaker: CircuitBreaker | Elsewhere | None,
        workers: Workers,
        params: dict[str, list[str]],
        rights: Rights,
        scope: Scope,
    ) -> Response:
        """Return the list, or one breaker; for a browser the page, with that breaker opened."""
        details, detail = rights.details, None
        if breaker is not None:
            detail = self._listing.detail(breaker, workers, details=details)
        if not wants_html(scope) and detail is not None:
            return json_response(detail)
        query = Query.of(params)
        history = "history" in params
        listing = self._listing.page(
            query, details=details, controls=rights.control, history=history
        )
        if not wants_html(scope):
            return json_response(listing)
        name = None if breaker is None else breaker.name
        if detail is not None:
            listing["detail"] = detail
        stories = self._log.latest(name, details=details)
        opened = None if detail is None else detail["name"]
        document = page(listing, stories, base_of(scope), opened, params)
        return Response(200, HTML, document, [*NOT_KEPT, *PAGE_HEADERS])

    def _entries(
        self, log: str, name: str | None, params: dict[str, list[str]], rights: Rights
    ) -> Response:
        """Return the events, or the stories, of one breaker or of all."""
        read = self._log.log if log == "log" else self._log.events
        return json_response(read(params, name, details=rights.details))

    def _traffic(self, params: dict[str, list[str]], rights: Rights) -> Response:
        workers = self._listing.scope(worker_of(params), details=rights.details)
        name = params.get("name", [""])[-1]
        breaker = find(workers, name) if name else None
        if name and breaker is None:
            return self._unknown(name)
        return json_response(self._log.traffic(breaker, workers))

    def _stream(self, params: dict[str, list[str]], rights: Rights, scope: Scope) -> ASGIApp:
        view = View.of(params, details=rights.details, controls=rights.control)
        try:
            broadcaster = Broadcaster.of(self.registry)
        except RuntimeError:
            return Problem(503, "The stream needs an event loop of asyncio.")
        if broadcaster.is_full(view):
            return Problem(503, "There are too many filters already.", [(b"retry-after", b"10")])
        stream = EventStream(broadcaster, view, scope, _SAFE)
        if scope["method"] == "HEAD":
            return stream

        async def may_go_on(receive: Receive) -> bool:
            try:
                now = await self._auth.to_read(scope, receive)
            except DeniedError:
                return False
            return now._replace(who=None) == rights._replace(who=None)

        try:
            return LimitedStream(stream, take_place(scope), may_go_on)
        except TooManyStreamsError as error:
            return Problem(503, str(error), [(b"retry-after", b"10")])
