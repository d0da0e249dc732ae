"""Queries: the parameters of a request, and the breakers or entries that they select."""

from __future__ import annotations

import re
from fnmatch import translate
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar
from urllib.parse import parse_qs

from breaker_asgi._core.state import CircuitBreakerState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MOST = 1_000
"""Breakers on one page, and entries of a log in one response."""
NEWEST = 100
"""Entries of a log in one response where no limit is given."""

_LONGEST_QUERY = 65_536
_MOST_PARAMETERS = 1_000
_LONGEST_PATTERNS = 1_000
_QUOTED = 200
_ID = re.compile("-?[0-9]{1,18}")
_STATES = [state.value for state in CircuitBreakerState]


class _Named(Protocol):
    """A breaker, as far as it is selected."""

    @property
    def name(self) -> str: ...


Named = TypeVar("Named", bound=_Named)


class WrongQueryError(ValueError):
    """A parameter with a value that is not allowed."""

    status = 400


class NoSuchBreakerError(WrongQueryError):
    """A path or a form that selects no breaker."""

    status = 404


class Query(NamedTuple):
    """A selection of breakers."""

    states: frozenset[str] = frozenset()
    names: re.Pattern[str] | None = None
    limit: int = MOST
    after: str | None = None
    worker: str | None = None
    """The worker whose figures are asked for; None for all."""

    @classmethod
    def of(cls, params: dict[str, list[str]]) -> Query:
        """Return the query of a request's parameters. Raises `WrongQueryError`."""
        states = frozenset(params.get("state", ()))
        for state in states.difference(_STATES):
            allowed = ", ".join(_STATES)
            raise WrongQueryError(f"state={quoted(state)} is not allowed: give {allowed}.")
        after = params.get("after", [None])[-1]
        names = [*filter(None, params.get("name", ()))]  # a form sends an empty field, too
        limit = limit_of(params, MOST)
        return cls(states, _pattern(names), limit, after, worker_of(params))

    def fits(self, label: str, name: str, state: str) -> bool:
        """Return True if a breaker is selected, on any page.

        One of several breakers of a name matches by the name and by its label.
        """
        if self.states and state not in self.states:
            return False
        return self.names is None or any(map(self.names.match, (label, name)))


def worker_of(params: dict[str, list[str]]) -> str | None:
    """Return the worker that a request asks for; None for all."""
    return params.get("worker", [""])[-1] or None  # a form sends an empty field, too


class LogQuery(NamedTuple):
    """A page of a log, the newest first."""

    limit: int = NEWEST
    before: int | None = None
    """The id that the entries come before."""
    kinds: frozenset[str] = frozenset()
    names: re.Pattern[str] | None = None

    @classmethod
    def of(cls, params: dict[str, list[str]], kinds: Sequence[str]) -> LogQuery:
        """Return the query of a request's parameters. Raises `WrongQueryError`."""
        wanted = frozenset(filter(None, params.get("kind", ())))
        for kind in sorted(wanted.difference(kinds)):
            raise WrongQueryError(f"kind={quoted(kind)} is not allowed: give {', '.join(kinds)}.")
        names = _pattern([*filter(None, params.get("name", ()))])
        return cls(limit_of(params), _before(params), wanted, names)

    def fits(self, number: int, kind: str, name: str) -> bool:
        """Return True if an entry is selected, on any page."""
        if self.before is not None and number >= self.before:
            return False
        if self.kinds and kind not in self.kinds:
            return False
        return self.names is None or self.names.match(name) is not None


def parameters(query_string: bytes) -> dict[str, list[str]]:
    """Parse the parameters of a request or of a form. Raises `WrongQueryError`."""
    if len(query_string) > _LONGEST_QUERY:
        raise WrongQueryError(f"The query is longer than {_LONGEST_QUERY:,} bytes.")
    text = query_string.decode(errors="replace")
    try:
        return parse_qs(text, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        raise WrongQueryError(f"There are more than {_MOST_PARAMETERS:,} parameters.") from None


def quoted(text: str) -> str:
    """Quote a client's text for a response: short, in ASCII, with control characters escaped."""
    return ascii(text if len(text) <= _QUOTED else text[:_QUOTED] + "...")


def _pattern(patterns: Sequence[str]) -> re.Pattern[str] | None:
    """Compile one pattern of all. Not `fnmatchcase`: it would cache 32,768 patterns of clients.

    `translate` makes atomic groups, which never go back: a match takes linear time.
    """
    if not patterns:
        return None
    if sum(map(len, patterns)) > _LONGEST_PATTERNS:
        raise WrongQueryError(f"Names are longer than {_LONGEST_PATTERNS:,} characters together.")
    return re.compile("|".join(map(translate, patterns)))


def _before(params: dict[str, list[str]]) -> int | None:
    text = params.get("before", [""])[-1]
    if not text:
        return None
    if _ID.fullmatch(text) is None:
        raise WrongQueryError(
            f"before={quoted(text)} is not allowed: give the id of an entry, such as next."
        )
    return int(text)


def limit_of(params: dict[str, list[str]], default: int = NEWEST) -> int:
    """Return the limit of a request. Raises `WrongQueryError`."""
    text = params.get("limit", [str(default)])[-1]
    if not (text.isascii() and text.isdigit() and len(text) < 5 and 1 <= int(text) <= MOST):  # noqa: PLR2004
        raise WrongQueryError(
            f"limit={quoted(text)} is not allowed: give a number from 1 to {MOST}."
        )
    return int(text)


def select(
    breakers: Mapping[str, Named], query: Query | None, state_of: Callable[[Named], str]
) -> tuple[list[Named], str | None]:
    """Return the breakers of a page by their labels, and the last label if there are more."""
    labels = sorted(breakers)
    if query is None:
        return [breakers[label] for label in labels], None
    after = query.after
    fitting = [
        label
        for label in labels
        if (after is None or label > after)
        and query.fits(label, breakers[label].name, state_of(breakers[label]))
    ]
    page = [breakers[label] for label in fitting[: query.limit]]
    return page, fitting[query.limit - 1] if len(fitting) > query.limit else None
