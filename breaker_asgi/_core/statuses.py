"""The status that an exception carries: that of an HTTP response, or of a gRPC call.

Nothing is imported for it. An exception has its HTTP status in `status_code`, in its `response`'s
`status_code` or `status`, or in `status`, as those of Starlette, FastAPI, httpx, requests, aiohttp,
Litestar, Falcon and most SDKs do. Those that have none of it are recognised by the names of their
classes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from breaker_asgi._core.outcome import FAILURE, IGNORED, SUCCESS, Outcome

_STATUSES = range(100, 600)
_SERVER_ERROR: Final = 500

_BY_CLASS: Final = {
    ("django.http.response", "Http404"): 404,
    ("django.core.exceptions", "PermissionDenied"): 403,
    ("django.core.exceptions", "SuspiciousOperation"): 400,
    ("django.core.exceptions", "BadRequest"): 400,
    ("django.http.multipartparser", "MultiPartParserError"): 400,
}
_WERKZEUG: Final = ("werkzeug.exceptions", "HTTPException")
_GRPC: Final = ("grpc", "RpcError")
_OTHERS: Final = (_WERKZEUG, _GRPC)

GRPC_FAILURES: Final = frozenset(
    {"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "INTERNAL"}
)
"""Names of the gRPC status codes that are failures of the server; the others are answers."""
GRPC_CANCELLED: Final = "CANCELLED"
"""The code of a call that its own caller has given up."""

_NAMES: Final = ("status_code", "status", "response")


def outcome_by_status(exception: BaseException) -> Outcome | None:
    """Return the outcome by the status of an exception; None if it has none.

    An HTTP status below 500 is an answer of the dependency, so a success.
    """
    status = http_status(exception)
    if status is not None:
        return FAILURE if status >= _SERVER_ERROR else SUCCESS
    code = _grpc_code(exception)
    if code is None:
        return None
    if code == GRPC_CANCELLED:
        return IGNORED
    return FAILURE if code in GRPC_FAILURES else SUCCESS


def http_status(exception: BaseException) -> int | None:
    """Return the HTTP status that an exception carries, if it carries one."""
    response = _read(exception, "response")
    for owner, name in (
        (exception, "status_code"),
        (response, "status_code"),
        (response, "status"),
        (exception, "status"),
    ):
        status: Any = _read(owner, name)
        if _is_status(status):
            return int(status)
    return _status_by_class(exception)


def _status_by_class(exception: BaseException) -> int | None:
    kind: Any = type(exception)
    name = _known_class(kind)
    if name == _WERKZEUG and _is_status(code := _read(exception, "code")):
        return int(code)
    return _BY_CLASS.get(name) if name else None


@lru_cache(maxsize=256)
def _known_class(kind: Any) -> tuple[str, str] | None:
    """Return the name of the class in the tables above that `kind` is, or is derived from."""
    names = ((base.__module__, base.__qualname__) for base in kind.__mro__)
    return next((name for name in names if name in _BY_CLASS or name in _OTHERS), None)


def has_status_by_class(kind: Any) -> bool:
    """Return True if exceptions of a class may carry a status that is not in their `__dict__`."""
    if _known_class(kind) is not None:
        return True
    read = (*_NAMES, "__getattr__", "__getattribute__")
    bases = kind.__mro__[: kind.__mro__.index(BaseException)]
    return any(name in base.__dict__ for base in bases for name in read)


def _grpc_code(exception: BaseException) -> str | None:
    """Return the name of the status code of a gRPC error."""
    kind: Any = type(exception)
    if _known_class(kind) != _GRPC:
        return None
    code = _read(exception, "code")
    try:
        return str(code().name)
    except Exception:  # noqa: BLE001 - an error without a code, as one made by hand is
        return None


def _is_status(value: Any) -> bool:
    return isinstance(value, int) and value in _STATUSES


def _read(owner: object, name: str) -> Any:
    """Return an attribute; None if there is none, or if it can't be read."""
    try:
        return getattr(owner, name, None)
    except Exception:  # noqa: BLE001
        return None
