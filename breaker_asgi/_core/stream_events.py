"""Events of a stream, as far as its judgement needs them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from breaker_asgi._core.outcome import FAILURE, IGNORED, SUCCESS, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LONGEST_LINE: Final = 65_536
_BY_STATUS: Final = {408: FAILURE, 429: IGNORED}
_SERVER_ERROR: Final = 500
_BY_KIND: Final = {
    "invalid_request_error": SUCCESS,
    "authentication_error": SUCCESS,
    "billing_error": SUCCESS,
    "permission_error": SUCCESS,
    "not_found_error": SUCCESS,
    "request_too_large": SUCCESS,
    "insufficient_quota": IGNORED,
    "rate_limit_error": IGNORED,
    "rate_limit_exceeded": IGNORED,
}
"""Kinds of errors, as OpenAI and Anthropic name them, that are not the failure of a provider."""


class Events:
    """The events of a body that comes in pieces, each a piece of its own.

    Used for a body whose format is not read: one that is compressed.
    """

    def feed(self, piece: Any) -> Iterator[tuple[Outcome, str] | None]:
        """Yield None for each event of data, and for an error its outcome and a text."""
        if piece:
            yield None


class Items(Events):
    """The items of a generator, as `is_failure` judges them."""

    def __init__(self, outcome_of: Callable[[object], Outcome]) -> None:
        self._outcome_of = outcome_of

    def feed(self, piece: Any) -> Iterator[tuple[Outcome, str] | None]:
        outcome = self._outcome_of(piece)
        yield None if outcome is SUCCESS else (outcome, "an item that is a failure")


class _Frames(Events):
    """The frames of `application/vnd.amazon.eventstream`, whose errors have a header."""

    def feed(self, piece: bytes) -> Iterator[tuple[Outcome, str] | None]:
        if b":exception-type" in piece or b":error-code" in piece:
            yield FAILURE, "an error event"
        elif piece:
            yield None


class _Lines(Events):
    """The lines of a body, each of which is a JSON document."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> Iterator[tuple[Outcome, str] | None]:
        *lines, rest = (self._rest + piece).split(b"\n")
        self._rest = rest[:_LONGEST_LINE]
        for line in lines:
            yield from self._line(line)

    def _line(self, line: bytes) -> Iterator[tuple[Outcome, str] | None]:
        if line.strip():
            yield error_in(line)


class _ServerSent(_Lines):
    """Server-sent events, by the rules of the HTML standard (9.2.6).

    A comment, such as a ping, is no event; nor is one without data.
    """

    def __init__(self) -> None:
        super().__init__()
        self._kind = self._data = b""

    def _line(self, line: bytes) -> Iterator[tuple[Outcome, str] | None]:
        line = line.removesuffix(b"\r")
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data = (self._data + value)[:_LONGEST_LINE]
        elif field == b"event":
            self._kind = value
        elif not line:
            kind, data = self._kind, self._data
            self._kind = self._data = b""
            if data and kind != b"ping":
                yield error_in(data, is_error=kind == b"error")


_BY_TYPE: Final = {
    "text/event-stream": _ServerSent,
    "application/x-ndjson": _Lines,
    "application/jsonl": _Lines,
    "application/stream+json": _Lines,
    "application/vnd.amazon.eventstream": _Frames,
}


def events_of(content_type: str, content_encoding: str) -> Events | None:
    """Return the events of a response, by its headers; None if it is no stream of events."""
    kind = _BY_TYPE.get(content_type.partition(";")[0].strip().lower())
    if kind is None:
        return None
    return Events() if content_encoding.lower() not in {"", "identity"} else kind()


def error_in(data: bytes, *, is_error: bool = False) -> tuple[Outcome, str] | None:
    """Return the outcome and the kind of the error in an event; None if there is none.

    The providers of language models report errors so, once the status 200 has been sent: in a
    field `error`, or by the type `error`. Not all of them are failures: a prompt that is too long
    is the caller's.
    """
    if not is_error and b"error" not in data and b"response.failed" not in data:
        return None
    try:
        event = json.loads(data)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        return (FAILURE, "an error event") if is_error else None
    inner = event.get("response") if event.get("type") == "response.failed" else event
    error = inner.get("error") if isinstance(inner, dict) else None
    if not error and not is_error and event.get("type") not in {"error", "response.failed"}:
        return None
    details = error if isinstance(error, dict) else event
    codes = _codes(details)
    return _outcome(codes), _words(codes)


def outcome_of_error(error: dict[str, Any]) -> Outcome:
    """Return the outcome of an error that a provider describes by its type, code or status."""
    return _outcome(_codes(error))


def _codes(error: dict[str, Any]) -> list[Any]:
    return [error.get(name) for name in ("type", "code", "status")]


def _outcome(codes: list[Any]) -> Outcome:
    for code in codes:
        if isinstance(code, str) and code in _BY_KIND:
            return _BY_KIND[code]
        if isinstance(code, int) and code in range(400, 600):
            return _BY_STATUS.get(code, FAILURE if code >= _SERVER_ERROR else SUCCESS)
    return FAILURE


def _words(codes: list[Any]) -> str:
    kinds = (code for code in codes if isinstance(code, str | int) and code not in {"error", ""})
    return f"error event {kind}" if (kind := next(kinds, None)) is not None else "an error event"
