"""Exceptions of frameworks that make a 500 of them before anybody further out can see them.

Quart and Django tell of an exception by a signal, Falcon calls a reporter, and BlackSheep lets a
middleware see it, all while they still have the request.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from breaker_asgi.middleware.exchange import Exchange

if TYPE_CHECKING:
    from collections.abc import Iterator

_LAYERS = 100


def listen(app: Any) -> None:
    """Hear of exceptions in an application. To listen twice is to listen once."""
    if quart := sys.modules.get("quart.signals"):
        quart.got_request_exception.connect(_from_quart)
        quart.got_websocket_exception.connect(_from_a_websocket_of_quart)
    if django := sys.modules.get("django.core.signals"):
        django.got_request_exception.connect(_from_django)
    for layer in layers(app):
        if is_a("falcon.app", "App", layer):
            _report_to_us(layer)
        elif is_a("blacksheep.server.application", "Application", layer):
            with suppress(RuntimeError):  # it has started: its middleware is what it is
                _see_what_handlers_raise(layer)


def layers(app: Any) -> Iterator[Any]:
    """Yield an application and those below its middleware, as far as they can be seen."""
    for _ in range(_LAYERS):
        if app is None:
            return
        yield app
        app = getattr(app, "app", None)


async def _from_quart(_app: Any, *, exception: BaseException, **_: Any) -> None:
    request = sys.modules["quart.globals"].request
    _tell(request.scope, exception)


async def _from_a_websocket_of_quart(_app: Any, *, exception: BaseException, **_: Any) -> None:
    _tell(sys.modules["quart.globals"].websocket.scope, exception)


def _from_django(*, request: Any, **_: Any) -> None:
    _tell(getattr(request, "scope", {}), sys.exception())


def _report_to_us(app: Any) -> None:
    """Set Falcon's reporter, of which there is one, in front of that of the application."""
    theirs = getattr(app, "_report_error", None)
    if isinstance(theirs, _Reporter) or not hasattr(app, "set_error_reporter"):
        return
    app.set_error_reporter(_Reporter(theirs))


class _Reporter:
    """Falcon's reporter of errors, which passes them on to another."""

    def __init__(self, other: Any) -> None:
        self._other = other

    def __call__(self, request: Any, error: BaseException, *more: Any) -> None:
        _tell(request.scope, error)
        if self._other is not None:
            self._other(request, error, *more)


def _see_what_handlers_raise(app: Any) -> None:
    if _from_blacksheep not in app.middlewares:
        app.middlewares.insert(0, _from_blacksheep)


async def _from_blacksheep(request: Any, handler: Any) -> Any:
    try:
        return await handler(request)
    except Exception as error:
        _tell(request.scope, error)
        raise


def is_a(module: str, name: str, app: object) -> bool:
    """Return True if an application is of a class, whose module need not be there."""
    kind = getattr(sys.modules.get(module), name, None)
    return kind is not None and isinstance(app, kind)


def _tell(scope: Any, exception: BaseException | None) -> None:
    if (exchange := Exchange.of(scope)) is not None:
        exchange.set_exception(exception)
