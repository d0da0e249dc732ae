"""Exceptions that mean that the client has left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from breaker_asgi._core.rejections import causes

if TYPE_CHECKING:
    from breaker_asgi.asgi.types import Send

_NAMES = {"ClientDisconnect", "WebSocketDisconnect"}


def client_has_left(error: BaseException, send: Send | None = None) -> bool:
    """Return True if an exception means that the client has left.

    Two exceptions of Starlette's mean it, and an `OSError` that the server's `send` has raised, not
    the application's own I/O; and a group that contains nothing else.
    """
    if isinstance(error, BaseExceptionGroup):
        return all(client_has_left(leaf, send) for leaf in error.exceptions)
    if _is_disconnect(error):
        return True
    code = None if send is None else _code_of(send)
    if code is None:
        return False
    return any(
        isinstance(cause, OSError) and _was_raised_through(code, cause) for cause in causes(error)
    )


def _is_disconnect(error: BaseException) -> bool:
    kind = type(error)
    return kind.__name__ in _NAMES and kind.__module__.startswith("starlette.")


def _code_of(send: Any) -> object:
    """Return the code object of `send`; None if it is not written in Python."""
    if not hasattr(send, "__code__") and not hasattr(send, "__func__"):
        send = getattr(type(send), "__call__", None)  # noqa: B004
    return getattr(getattr(send, "__func__", send), "__code__", None)


def _was_raised_through(code: object, error: BaseException) -> bool:
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code is code:
            return True
        trace = trace.tb_next
    return False
