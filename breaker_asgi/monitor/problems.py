"""Refusals: a problem document (RFC 9457) for a program, a page for a browser."""

from __future__ import annotations

import json
from difflib import get_close_matches
from http import HTTPStatus
from itertools import islice
from typing import TYPE_CHECKING

from breaker_asgi.asgi.responses import HTML, PROBLEM_JSON, Response
from breaker_asgi.monitor.html.pages import PAGE_HEADERS, refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from breaker_asgi.asgi.headers import Headers

NOT_KEPT: Headers = [(b"cache-control", b"no-store"), (b"vary", b"accept")]

_MOST_COMPARED = 1_000
_LONGEST_COMPARED = 100


class Problem(Response):
    """A refusal. `near` has the names that may have been meant, for the page."""

    def __init__(
        self, status: int, detail: str, headers: Headers | None = None, near: Iterable[str] = ()
    ) -> None:
        self.detail = detail
        self.near = list(near)
        self._more = headers or []
        problem = {"title": _title(status), "status": status, "detail": detail}
        body = json.dumps(problem).encode()
        super().__init__(status, PROBLEM_JSON, body, [*NOT_KEPT, *self._more])

    def as_page(self, base: str, *, login: bool) -> Response:
        """Return the same as a page, with what to do next."""
        body = refusal(self.status, _title(self.status), self.detail, self.near, base, login=login)
        return Response(self.status, HTML, body, [*NOT_KEPT, *PAGE_HEADERS, *self._more])


def names_near(name: str, names: Iterable[str]) -> list[str]:
    """Return up to five names that may have been meant. Only so many are compared."""
    compared = [other for other in islice(names, _MOST_COMPARED) if len(other) <= _LONGEST_COMPARED]
    wanted = name[:_LONGEST_COMPARED].casefold()
    by_folded = {other.casefold(): other for other in compared}
    parts = [other for folded, other in by_folded.items() if wanted and wanted in folded]
    close = [by_folded[folded] for folded in get_close_matches(wanted, by_folded, n=5)]
    return list(dict.fromkeys([*close, *parts]))[:5]


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:  # a dependency of the application may give any
        return "Denied"
