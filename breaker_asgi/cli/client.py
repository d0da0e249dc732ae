"""The client of a monitor, over HTTP."""

from __future__ import annotations

import difflib
import glob
import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, quote, urlencode, urljoin, urlsplit

from breaker_asgi._core.state import WORST_FIRST
from breaker_asgi.cli import schema, values
from breaker_asgi.cli.errors import CommandError, Exit
from breaker_asgi.cli.formatting import printable
from breaker_asgi.cli.http import HttpAnswer, KeepAliveConnection
from breaker_asgi.cli.values import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from breaker_asgi.cli.schema import Breaker, BreakerList

EXAMPLE = "http://localhost:8000/breakers"
FORM = "application/x-www-form-urlencoded"
_OK, _UNCHANGED, _WRONG, _DENIED, _UNKNOWN = 200, 304, 400, (401, 403), 404
_REDIRECTS = (301, 302, 303, 307, 308)
_PORTS = {"http": 80, "https": 443}
_SAFE = "/%:@!$&'()*+,;=~"
_PAGES = 1_000
_FOLLOWED = 3
_LONGEST = 1_000
"""Characters that a monitor accepts as a pattern of names."""
_DETAIL = 200

NOT_THERE = f"Is the application running, and is this its monitor's address, such as {EXAMPLE}?"
MONITORS_OWN = "The monitor has changed nothing."
NO_MONITOR = f"Give the address of the monitor itself, such as {EXAMPLE}."
CREDENTIALS = "BREAKER_ASGI_TOKEN=..., or --header 'Authorization: Bearer ...'"
NO_READER = f"Say who you are, as its `authorize` wants it: {CREDENTIALS}."
NO_CONTROLLER = (
    f"Controls are off unless the monitor has `authorize_control`; if it has: {CREDENTIALS}."
)
_MOUNTED_AT = "/breakers"
"""Path of the monitor where the address has none."""


def address(url: str) -> SplitResult:
    """Parse the monitor's address: `localhost:8000` is http://localhost:8000/breakers.

    Raise ValueError with the reason if it is wrong.
    """
    parts = urlsplit(url if "://" in url or url.startswith("/") else f"http://{url}")
    if not parts.path:
        parts = parts._replace(path=_MOUNTED_AT)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(f"it is no http or https address, such as {EXAMPLE}")
    if parts.username is not None:
        raise ValueError("give a name and password as --header 'Authorization: Basic ...'")
    if parts.query or parts.fragment:
        raise ValueError("an address without ? and # is wanted")
    if not parts.netloc.isprintable() or " " in parts.netloc or parts.port == 0:
        raise ValueError("its host is malformed")
    return parts._replace(path=quote(parts.path, safe=_SAFE) or "/")


