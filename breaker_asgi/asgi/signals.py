"""Exceptions of Quart and Django, which make a 500 of them before anybody further out can see them.

Both tell of an exception by a signal, while they still have the request.
"""

from __future__ import annotations

import sys
from typing import Any

from breaker_asgi.asgi.exchange import Exchange


def listen() -> None:
    """Hear of exceptions, where one of the two is in use. To listen twice is to listen once."""
    if quart := sys.modules.get("quart.signals"):
        quart.got_request_exception.connect(_from_quart)
    if django := sys.modules.get("django.core.signals"):
        django.got_request_exception.connect(_from_django)


async def _from_quart(_app: Any, *, exception: BaseException, **_: Any) -> None:
    request = sys.modules["quart.globals"].request
    _tell(request.scope, exception)


def _from_django(*, request: Any, **_: Any) -> None:
    _tell(getattr(request, "scope", {}), sys.exception())


def _tell(scope: Any, exception: BaseException | None) -> None:
    if (exchange := Exchange.of(scope)) is not None:
        exchange.hears_of(exception)
