"""The rows of one page of the table, as the server renders it."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from breaker_asgi.monitor.html.breaker_wording import by_urgency, is_quiet
from breaker_asgi.monitor.html.table import fold
from breaker_asgi.monitor.html.wording import Json, address, moment

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_ROWS = 60
MOST_QUIET = 12
"""Quiet breakers that are not folded."""


class ShownRows:
    """The rows of one page: the worst first, quiet ones folded, at most `MOST_ROWS`."""

    def __init__(self, listing: Json, query: Mapping[str, list[str]]) -> None:
        self._query, self._next = query, listing["next"]
        now = moment(listing["now"])
        every = sorted(listing["breakers"], key=by_urgency)
        quiet = {id(breaker) for breaker in every if is_quiet(breaker, now)}
        folds = len(quiet) > MOST_QUIET and not query.keys() & {"name", "state", "after", "all"}
        self._folded = len(quiet) if folds else 0
        begin = int(at) if (at := query.get("from", ["0"])[-1]).isdecimal() else 0
        listed = [breaker for breaker in every if not folds or id(breaker) not in quiet]
        self.breakers = listed[begin : begin + MOST_ROWS]
        self._following = begin + MOST_ROWS if len(listed) > begin + MOST_ROWS else None

    def fold(self, base: str) -> str:
        """Render the line that stands for the quiet ones, if they are folded."""
        return fold(self._folded, f"{address(base, '')}?all=yes") if self._folded else ""

    def more(self, base: str) -> str:
        """Render the link to the next page."""
        if self._following is not None:
            follow = {"from": str(self._following)}
        elif self._next is not None:
            follow = {"after": self._next}
        else:
            return ""
        kept = ("state", "name", "limit", "all", *(("after",) if "from" in follow else ()))
        params = {key: self._query[key] for key in kept if key in self._query}
        url = f"{address(base, '')}?{urlencode(params | follow, doseq=True)}"
        return f'<p class="more" id="more"><a href="{escape(url)}">More breakers</a></p>'
