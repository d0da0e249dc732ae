"""Marks at endpoints and rules of the middleware, which select the breakers of routes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from breaker_asgi._core import validation
from breaker_asgi._core.config import BreakerConfig
from breaker_asgi.middleware.fallback import RejectionResponse

if TYPE_CHECKING:
    from collections.abc import Callable

    from breaker_asgi.middleware.fallback import Fallback

F = TypeVar("F", bound="Callable[..., Any]")

_MARK = "__breaker_asgi__"
SHARED = "app"
"""The name of the breaker of an application whose routes can't be read."""

marked: set[str] = set()
"""The modules of marked endpoints: without any, the middleware looks for no marks."""

_PATTERN = re.compile(r"(?:([A-Z][A-Z0-9_-]*) )?(/.*|[*][^ ]*)", re.DOTALL)


class protected:  # noqa: N801
    """A mark of an endpoint, or a rule: how `BreakerMiddleware` guards it.

        @app.post("/pay")
        @protected("payments", failure_rate=0.3)
        async def pay(): ...

    `name` is the breaker's: routes of one name share it; None gives the route its own. `settings`
    are those of `BreakerConfig`, on top of the middleware's. `fallback` answers rejected requests
    in place of the middleware's own. The endpoint itself is not changed.

    Raises `BreakerConfigError` for a wrong setting.
    """

    def __init__(
        self, name: str | None = None, *, fallback: Fallback | None = None, **settings: Any
    ) -> None:
        if name is not None and not (isinstance(name, str) and name):
            raise validation.not_allowed(
                "name", name, "a text, or None", 'Write @protected("payments")'
            )
        validation.known_settings("protected", settings)
        BreakerConfig(**settings)
        RejectionResponse(fallback)
        self.name = name
        self.fallback = fallback
        self.settings = settings

    def __call__(self, endpoint: F) -> F:
        return _mark(endpoint, self)


def unprotected(endpoint: F) -> F:
    """Mark an endpoint that `BreakerMiddleware` leaves alone."""
    return _mark(endpoint, None)


def _mark(endpoint: F, mark: protected | None) -> F:
    if not callable(endpoint):
        raise TypeError(f"{endpoint!r} can't be marked: it is no endpoint. Mark a function.")
    try:
        setattr(endpoint, _MARK, mark)
    except AttributeError:
        advice = "Mark a function where it is defined, or write a rule."
        raise TypeError(f"{endpoint!r} can't be marked. {advice}") from None
    marked.add(getattr(endpoint, "__module__", ""))
    return endpoint


OWN = protected()
"""The protection of a route without a mark or a rule."""


def mark_of(endpoint: object) -> protected | None:
    """Return the mark on an endpoint: None if unprotected, `OWN` if unmarked."""
    mark: protected | None = getattr(endpoint, _MARK, OWN)
    return mark


class Rules:
    """The protection of routes: the mark on the endpoint, else the first rule that fits.

    A rule's pattern is a path, or a method and a path; `*` stands for anything, slashes included.
    It is matched with the route's template, or with the request's path if no routes can be read.
    """

    def __init__(self, rules: Mapping[str, str | protected | None], config: BreakerConfig) -> None:
        """Raises `BreakerConfigError` for a wrong rule, by itself or on top of `config`."""
        if not isinstance(rules, Mapping):
            allowed = "a mapping of patterns to names, protected(...) or None"
            raise validation.not_allowed("rules", rules, allowed, 'Write rules={"/health": None}')
        self.any = bool(rules)
        self._rules = [
            (_pattern(pattern), _rule(pattern, rule, config), pattern)
            for pattern, rule in rules.items()
        ]

    @property
    def names(self) -> set[str]:
        """The names of breakers in the rules."""
        return {rule.name for _, rule, _ in self._rules if rule is not None and rule.name}

    def of(self, endpoint: object, route: str) -> protected | None:
        """Return the protection of the route called `route`, such as `"GET /orders/{id}"`."""
        mark = mark_of(endpoint)
        if mark is not OWN:
            return mark
        return self.of_path(route)[0]

    def of_path(self, route: str) -> tuple[protected | None, str]:
        """Return the protection of `"GET /orders/7"`, and a name for all paths of its rule.

        If no routes can be read, all paths without a rule share a breaker.
        """
        for pattern, rule, text in self._rules:
            if pattern.fullmatch(route):
                return rule, text
        return OWN, SHARED


def _pattern(pattern: object) -> re.Pattern[str]:
    match = _PATTERN.fullmatch(pattern) if isinstance(pattern, str) else None
    if match is None:
        allowed = 'a path such as "/health", or a method and a path such as "POST /payments/*"'
        remedy = "Paths begin with / or *, and methods are in capitals"
        raise validation.not_allowed("a pattern of rules", pattern, allowed, remedy)
    method, path = match.groups()
    parts = ".*".join(re.escape(part) for part in path.split("*"))
    return re.compile(f"{re.escape(method) if method else '[^ ]+'} {parts}", re.DOTALL)


def _rule(pattern: str, rule: object, config: BreakerConfig) -> protected | None:
    if isinstance(rule, str):
        return protected(rule)
    if isinstance(rule, protected):
        config.replace(**rule.settings)
        return rule
    if rule is None:
        return rule
    allowed = "a breaker's name, protected(...) or None"
    raise validation.not_allowed(
        f"rules[{pattern!r}]", rule, allowed, "None leaves the routes alone"
    )