class Client:
    """Requests to the monitor at `url`, all with the same headers."""

    def __init__(self, url: SplitResult, headers: Mapping[str, str]) -> None:
        self._url = url
        self._headers = {"User-Agent": "breaker-asgi", **headers, "Accept": "application/json"}
        self._connection = KeepAliveConnection(url)
        self._pages: dict[str, tuple[str, BreakerList]] = {}

    def listing(
        self, states: Sequence[str] = (), name: str | None = None, *, history: bool = False
    ) -> BreakerList:
        """Return all breakers that match the filters, from every page, each with its history."""
        query = [("state", state) for state in states]
        query += [] if name is None else [("name", name)]
        query += [("history", "")] if history else []
        before, self._pages = self._pages, {}
        page = first = self._page(query, before)
        breakers, after = list(first.breakers), ""
        for _ in range(_PAGES):
            if page.next is None:
                rows = [breaker.content for breaker in breakers]
                content = {**first.content, "breakers": rows, "next": None}
                return replace(first, breakers=tuple(breakers), content=content)
            if page.next <= after:
                break
            after = page.next
            page = self._page([*query, ("after", after)], before)
            breakers += page.breakers
        message = f"GET {self.shown}: a list whose pages do not end"
        raise CommandError(Exit.NO_MONITOR, message, NO_MONITOR)

    def has(self, name: str) -> bool:
        """Return True if there is a breaker of this very name."""
        return any(breaker.name == name for breaker in self._named(name).breakers)

    def breaker(self, name: str) -> Breaker:
        """Return a breaker, the worst one of its name.

        It is looked up in the list, as its path may be one of the monitor's own.
        """
        listing = self._named(name)
        if all(breaker.name != name for breaker in listing.breakers):
            raise self._no_such_breaker(name)
        label = re.compile(rf"{re.escape(name)}( \(\d+\))?", re.DOTALL)
        alike = [breaker for breaker in listing.breakers if label.fullmatch(breaker.name)]
        worst = min(alike, key=lambda breaker: WORST_FIRST.index(breaker.state))
        return replace(worst, worker=listing.worker, store=listing.store)

    def details(self, name: str) -> Breaker:
        """Return a breaker with all that the monitor tells of it, as its `content`."""
        target = self._target(name)
        answer = self._get(target, self._headers)
        if answer.status == _UNKNOWN:
            raise self._no_such_breaker(name)
        self._refuse("GET", target, answer)
        try:
            return schema.breaker(answer.body, time.monotonic())
        except UnreadableError as error:
            raise self._unreadable("GET", target, error) from error

    def change(self, name: str, action: str, form: Mapping[str, str]) -> Breaker:
        """Apply the action, and return the breaker. `form` has the reason and the duration."""
        target = f"{self._target(name)}/{action}"
        answer = self._post(target, [*form.items()])
        if answer.status == _UNKNOWN:
            self.breaker(name)
        self._refuse("POST", target, answer)
        try:
            changed = schema.breaker(answer.body, time.monotonic())
        except UnreadableError as error:
            raise self._unreadable("POST", target, error) from error
        if changed.name != name:
            raise self._unreadable("POST", target, UnreadableError("another breaker"))
        return changed

    def change_all(
        self, patterns: Sequence[str], action: str, form: Mapping[str, str]
    ) -> list[str]:
        """Apply the action to all breakers that match a pattern, and return their names."""
        target = f"{self._url.path.rstrip('/')}/{action}"
        fields = [*(("name", pattern) for pattern in patterns), *form.items()]
        answer = self._post(target, fields)
        if answer.status == _UNKNOWN:
            words = ", ".join(map(printable, patterns))
            message = f"the monitor at {self.shown} has no breaker that matches {words}"
            names = [breaker.name for breaker in self.listing().breakers]
            raise CommandError(Exit.NO_SUCH_BREAKER, message, f"It has {_listed(names)}.")
        self._refuse("POST", target, answer)
        try:
            return schema.changed(answer.body)
        except UnreadableError as error:
            raise self._unreadable("POST", target, error) from error

    def close(self) -> None:
        self._connection.close()

    @property
    def shown(self) -> str:
        return printable(self._url.geturl())

    def _target(self, name: str) -> str:
        return f"{self._url.path.rstrip('/')}/{quote(name, safe='', errors='surrogatepass')}"

    def _named(self, name: str) -> BreakerList:
        """Return the breakers of a name, or all where that is too long for a pattern."""
        pattern = glob.escape(name)
        return self.listing(name=pattern if len(pattern) <= _LONGEST else None)

    def _page(
        self, query: list[tuple[str, str]], before: dict[str, tuple[str, BreakerList]]
    ) -> BreakerList:
        target = self._url.path + ("?" + urlencode(query, errors="surrogatepass") if query else "")
        cached = before.get(target)
        headers = {**self._headers, "If-None-Match": cached[0]} if cached else self._headers
        answer = self._get(target, headers)
        if cached and answer.status == _UNCHANGED:
            page = cached[1]
        else:
            self._refuse("GET", target, answer)
            try:
                page = schema.listing(answer.body, time.monotonic())
            except UnreadableError as error:
                raise self._unreadable("GET", target, error) from error
        tag = answer.headers["etag"] or (cached[0] if cached and page is cached[1] else None)
        if tag:
            self._pages[target] = tag, page
        return page

    def _get(self, target: str, headers: Mapping[str, str]) -> HttpAnswer:
        """Follow redirects, but never to another origin with these headers."""
        answer = self._connection.request("GET", target, headers)
        for _ in range(_FOLLOWED):
            if answer.status not in _REDIRECTS:
                break
            there = urlsplit(urljoin(self._absolute(target), answer.headers["location"] or ""))
            if (there.scheme, there.netloc) != (self._url.scheme, self._url.netloc):
                break
            target = quote(there.path, safe=_SAFE) + ("?" + there.query if there.query else "")
            answer = self._connection.request("GET", target, headers)
        return answer

    def _post(self, target: str, fields: list[tuple[str, str]]) -> HttpAnswer:
        body = urlencode(fields, errors="replace").encode()
        sent = {"Content-Type": FORM, "Content-Length": f"{len(body)}"}
        return self._connection.request("POST", target, {**self._headers, **sent}, body)

    def _refuse(self, method: str, target: str, answer: HttpAnswer) -> None:
        if answer.status == _OK:
            return
        came = f"{method} {printable(self._absolute(target))}: {answer.status}{_detail(answer)}"
        if method == "POST" and answer.status == _WRONG:
            raise CommandError(Exit.USAGE, came, MONITORS_OWN)
        if answer.status in _DENIED:
            remedy = NO_READER if method == "GET" else NO_CONTROLLER
            raise CommandError(Exit.NOT_ALLOWED, came, remedy)
        if answer.status in _REDIRECTS:
            there = urljoin(self._absolute(target), answer.headers["location"] or "")
            raise CommandError(Exit.NO_MONITOR, f"{came}: it is at {printable(there)}", NO_MONITOR)
        raise CommandError(Exit.NO_MONITOR, came, NO_MONITOR)

    def _unreadable(self, method: str, target: str, error: UnreadableError) -> CommandError:
        tried = f"{method} {printable(self._absolute(target))}"
        message = f"{tried}: not a monitor's answer (version {schema.VERSION}), but {error}"
        return CommandError(Exit.NO_MONITOR, message, NO_MONITOR)

    def _no_such_breaker(self, name: str) -> CommandError:
        names = [breaker.name for breaker in self.listing().breakers]
        near = difflib.get_close_matches(name, names, n=3)
        meant = ", ".join(map(printable, near))
        remedy = f"Did you mean {meant}?" if near else f"It has {_listed(names)}."
        message = f"the monitor at {self.shown} has no breaker {printable(name)}"
        return CommandError(Exit.NO_SUCH_BREAKER, message, remedy)

    def _absolute(self, target: str) -> str:
        return f"{self._url.scheme}://{self._url.netloc}{target}"


def _listed(names: Sequence[str]) -> str:
    """Return the names, or their number where there are many."""
    if len(names) > 10:  # noqa: PLR2004
        return f"{len(names):,} breakers"
    return ", ".join(map(printable, names)) or "none yet"


def _detail(answer: HttpAnswer) -> str:
    """Return the detail of a problem document; empty if it is none."""
    try:
        content = values.document(answer.body)
    except UnreadableError:
        return ""
    detail = content.get("detail") or content.get("title")
    return f" ({printable(detail[:_DETAIL])})" if isinstance(detail, str) else ""
