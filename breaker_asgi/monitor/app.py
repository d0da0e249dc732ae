"""`CircuitBreakerMonitor`: the ASGI application, and the routing of its paths."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from breaker_asgi._core import validation
from breaker_asgi.asgi.headers import Headers, headers_of
from breaker_asgi.asgi.requests import route_path
from breaker_asgi.asgi.responses import HTML, JSON, PROBLEM_JSON, Response, wants_html
from breaker_asgi.monitor.audience import View
from breaker_asgi.monitor.auth import Auth, is_cross_site
from breaker_asgi.monitor.broadcaster import Broadcaster
from breaker_asgi.monitor.controls import ACTIONS, Body, change
from breaker_asgi.monitor.event_log import EventLog
from breaker_asgi.monitor.history import History
from breaker_asgi.monitor.html.page import PAGE_HEADERS, page, static
from breaker_asgi.monitor.listing import Listing, etag, worker
from breaker_asgi.monitor.log_listing import LogListing
from breaker_asgi.monitor.query import Query, WrongQueryError, parameters, quoted
from breaker_asgi.monitor.stream import EventStream
from breaker_asgi.registry import BreakerRegistry, default_registry

if TYPE_CHECKING:
    from breaker_asgi.asgi.types import ASGIApp, Receive, Scope, Send
    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.monitor.auth import Authorize, Rights

_NOT_KEPT: Headers = [(b"cache-control", b"no-store"), (b"vary", b"accept")]
_SAFE: Headers = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]
_READABLE = b"GET, HEAD"
_OF_THE_BODY = {b"content-type", b"content-length"}
_NOT_HERE = 1000
"""Close code for websockets: closing one before it is accepted makes the server answer 403."""


class CircuitBreakerMonitor:
    """An ASGI application that shows the breakers of a registry: as JSON, and as a page.

        app.mount("/breakers", CircuitBreakerMonitor())

    By default every client may read names, states and figures. `authorize`, a sync or async
    function of the request, decides if it may read, and shows settings and exception texts too.
    `authorize_control` decides if the request may change states by hand, and may return a name for
    the event log; without it, controls are off. A function that raises denies the request.

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
        self._event_log = EventLog.of(registry)
        self._history = History.of(registry)
        self._listing = Listing(registry, self._event_log, self._history)
        self._log = LogListing(registry, self._event_log, self._history)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": _NOT_HERE})
        if scope["type"] != "http":
            return
        self._history.start()
        try:
            response = await self._respond(scope, receive)
        except WrongQueryError as error:
            response = _problem(400, str(error))
        if isinstance(response, Response):
            response.headers += _SAFE
            _make_304_if_unchanged(response, scope)
        await response(scope, receive, send)

    async def _respond(self, scope: Scope, receive: Receive) -> ASGIApp:
        path, method = route_path(scope).removeprefix("/"), scope["method"]
        name, _, action = path.rpartition("/")
        if method == "POST" and action in ACTIONS and "/" in path:
            return await self._control(name, action, scope, receive)
        rights = await self._auth.to_read(scope, receive)
        if not rights.read:
            return _problem(403, "Reading was not authorized.")
        if method in {"GET", "HEAD"}:
            return self._read(path, rights, scope)
        return self._refuse(path, method)

    def _refuse(self, path: str, method: str) -> Response:
        """Respond to a method that the path does not allow."""
        name, _, action = path.rpartition("/")
        allowed = _READABLE
        if action in ACTIONS and self._find(name):
            allowed = b"GET, HEAD, POST"
        elif method == "POST" and path and not self._find(path):
            return _problem(404, f"Post to /NAME/ACTION, with an action of {', '.join(ACTIONS)}.")
        return _problem(405, f"Allowed: {allowed.decode()}.", [(b"allow", allowed)])

    def _find(self, name: str) -> CircuitBreaker | None:
        """Return the breaker with a label; a leading `~` is removed if needed.

        So a breaker whose name is one of the monitor's own paths has an address, too.
        """
        return self.registry.labelled(name) or self.registry.labelled(name.removeprefix("~"))

    # Reading

    def _read(self, path: str, rights: Rights, scope: Scope) -> ASGIApp:
        params = parameters(scope.get("query_string", b""))
        folder, _, file = path.removeprefix("-/").partition("/")
        if folder == "static" and (asset := static(file, params)) is not None:
            return asset
        if path in {"stream", "-/stream"}:
            return self._stream(params, rights, scope)
        if (response := self._read_log(path, params, rights)) is not None:
            return response
        breaker = self._find(path) if path else None
        if breaker is not None or not path:
            return self._list(breaker, params, rights, scope)
        return _problem(404, f"There is no breaker named {quoted(path)}.")

    def _list(
        self,
        breaker: CircuitBreaker | None,
        params: dict[str, list[str]],
        rights: Rights,
        scope: Scope,
    ) -> Response:
        """Return the list, or one breaker; for a browser the page, with that breaker opened."""
        details = rights.details
        detail = None if breaker is None else self._listing.detail(breaker, details=details)
        if not wants_html(scope) and detail is not None:
            return _json(detail)
        query = Query.of(params)
        listing = self._listing.page(query, details=details, controls=rights.control)
        if not wants_html(scope):
            return _json(listing)
        name = None if breaker is None else breaker.name
        if detail is not None:
            listing["detail"] = detail
        stories = self._log.latest(name, details=details)
        opened = None if detail is None else detail["name"]
        document = page(listing, stories, _base(scope), opened, params)
        return Response(200, HTML, document, [*_NOT_KEPT, *PAGE_HEADERS])

    def _read_log(self, path: str, params: dict[str, list[str]], rights: Rights) -> Response | None:
        """Return the events, the stories or the traffic; None for another path."""
        if path == "-/traffic":
            return self._traffic(params)
        if path in {"events", "-/events", "-/log"}:
            return self._entries(path.removeprefix("-/"), None, params, rights)
        name, _, last = path.rpartition("/")
        if last not in {"events", "log"} or self._find(path) is not None:
            return None
        breaker = self._find(name)
        return None if breaker is None else self._entries(last, breaker.name, params, rights)

    def _entries(
        self, log: str, name: str | None, params: dict[str, list[str]], rights: Rights
    ) -> Response:
        """Return the events, or the stories, of one breaker or of all."""
        read = self._log.log if log == "log" else self._log.events
        return _json(read(params, name, details=rights.details))

    def _traffic(self, params: dict[str, list[str]]) -> Response:
        name = params.get("name", [""])[-1]
        breaker = self._find(name) if name else None
        if name and breaker is None:
            return _problem(404, f"There is no breaker named {quoted(name)}.")
        return _json(self._log.traffic(breaker))

    def _stream(self, params: dict[str, list[str]], rights: Rights, scope: Scope) -> ASGIApp:
        view = View.of(params, details=rights.details, controls=rights.control)
        try:
            broadcaster = Broadcaster.of(self.registry)
        except RuntimeError:
            return _problem(503, "The stream needs an event loop of asyncio.")
        if broadcaster.is_full(view):
            return _problem(503, "There are too many streams already.", [(b"retry-after", b"10")])
        return EventStream(broadcaster, view, scope, _SAFE)

    # Controls

    async def _control(self, name: str, action: str, scope: Scope, receive: Receive) -> Response:
        if is_cross_site(scope):
            return _problem(403, "The request comes from another site.")
        if not self._auth.has_controls:
            return _problem(403, "Controls are off: authorize_control is not given.")
        body = Body(receive)
        rights = await self._auth.to_control(scope, body.receive)
        if not rights.control:
            return _problem(403, "Controlling was not authorized.")
        breaker = self._find(name)
        if breaker is None:
            return _problem(404, f"There is no breaker named {quoted(name)}.")
        if {"why", "for"} & parameters(scope.get("query_string", b"")).keys():
            raise WrongQueryError("Send why and for as a form, in the body: an address is logged.")
        apply = change(action, await body.form(scope))
        for namesake in self.registry.all_named(breaker.name):
            apply(namesake, who=rights.who)
        if wants_html(scope):
            location = f"{_base(scope)}/?worker={worker()['pid']}".encode()
            return Response(303, HTML, b"", [(b"location", location), *_NOT_KEPT])
        return _json(self._listing.detail(breaker, details=True), tagged=False)


