"""The listing: breakers as JSON, one or a page of them."""

from __future__ import annotations

import json
import os
from dataclasses import fields
from datetime import UTC, datetime
from hashlib import blake2b
from math import ceil
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeAlias

from breaker_asgi._core.snapshot import BreakerSnapshot
from breaker_asgi.monitor.hints import hints
from breaker_asgi.monitor.moments import now, outage_json, outage_without_details, text_of
from breaker_asgi.monitor.parts import (
    Part,
    extra_of,
    following,
    merged_hints,
    merged_parts,
    published,
    summed_types,
)
from breaker_asgi.monitor.query import Query, select
from breaker_asgi.monitor.rates import rates_of, timed_of_last_minute
from breaker_asgi.monitor.reasons import without_limits
from breaker_asgi.monitor.scope import Elsewhere, Scope
from breaker_asgi.monitor.settings import limits, settings
from breaker_asgi.monitor.summary import count_states, summary
from breaker_asgi.monitor.traffic import as_rows
from breaker_asgi.monitor.workers import is_alone, store, total, workers
from breaker_asgi.registry import default_registry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.monitor.event_log import Event, EventLog
    from breaker_asgi.monitor.history import History
    from breaker_asgi.registry import BreakerRegistry

Json: TypeAlias = dict[str, Any]

VERSION = 1

_STARTED_AT = datetime.now(UTC)
_FIELDS = [field.name for field in fields(BreakerSnapshot)]
_MOMENTS = ("changed_at", "last_failure_at")
_values_of = attrgetter(*_FIELDS)
_ABOUT = ("owner", "runbook", "description")
_TIME_DEPENDENT = {
    "changed_at",
    "last_failure_at",
    "retry_after",
    "admitted_share",
    "now",
    "age",
}
"""Fields derived from the present time, which differ in each response."""
_PARTS = {"breakers", "workers"}


