"""The clients of Anthropic's SDK: `guard(anthropic.AsyncAnthropic())`."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypeVar

from breaker_asgi.clients import stainless
from breaker_asgi.clients.downstream import RejectedError

if TYPE_CHECKING:
    import anthropic

__all__ = ["guard"]

AnyClient = TypeVar("AnyClient", bound="anthropic.Anthropic | anthropic.AsyncAnthropic")


def guard(client: AnyClient, **settings: Any) -> AnyClient:
    """Guard a client that exists, and those that `with_options()` makes of it; return it."""
    stainless.guard(client, "anthropic", settings)
    kind: Any = type(client)
    client.__class__ = _patient(kind)
    return client


@functools.cache
def _patient(kind: Any) -> type[Any]:
    """Return a class of clients that do not repeat a rejection.

    The SDK repeats each `APIConnectionError`. `with_options()` makes clients of the same class.
    """

    class Client(kind):  # type: ignore[misc]
        def _should_retry_exception(self, error: BaseException) -> Any:
            if isinstance(error, RejectedError):
                return False, None
            return super()._should_retry_exception(error)

    Client.__name__, Client.__qualname__ = kind.__name__, kind.__qualname__
    Client.__module__ = kind.__module__
    return Client
