"""Requests that change breakers: one by its name, or all that a form selects."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from breaker_asgi.asgi.responses import HTML, Response, wants_html
from breaker_asgi.monitor.answers import base_of, json_response
from breaker_asgi.monitor.browsers import is_cross_site, may_be_rebound
from breaker_asgi.monitor.controls import FIELDS, Body, change, selection
from breaker_asgi.monitor.listing import VERSION, Listing, worker
from breaker_asgi.monitor.paths import find
from breaker_asgi.monitor.problems import NOT_KEPT, Problem
from breaker_asgi.monitor.query import (
    NoSuchBreakerError,
    Query,
    WrongQueryError,
    parameters,
    quoted,
)
from breaker_asgi.monitor.scope import Elsewhere
from breaker_asgi.monitor.stand_ins import confirm, stand_ins

if TYPE_CHECKING:
    from collections.abc import Callable

    from breaker_asgi.asgi.types import Receive, Scope
    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.monitor.auth import Auth
    from breaker_asgi.monitor.scope import Scope as Workers
    from breaker_asgi.registry import BreakerRegistry

_REBOUND = (
    "A browser sent this to a host's name, without a cookie or a password. Open the page at the "
    "server's IP address or localhost, or have authorize_control need one of the two."
)


class ControlRequests:
    """The changes that operators make by requests."""

    def __init__(self, registry: BreakerRegistry, auth: Auth, listing: Listing) -> None:
        self._registry = registry
        self._auth = auth
        self._listing = listing

    async def change(
        self, name: str | None, action: str, scope: Scope, receive: Receive
    ) -> Response:
        """Change a breaker; without a name all those that the form selects."""
        if is_cross_site(scope):
            return Problem(403, "The request comes from another site.")
        if self._auth.has_controls and may_be_rebound(scope):
            return Problem(403, _REBOUND)
        body = Body(receive)
        rights = await self._auth.to_control(scope, body.receive)
        workers = self._listing.scope()
        named = None if name is None else _existing(name, workers)
        if parameters(scope.get("query_string", b"")).keys() & FIELDS:
            raise WrongQueryError("Send the fields as a form, in the body: an address is logged.")
        form = await body.form(scope)
        names = _selected(selection(form), workers) if named is None else {named.name}
        apply = change(action, form)
        changed = await self._changed(names, partial(apply, who=rights.who))
        if wants_html(scope):
            location = f"{base_of(scope)}/?by={worker()['pid']}".encode()
            return Response(303, HTML, b"", [(b"location", location), *NOT_KEPT])
        if named is not None:
            return json_response(self._listing.detail(named, workers, details=True), tagged=False)
        labels = sorted(map(self._registry.label_of, changed))
        return json_response(
            {"version": VERSION, "worker": worker(), "changed": labels}, tagged=False
        )

    async def _changed(
        self, names: set[str], apply: Callable[[CircuitBreaker], None]
    ) -> list[CircuitBreaker]:
        """Change all breakers of some names, those that only other workers have too; or none."""
        own = [breaker for breaker in self._registry if breaker.name in names]
        others = sorted(names - {breaker.name for breaker in own})
        changed = [*own, *await stand_ins(self._registry, others)]
        for breaker in changed:
            apply(breaker)
        await confirm(self._registry, others)
        return changed


def _existing(name: str, workers: Workers) -> CircuitBreaker | Elsewhere:
    breaker = find(workers, name)
    if breaker is None:
        raise NoSuchBreakerError(f"There is no breaker named {quoted(name)}.")
    return breaker


def _selected(query: Query, workers: Workers) -> set[str]:
    """Return the names of the breakers that a query selects, one or more.

    While the store does not work, those of other workers are not selected.
    """
    names = {
        breaker.name
        for label, breaker in workers.breakers().items()
        if query.fits(label, breaker.name, workers.state(breaker))
        and (workers.is_shared or not isinstance(breaker, Elsewhere))
    }
    if not names:
        raise NoSuchBreakerError("No breaker has such a name and state.")
    return names
