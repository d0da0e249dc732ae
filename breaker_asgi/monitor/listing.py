"""Breakers as JSON: one of them, a list of them, and what has happened to them."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from dataclasses import fields
from datetime import UTC, datetime
from fnmatch import translate
from hashlib import blake2b
from math import isfinite
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias
from urllib.parse import parse_qs

from breaker_asgi._core.config import BreakerConfig
from breaker_asgi._core.snapshot import BreakerSnapshot
from breaker_asgi._core.state import CircuitBreakerState
from breaker_asgi._core.windows import CountWindow
from breaker_asgi.monitor.event_log import KEPT, Event, Journal, merged, name_of
from breaker_asgi.monitor.hints import hints
from breaker_asgi.monitor.history import History, shown
from breaker_asgi.monitor.workers import is_alone, store, workers
from breaker_asgi.registry import default_registry

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.registry import BreakerRegistry

Json: TypeAlias = dict[str, Any]

VERSION = 1
MOST = 1_000
"""Breakers on one page, and events in one answer."""

_LONGEST_QUERY = 65_536
_MOST_PARAMETERS = 1_000
_LONGEST_PATTERNS = 1_000
_QUOTED = 200
_STARTED_AT = datetime.now(UTC)
_NEWEST = 100
_STATES = [state.value for state in CircuitBreakerState]
_FIELDS = [field.name for field in fields(BreakerSnapshot)]
_MOMENTS = ("changed_at", "last_failure_at")
_values_of = attrgetter(*_FIELDS)
_SETTINGS = [field.name for field in fields(BreakerConfig) if field.init]
_RECKONED = {"changed_at", "last_failure_at", "retry_after", "now", "age"}
"""Reckoned from the present time, and so never the same twice."""
_PARTS = {"breakers", "workers"}


class WrongQueryError(ValueError):
    """A parameter has a value that is not allowed."""


class Query(NamedTuple):
    """Which breakers are asked for."""

    states: frozenset[str] = frozenset()
    names: re.Pattern[str] | None = None
    limit: int = MOST
    after: str | None = None

    @classmethod
    def of(cls, given: dict[str, list[str]]) -> Query:
        """By the parameters of a request. Raises `WrongQueryError`."""
        states = frozenset(given.get("state", ()))
        for state in states.difference(_STATES):
            allowed = ", ".join(_STATES)
            raise WrongQueryError(f"state={quoted(state)} is not allowed: give {allowed}.")
        after = given.get("after", [None])[-1]
        names = [*filter(None, given.get("name", ()))]  # a form sends its field empty
        return cls(states, _names(names), limit_of(given, MOST), after)

    def fits(self, label: str, breaker: CircuitBreaker) -> bool:
        """Return True if a breaker belongs to the list, on whichever page.

        One of several of a name is found by that and by its label.
        """
        if self.states and breaker.state not in self.states:
            return False
        return self.names is None or any(map(self.names.match, (label, breaker.name)))


def parameters(query_string: bytes) -> dict[str, list[str]]:
    """The parameters of a request or of a form, by name. Raises `WrongQueryError`."""
    if len(query_string) > _LONGEST_QUERY:
        raise WrongQueryError(f"The query is longer than {_LONGEST_QUERY:,} bytes.")
    text = query_string.decode(errors="replace")
    try:
        return parse_qs(text, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        raise WrongQueryError(f"There are more than {_MOST_PARAMETERS:,} parameters.") from None


def quoted(text: str) -> str:
    """What a client has sent, as an answer shows it: short, and nothing in it steers anything."""
    return ascii(text if len(text) <= _QUOTED else text[:_QUOTED] + "...")


def _names(patterns: Sequence[str]) -> re.Pattern[str] | None:
    """One for all. Not `fnmatchcase`: it would keep 32,768 patterns of whoever has sent them."""
    if not patterns:
        return None
    if sum(map(len, patterns)) > _LONGEST_PATTERNS:
        raise WrongQueryError(f"Names are longer than {_LONGEST_PATTERNS:,} characters together.")
    return re.compile("|".join(map(translate, patterns)))


def limit_of(given: dict[str, list[str]], default: int = _NEWEST) -> int:
    """How many are asked for at most. Raises `WrongQueryError`."""
    text = given.get("limit", [str(default)])[-1]
    if not (text.isascii() and text.isdigit() and len(text) < 5 and 1 <= int(text) <= MOST):  # noqa: PLR2004
        raise WrongQueryError(
            f"limit={quoted(text)} is not allowed: give a number from 1 to {MOST}."
        )
    return int(text)


class Listing:
    """What there is to say of a registry."""

    def __init__(self, registry: BreakerRegistry, journal: Journal, history: History) -> None:
        self._registry = registry
        self._journal = journal
        self._history = history

    def page(
        self, query: Query | None, *, details: bool, controls: bool, history: bool = False
    ) -> Json:
        """A page of the list; without a query, all of it."""
        every = list(self._registry)
        show = self.with_history if history else self.breaker
        labelled = [(self._registry.label_of(breaker), breaker) for breaker in every]
        found, following = _select(labelled, query)
        return {
            "version": VERSION,
            "now": now(),
            "worker": worker(),
            "store": self.store(details=details),
            "controls": controls,
            "details": details,
            "unlisted": 0 if self._registry is default_registry else len(default_registry),
            "summary": summary(every),
            "breakers": [show(each, details=details) for each in found],
            "next": following,
        }

    def store(self, *, details: bool) -> Json | None:
        """The store of the registry, if it has one."""
        return store(self._registry, details=details)

    def breaker(self, breaker: CircuitBreaker, *, details: bool) -> Json:
        """A breaker as the list shows it."""
        values = _values_of(breaker.snapshot(messages=details))
        told: Json = dict(zip(_FIELDS, values, strict=True))
        for moment in _MOMENTS:
            told[moment] = told[moment] and _text(told[moment])
        told["name"] = self._registry.label_of(breaker)
        told |= self._history.figures(breaker)
        told["limits"] = _limits(breaker.config) if details else None
        told["alone"] = is_alone(breaker)
        return told

    def with_history(self, breaker: CircuitBreaker, *, details: bool) -> Json:
        """The same, with its last minute."""
        history = shown(self._history.seconds(breaker))
        return {**self.breaker(breaker, details=details), "history": history}

    def detail(self, breaker: CircuitBreaker, *, details: bool) -> Json:
        """All that there is to say of one breaker."""
        told = {"version": VERSION, "now": now(), "worker": worker()}
        told |= self.with_history(breaker, details=details)
        told["namesakes"] = self._namesakes(breaker)
        told["workers"] = workers(self._registry, breaker.name, told, os.getpid(), details=details)
        if details:
            told["settings"] = settings(breaker.config)
            told["hints"] = hints(breaker, self._journal, self._history)
            told["failure_types"] = self._journal.failure_types(breaker)
        return told

    def _namesakes(self, breaker: CircuitBreaker) -> dict[str, str]:
        """Return the states of the other living breakers of a name, by their labels."""
        return {
            self._registry.label_of(other): other.state.value
            for other in self._registry.all_named(breaker.name)
            if other is not breaker
        }

    def events(self, limit: int, breaker: str | None = None, *, details: bool) -> list[Event]:
        """What has happened, the newest first."""
        return [told(each, details=details) for each in self._journal.latest(limit, breaker)]

    def log(self, breaker: str | None = None, *, details: bool) -> list[Event]:
        """What is worth reading: many rejections in a row are one event, and drive out none."""
        events = merged(self._journal.latest(2 * KEPT, breaker))
        return [told(each, details=details) for each in events[:_NEWEST]]


def told(event: Event, *, details: bool) -> Event:
    """An event; without details it does not tell who."""
    return event if details or event.get("who") is None else {**event, "who": None}


def without_details(breaker: Json) -> Json:
    """A listed breaker without what only some may see."""
    return {**breaker, "limits": None, "last_failure_message": None}


def summary(breakers: Iterable[CircuitBreaker]) -> dict[str, int]:
    """How many there are in each state."""
    counts = Counter(breaker.state.value for breaker in breakers)
    return {"total": counts.total(), **{state: counts[state] for state in _STATES}}


def worker() -> Json:
    """The process that tells: each counts for itself, and a request may reach any of them."""
    return {"pid": os.getpid(), "started_at": _text(_STARTED_AT)}


def now() -> str:
    """The present time."""
    return _text(datetime.now(UTC))


def steady(told: Json) -> Json:
    """What of an answer stays the same while nothing happens."""
    kept = {name: value for name, value in told.items() if name not in _RECKONED}
    for part in _PARTS & kept.keys():
        kept[part] = [steady(each) for each in kept[part]]
    return kept


def etag(told: Json) -> bytes:
    """Weak: the same for two answers that tell the same, if at different times."""
    text = json.dumps(steady(told)).encode()
    return b'W/"%s"' % blake2b(text, digest_size=12).hexdigest().encode()


def _select(
    labelled: list[tuple[str, CircuitBreaker]], query: Query | None
) -> tuple[list[CircuitBreaker], str | None]:
    """Return those on the page by their labels, and the last one's label if there are more."""
    if query is not None:
        after = query.after
        labelled = [
            (label, breaker)
            for label, breaker in labelled
            if (after is None or label > after) and query.fits(label, breaker)
        ]
    labelled = sorted(labelled, key=lambda pair: pair[0])
    found = [breaker for _, breaker in labelled]
    if query is None or len(found) <= query.limit:
        return found, None
    return found[: query.limit], labelled[query.limit - 1][0]


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


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
    """The settings in force: numbers in SI units; functions, types and other values by name."""
    in_force = {name: _setting(getattr(config, name)) for name in _SETTINGS}
    window = config.window
    size = f"{window.calls} calls" if isinstance(window, CountWindow) else f"{window.seconds} s"
    return in_force | {
        "fail_max": config.effective_fail_max,
        "timeout_duration": config.timeout,
        "slow_call_duration": _slow_after(config),
        "window": size if config.rated else None,
        "minimum_calls": config.effective_minimum_calls if config.rated else None,
        "half_open_timeout": config.probe_timeout,
        "max_timeout_duration": config.longest_timeout,
        "profile": config.judgement.profile and config.judgement.profile.name,
        "stream": config.stream,
        "stream_idle_timeout": config.stream_idle if isfinite(config.stream_idle) else None,
    }


def _setting(value: Any) -> Any:
    if value is None or isinstance(value, int) or (isinstance(value, float) and isfinite(value)):
        return value
    if isinstance(value, tuple):
        return ", ".join(map(name_of, value)) or None
    return name_of(value)
