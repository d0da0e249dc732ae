"""Controls: the actions on a breaker, and the form that a request sends with one."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from breaker_asgi.asgi.headers import headers_of
from breaker_asgi.breaker import CircuitBreaker
from breaker_asgi.monitor.query import Query, WrongQueryError, parameters, quoted

if TYPE_CHECKING:
    from collections.abc import Callable

    from breaker_asgi.asgi.types import Message, Receive, Scope

ACTIONS: dict[str, Callable[..., None]] = {
    "force-open": CircuitBreaker.force_open,
    "open": CircuitBreaker.open,
    "close": CircuitBreaker.close,
    "half-open": CircuitBreaker.half_open,
    "disable": CircuitBreaker.disable,
    "metrics-only": CircuitBreaker.metrics_only,
    "reset": CircuitBreaker.reset,
}
"""Methods of a breaker by action, the last part of the path."""

ENDS = {"force-open": "for_", "open": "duration", "disable": "for_", "metrics-only": "for_"}
"""The duration argument of each action that accepts `for`."""

FIELDS = {"name", "state", "why", "for"}
"""The fields of a form: the first two select the breakers, where the path names none."""

LONGEST_TEXT = 200
"""Characters kept of a `why`, and of an operator's name."""
LONGEST_TIME = 31_536_000

_LONGEST_BODY = 16_384
_FORM = b"application/x-www-form-urlencoded"


class Body:
    """A request's body, kept for the monitor although `authorize_control` may read it, too."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._messages: list[Message] = []

    async def receive(self) -> Message:
        """Receive a message from the server, and keep it."""
        message = await self._receive()
        self._messages.append(message)
        return message

    async def form(self, scope: Scope) -> dict[str, list[str]]:
        """Return the fields of the form; none without a body. Raises `WrongQueryError`."""
        body = b""
        for message in self._messages:
            body += message.get("body", b"")
        while not self._messages or self._messages[-1].get("more_body"):
            body += (await self.receive()).get("body", b"")
            if len(body) > _LONGEST_BODY:
                break
        if len(body) > _LONGEST_BODY:
            raise WrongQueryError(f"The form is longer than {_LONGEST_BODY:,} bytes.")
        if self._messages[-1]["type"] != "http.request":
            raise WrongQueryError("The request ended before its form did.")
        kinds = [value for name, value in headers_of(scope) if name == b"content-type"]
        if body and [kind.partition(b";")[0].strip().lower() for kind in kinds] != [_FORM]:
            raise WrongQueryError(f"Send why and for as a form: {_FORM.decode()}.")
        return parameters(body)


def selection(form: dict[str, list[str]]) -> Query:
    """Remove `name` and `state` from a form, and return the query of the breakers to change.

    Raises `WrongQueryError`, also if neither is given: all breakers are `name=*`.
    """
    query = Query.of({field: form.pop(field) for field in ("name", "state") if field in form})
    if query == Query():
        raise WrongQueryError("No breaker is selected: give name, such as 'http:*', or state.")
    return query


def change(action: str, form: dict[str, list[str]]) -> Callable[..., None]:
    """Return the method to call on a breaker, with its arguments. Raises `WrongQueryError`."""
    for name, values in form.items():
        if name not in {"why", "for"}:
            raise WrongQueryError(f"{quoted(name)} is not allowed: give why, for, or neither.")
        if len(values) > 1:
            raise WrongQueryError(f"{name} is given {len(values)} times: give it once.")
    (why,), (time,) = (form.get(name, [""]) for name in ("why", "for"))
    options: dict[str, Any] = {"why": one_line(why) or None}
    if time:
        end = _end(action, time)
        options[end] = _seconds(time)
    return partial(ACTIONS[action], **options)


def one_line(text: str) -> str:
    """Return a client's text for the log: short, on one line, without control characters."""
    printable = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(printable.split())[:LONGEST_TEXT]


def _end(action: str, text: str) -> str:
    if action not in ENDS:
        raise WrongQueryError(
            f"for={quoted(text)} is not allowed: {action} has no end. "
            f"Leave it out; {', '.join(ENDS)} may have one."
        )
    return ENDS[action]


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if "_" in text or not text.isascii() or not 0 < seconds <= LONGEST_TIME:
        raise WrongQueryError(
            f"for={quoted(text)} is not allowed: give seconds above 0, "
            f"up to {LONGEST_TIME:,} (a year), such as 600."
        )
    return seconds