class Listing:
    """The JSON of a registry."""

    def __init__(self, registry: BreakerRegistry, event_log: EventLog, history: History) -> None:
        self._registry = registry
        self._event_log = event_log
        self._history = history

    def scope(self, worker: str | None = None, *, details: bool = True) -> Scope:
        """Return the scope of a response: all workers, or one. Raises `WrongQueryError`."""
        return Scope(self._registry, worker, details=details)

    def page(
        self, query: Query | None, *, details: bool, controls: bool, history: bool = False
    ) -> Json:
        """Return a page of the list; all of it without a query."""
        scope = self.scope(query and query.worker, details=details)
        show = self.with_history if history else self.breaker
        selected, following = select(scope.breakers(), query, scope.state)
        return {
            **self.head(scope, details=details, controls=controls),
            "breakers": [show(breaker, scope, details=details) for breaker in selected],
            "next": following,
        }

    def head(self, scope: Scope | None = None, *, details: bool, controls: bool) -> Json:
        """Return what the list and the stream begin with."""
        scope = scope or self.scope()
        return {
            "version": VERSION,
            "now": now(),
            "worker": worker(),
            "scope": {"worker": scope.worker},
            "store": self.store(details=details),
            "controls": controls,
            "details": details,
            "figures": True,
            "unlisted": 0 if self._registry is default_registry else len(default_registry),
            "summary": self.summary(scope),
        }

    def summary(
        self,
        scope: Scope | None = None,
        breakers: Mapping[str, CircuitBreaker | Elsewhere] | None = None,
    ) -> Json:
        """Return the summary of all breakers of a scope."""
        scope = scope or self.scope()
        breakers = scope.breakers() if breakers is None else breakers
        return summary(breakers, scope, self._history, self._registry)

    def names(self, query: Query) -> Json:
        """Return a page of the list for readers without figures: names and states."""
        scope = self.scope()
        every = {self._registry.label_of(breaker): breaker for breaker in self._registry}
        selected, following = select(every, query, scope.state)
        return {
            "version": VERSION,
            "now": now(),
            "figures": False,
            "details": False,
            "controls": False,
            "summary": count_states(every.values(), scope),
            "breakers": [self._name(breaker, scope) for breaker in selected],
            "next": following,
        }

    def _name(self, breaker: CircuitBreaker, scope: Scope) -> Json:
        wait = breaker.snapshot(messages=False).retry_after
        return {
            "name": self._registry.label_of(breaker),
            "state": scope.state(breaker),
            "retry_after": None if wait is None else ceil(wait),
        }

    def store(self, *, details: bool) -> Json | None:
        """Return the store of the registry, if it has one."""
        return store(self._registry, details=details)

    def breaker(
        self,
        breaker: CircuitBreaker | Elsewhere,
        scope: Scope | None = None,
        *,
        details: bool,
    ) -> Json:
        """Return a breaker as the list shows it, with the figures of the workers of a scope."""
        scope = scope or self.scope()
        here = None if isinstance(breaker, Elsewhere) else breaker
        parts = [published(*figures) for figures in scope.elsewhere(breaker)]
        if here is not None and scope.has_own:
            parts = [self._own(here, details=details, is_all=not parts), *parts]
        if (stand_in := scope.stand_in(breaker)) is not None:
            change = _snapshot_of(stand_in, details=details)
            parts = [following(part, change) for part in parts]
        content = merged_parts(parts, scope.states(breaker), here)
        content["name"] = breaker.name if here is None else self._registry.label_of(here)
        content["limits"] = here and limits(here.config)
        content |= {name: here and getattr(here.config, name) for name in _ABOUT}
        content["role"] = "route" if here in self._registry._of_routes else "dependency"
        return content if details else without_details(content)

    def _own(self, breaker: CircuitBreaker, *, details: bool, is_all: bool) -> Part:
        """Return the breaker in this worker, with what sums need unless this is all."""
        content = _snapshot_of(breaker, details=details) | self._history.figures(breaker)
        content["alone"] = is_alone(breaker)
        if is_all:
            return Part(content)
        return Part(
            content,
            rates_of(self._history, breaker),
            timed_of_last_minute(self._history, breaker),
            breaker._generation.counts(breaker.config.clock()),
        )

    def with_history(
        self,
        breaker: CircuitBreaker | Elsewhere,
        scope: Scope | None = None,
        *,
        details: bool,
    ) -> Json:
        """Return a breaker as the list shows it, with its last minute."""
        scope = scope or self.scope()
        fleet = scope.worker is None
        seconds = self._history.seconds(breaker, fleet=fleet) if fleet or scope.has_own else []
        return {**self.breaker(breaker, scope, details=details), "history": as_rows(seconds)}

    def detail(
        self,
        breaker: CircuitBreaker | Elsewhere,
        scope: Scope | None = None,
        *,
        details: bool,
    ) -> Json:
        """Return all details of one breaker."""
        scope = scope or self.scope()
        here = None if isinstance(breaker, Elsewhere) else breaker
        content = {"version": VERSION, "now": now(), "worker": worker()}
        content["scope"] = {"worker": scope.worker}
        content |= self.with_history(breaker, scope, details=details)
        content |= self._bars(breaker, scope)
        content["namesakes"] = {} if here is None else self._namesakes(here)
        content |= self._workers(breaker, details=details)
        if details:
            content["settings"] = None if here is None else settings(here.config)
            content |= self._judged(breaker, scope)
        return content

    def _bars(self, breaker: CircuitBreaker | Elsewhere, scope: Scope) -> Json:
        """Return the bars, and the percentiles, which are of this worker."""
        if not scope.has_own:
            return {"bars": [], "percentiles": []}
        bars = self._history.bars(breaker, fleet=scope.worker is None)
        percentiles = self._history.percentiles(breaker)
        return {
            "bars": [[*bar] for bar in bars],
            "percentiles": [[*second] for second in percentiles],
        }

    def _workers(self, breaker: CircuitBreaker | Elsewhere, *, details: bool) -> Json:
        """Return the table of all workers, and their sum, whatever the scope."""
        every = self.scope()
        if self._registry.fleet is None:
            return {"workers": [], "total": None}
        own = None
        if not isinstance(breaker, Elsewhere):
            own = self._own(breaker, details=False, is_all=True).content
        rows = workers(self._registry.fleet, own, every.named(breaker.name), details=details)
        return {"workers": rows, "total": total(self.breaker(breaker, every, details=False))}

    def _judged(self, breaker: CircuitBreaker | Elsewhere, scope: Scope) -> Json:
        """Return the hints and the failures by type in the workers of a scope."""
        extras = [extra_of(worker, breaker.name) for worker, _ in scope.elsewhere(breaker)]
        every_hint = [extra.hints for extra in extras]
        types = [extra.failure_types for extra in extras]
        if scope.has_own and not isinstance(breaker, Elsewhere):
            every_hint = [hints(breaker, self._event_log, self._history), *every_hint]
            types = [self._event_log.failure_types(breaker), *types]
        return {"hints": merged_hints(every_hint), "failure_types": summed_types(types)}

    def _namesakes(self, breaker: CircuitBreaker) -> dict[str, str]:
        """Return the states of the other living breakers of a name, by their labels."""
        return {
            self._registry.label_of(namesake): namesake.state.value
            for namesake in self._registry.all_named(breaker.name)
            if namesake is not breaker
        }


def _snapshot_of(breaker: CircuitBreaker, *, details: bool) -> Json:
    values = _values_of(breaker.snapshot(messages=details))
    content: Json = dict(zip(_FIELDS, values, strict=True))
    for moment in _MOMENTS:
        content[moment] = content[moment] and text_of(content[moment])
    content["outage"] = outage_json(content["outage"], 0.0, details=True)
    return content


def mask(event: Event, *, details: bool) -> Event:
    """Return an event or a story; without details, without author and limits in its reason."""
    if details or event["kind"] == "rejections":
        return event
    return {**event, "who": None, "reason": without_limits(event["reason"])}


def without_details(breaker: Json) -> Json:
    """Return a listed breaker without the fields that are details."""
    return {
        **breaker,
        "outage": breaker["outage"] and outage_without_details(breaker["outage"]),
        "reason": without_limits(breaker["reason"]),
        "limits": None,
        "last_failure_message": None,
    }


def worker() -> Json:
    """Return this process: each worker counts separately, and a request may reach any of them."""
    return {"pid": os.getpid(), "started_at": text_of(_STARTED_AT)}


def steady(content: Json) -> Json:
    """Return the fields of a response that do not change with time alone."""
    kept = {name: value for name, value in content.items() if name not in _TIME_DEPENDENT}
    for part in _PARTS & kept.keys():
        kept[part] = [steady(item) for item in kept[part]]
    return kept


def etag(content: Json) -> bytes:
    """Return a weak ETag: equal for responses that differ only in their time."""
    text = json.dumps(steady(content)).encode()
    return b'W/"%s"' % blake2b(text, digest_size=12).hexdigest().encode()
