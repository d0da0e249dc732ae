"""Exceptions that frameworks turn into a 500 inside of the middleware.

Quart and Django send a signal, Falcon calls a reporter, and BlackSheep raises them through its own
middleware, all while they still have the request.
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
    """Subscribe to the exceptions of an application. A second call has no effect."""
    if quart := sys.modules.get("quart.signals"):
        quart.got_request_exception.connect(_from_quart)
        quart.got_websocket_exception.connect(_from_a_websocket_of_quart)
    if django := sys.modules.get("django.core.signals"):
        django.got_request_exception.connect(_from_django)
    for layer in layers(app):
        if is_a("falcon.app", "App", layer):
            _set_reporter(layer)
        elif is_a("blacksheep.server.application", "Application", layer):
            with suppress(RuntimeError):  # it has started, and takes no more middleware
                _add_middleware(layer)


def layers(app: Any) -> Iterator[Any]:
    """Yield an application and those below its middleware, by their attributes `app`."""
    for _ in range(_LAYERS):
        if app is None:
            return
        yield app
        app = getattr(app, "app", None)


async def _from_quart(_app: Any, *, exception: BaseException, **_: Any) -> None:
    request = sys.modules["quart.globals"].request
    _report(request.scope, exception)


async def _from_a_websocket_of_quart(_app: Any, *, exception: BaseException, **_: Any) -> None:
    _report(sys.modules["quart.globals"].websocket.scope, exception)


def _from_django(*, request: Any, **_: Any) -> None:
    _report(getattr(request, "scope", {}), sys.exception())


def _set_reporter(app: Any) -> None:
    """Set Falcon's only reporter, which calls the application's reporter."""
    reporter = getattr(app, "_report_error", None)
    if isinstance(reporter, _Reporter) or not hasattr(app, "set_error_reporter"):
        return
    app.set_error_reporter(_Reporter(reporter))


class _Reporter:
    """A reporter of Falcon's errors, which passes them on to another."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __call__(self, request: Any, error: BaseException, *more: Any) -> None:
        _report(request.scope, error)
        if self._inner is not None:
            self._inner(request, error, *more)


def _add_middleware(app: Any) -> None:
    if _from_blacksheep not in app.middlewares:
        app.middlewares.insert(0, _from_blacksheep)


async def _from_blacksheep(request: Any, handler: Any) -> Any:
    try:
        return await handler(request)
    except Exception as error:
        _report(request.scope, error)
        raise


def is_a(module: str, name: str, app: object) -> bool:
    """Return True if an application is of a class, whose module may be missing."""
    kind = getattr(sys.modules.get(module), name, None)
    return kind is not None and isinstance(app, kind)


def _report(scope: Any, exception: BaseException | None) -> None:
    if (exchange := Exchange.of(scope)) is not None:
        exchange.set_exception(exception)