def _base(scope: Scope) -> str:
    """Return the path of the monitor for links; it never names another origin."""
    root: str = scope.get("root_path", "").strip("/")
    return f"/{quote(root, errors='replace')}" if root else ""


def _json(content: dict[str, Any], *, tagged: bool = True) -> Response:
    """Make a JSON response, with an ETag unless the request changed a breaker."""
    more = [(b"etag", etag(content))] if tagged else []
    return Response(200, JSON, json.dumps(content).encode(), [*_NOT_KEPT, *more])


def _make_304_if_unchanged(response: Response, scope: Scope) -> None:
    """Make it a 304 if the client has this version, by its ETag (RFC 9110, 13.1.2)."""
    current = next((value for name, value in response.headers if name == b"etag"), None)
    values = [value for name, value in headers_of(scope) if name == b"if-none-match"]
    if current is None or not values:
        return
    candidates = {tag.strip().removeprefix(b"W/") for value in values for tag in value.split(b",")}
    if candidates & {current.removeprefix(b"W/"), b"*"}:
        response.status, response.body = 304, b""
        response.headers = [pair for pair in response.headers if pair[0] not in _OF_THE_BODY]


def _problem(status: int, detail: str, more: Headers | None = None) -> Response:
    problem = {"title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    body = json.dumps(problem).encode()
    return Response(status, PROBLEM_JSON, body, [*_NOT_KEPT, *(more or ())])
