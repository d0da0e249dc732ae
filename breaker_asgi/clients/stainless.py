"""The clients of openai and anthropic, which one generator (Stainless) has made of one mould."""

from __future__ import annotations

import functools
import importlib
from typing import Any, cast

from breaker_asgi._core import validation
from breaker_asgi.clients.downstream import RejectedError

_LIBRARIES = ("httpx2", "httpx")


def guard(client: Any, sdk: str, settings: dict[str, Any]) -> None:
    """Guard the HTTP client inside of an SDK's, which keeps its limits and its other settings.

    Raises `BreakerConfigError` if it is guarded already, or is no client of httpx or httpx2.
    """
    inner = client._client
    library = next(
        (found for kind in type(inner).__mro__ if (found := _library_of(kind)) is not None), None
    )
    if library is None:
        remedy = f"Leave http_client= out where {type(client).__name__} is made"
        raise validation.not_allowed("client._client", inner, "a client of httpx2 or httpx", remedy)
    module = importlib.import_module(f"breaker_asgi.clients.{library}")
    module.guard(inner, **settings, rejected=rejection(sdk, library))


def _library_of(kind: type) -> str | None:
    library = kind.__module__.partition(".")[0]
    return library if library in _LIBRARIES else None


@functools.cache
def rejection(sdk: str, library: str) -> type[RejectedError]:
    """Return the class of a rejection, which is an error of the SDK's and of the HTTP library's.

    The SDKs neither wrap nor repeat an error of their own.
    """
    errors = (
        importlib.import_module(library).TransportError,
        importlib.import_module(sdk).APIConnectionError,
    )
    attributes = {
        "__doc__": f"A rejection that is an `{sdk}.APIConnectionError`, too.",
        "__module__": f"breaker_asgi.clients.{sdk}",
        "__reduce__": lambda error: (_unpickled, (sdk, library, error.args, vars(error))),
        **dict.fromkeys(("body", "code", "param", "type")),
    }
    kind = type("RequestRejectedError", (RejectedError, *errors), attributes)
    return cast("type[RejectedError]", kind)


def _unpickled(
    sdk: str, library: str, said: tuple[Any, ...], notes: dict[str, Any]
) -> RejectedError:
    error = rejection(sdk, library)(*said)
    vars(error).update(notes)
    return error
