"""The listing: breakers as JSON, one or a page of them."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import asdict, fields
from datetime import UTC, datetime
from hashlib import blake2b
from math import ceil, isfinite
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeAlias

from breaker_asgi._core.config import BreakerConfig
from breaker_asgi._core.snapshot import BreakerSnapshot
from breaker_asgi._core.state import CircuitBreakerState
from breaker_asgi._core.windows import CountWindow
from breaker_asgi.monitor.event_log import Event, EventLog, name_of
from breaker_asgi.monitor.hints import hints
from breaker_asgi.monitor.query import Query, select
from breaker_asgi.monitor.reasons import without_limits
from breaker_asgi.monitor.traffic import as_rows
from breaker_asgi.monitor.workers import is_alone, store, workers
from breaker_asgi.registry import default_registry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from breaker_asgi._core.outage import Outage
    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.monitor.history import History
    from breaker_asgi.registry import BreakerRegistry

Json: TypeAlias = dict[str, Any]

VERSION = 1

_STARTED_AT = datetime.now(UTC)
_STATES = [state.value for state in CircuitBreakerState]
_FIELDS = [field.name for field in fields(BreakerSnapshot)]
_MOMENTS = ("changed_at", "last_failure_at")
_values_of = attrgetter(*_FIELDS)
_SETTINGS = [field.name for field in fields(BreakerConfig) if field.init]
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

    def page(
        self, query: Query | None, *, details: bool, controls: bool, history: bool = False
    ) -> Json:
        """Return a page of the list, each breaker with its last minute if `history` is true."""
        show = self.with_history if history else self.breaker
        labelled = [(self._registry.label_of(breaker), breaker) for breaker in self._registry]
        selected, following = select(labelled, query)
        return {
            **self.head(details=details, controls=controls),
            "breakers": [show(breaker, details=details) for breaker in selected],
            "next": following,
        }

    def head(self, *, details: bool, controls: bool) -> Json:
        """Return what the list and the stream begin with."""
        return {
            "version": VERSION,
            "now": now(),
            "worker": worker(),
            "store": self.store(details=details),
            "controls": controls,
            "details": details,
            "figures": True,
            "unlisted": 0 if self._registry is default_registry else len(default_registry),
            "summary": summary(self._registry),
        }

    def names(self, query: Query) -> Json:
        """Return a page of the list for readers without figures: names and states."""
        every = list(self._registry)
        labelled = [(self._registry.label_of(breaker), breaker) for breaker in every]
        selected, following = select(labelled, query)
        return {
            "version": VERSION,
            "now": now(),
            "figures": False,
            "details": False,
            "controls": False,
            "summary": summary(every),
            "breakers": [self._name(breaker) for breaker in selected],
            "next": following,
        }

    def _name(self, breaker: CircuitBreaker) -> Json:
        snapshot = breaker.snapshot(messages=False)
        wait = snapshot.retry_after
        return {
            "name": self._registry.label_of(breaker),
            "state": snapshot.state.value,
            "retry_after": None if wait is None else ceil(wait),
        }

    def store(self, *, details: bool) -> Json | None:
        """Return the store of the registry, if it has one."""
        return store(self._registry, details=details)

    def breaker(self, breaker: CircuitBreaker, *, details: bool) -> Json:
        """Return a breaker as the list shows it."""
        values = _values_of(breaker.snapshot(messages=details))
        content: Json = dict(zip(_FIELDS, values, strict=True))
        if not details:
            content["reason"] = without_limits(content["reason"])
        for moment in _MOMENTS:
            content[moment] = content[moment] and _text(content[moment])
        content["name"] = self._registry.label_of(breaker)
        content |= self._history.figures(breaker)
        rejected = content["rejected_per_second"]
        content["outage"] = outage_json(content["outage"], rejected, details=details)
        content["limits"] = _limits(breaker.config) if details else None
        content["alone"] = is_alone(breaker)
        content |= {name: getattr(breaker.config, name) for name in _ABOUT}
        return content

    def with_history(self, breaker: CircuitBreaker, *, details: bool) -> Json:
        """Return a breaker as the list shows it, with its last minute."""
        history = as_rows(self._history.seconds(breaker))
        return {**self.breaker(breaker, details=details), "history": history}

    def detail(self, breaker: CircuitBreaker, *, details: bool) -> Json:
        """Return all details of one breaker."""
        content = {"version": VERSION, "now": now(), "worker": worker()}
        content |= self.with_history(breaker, details=details)
        content["bars"] = [[*bar] for bar in self._history.bars(breaker, fleet=True)]
        content["percentiles"] = [[*second] for second in self._history.percentiles(breaker)]
        content["namesakes"] = self._namesakes(breaker)
        content["workers"] = workers(
            self._registry, breaker.name, content, os.getpid(), details=details
        )
        if details:
            content["settings"] = settings(breaker.config)
            content["hints"] = hints(breaker, self._event_log, self._history)
            content["failure_types"] = self._event_log.failure_types(breaker)
        return content

    def _namesakes(self, breaker: CircuitBreaker) -> dict[str, str]:
        """Return the states of the other living breakers of a name, by their labels."""
        return {
            self._registry.label_of(namesake): namesake.state.value
            for namesake in self._registry.all_named(breaker.name)
            if namesake is not breaker
        }


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


def outage_without_details(outage: Json) -> Json:
    return {**outage, "who": None, "reason": without_limits(outage["reason"])}


def summary(breakers: Iterable[CircuitBreaker]) -> dict[str, int]:
    """Count the breakers in each state."""
    counts = Counter(breaker.state.value for breaker in breakers)
    return {"total": counts.total(), **{state: counts[state] for state in _STATES}}


def worker() -> Json:
    """Return this process: each worker counts separately, and a request may reach any of them."""
    return {"pid": os.getpid(), "started_at": _text(_STARTED_AT)}


def now() -> str:
    """Return the present time."""
    return _text(datetime.now(UTC))


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


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


def outage_json(outage: Outage | None, rejected: float, *, details: bool) -> Json | None:
    """Return an outage, with the calls that are rejected per second while it lasts.

    Its author is a detail.
    """
    if outage is None:
        return None
    content = asdict(outage)
    for moment in ("began_at", "ended_at", "last_probe_at"):
        content[moment] = content[moment] and _text(content[moment])
    content["rejected_per_second"] = rejected if outage.ended_at is None else None
    return content if details else outage_without_details(content)


def _slow_after(config: BreakerConfig) -> float | None:
    return None if config.slow_call_duration is None else config.slow_after


def _limits(config: BreakerConfig) -> Json:
    return {
        "fail_max": config.effective_fail_max,
        "failure_rate": config.failure_rate,
        "slow_call_rate": config.slow_call_rate,
        "slow_call_duration": _slow_after(config),
    }


def settings(config: BreakerConfig) -> Json:
    """Return the settings in force: numbers in SI units; functions, types and others by name."""
    in_force = {name: _setting(getattr(config, name)) for name in _SETTINGS}
    window = config.window
    size = f"{window.calls} calls" if isinstance(window, CountWindow) else f"{window.seconds} s"
    return in_force | {
        "fail_max": config.effective_fail_max,
        "timeout_duration": config.timeout,
        "backoff": config.effective_backoff,
        "jitter": config.effective_jitter,
        "ramp": config.ramp_time or None,
        "ramp_aggression": config.effective_ramp_aggression if config.ramp_time else None,
        "slow_call_duration": _slow_after(config),
        "window": size if config.rated else None,
        "minimum_calls": config.effective_minimum_calls if config.rated else None,
        "half_open_timeout": config.probe_timeout,
        "max_timeout_duration": config.longest_timeout,
        "profile": config.judgement.profile and config.judgement.profile.name,
        "owner": config.owner,
        "runbook": config.runbook,
        "description": config.description,
        "stream": config.stream,
        "stream_idle_timeout": config.stream_idle if isfinite(config.stream_idle) else None,
    }


def _setting(value: Any) -> Any:
    if value is None or isinstance(value, int) or (isinstance(value, float) and isfinite(value)):
        return value
    if isinstance(value, tuple):
        return ", ".join(map(name_of, value)) or None
    return name_of(value)
