"""Interceptors for grpcio: `grpc.aio.insecure_channel(target, interceptors=interceptors())`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from breaker_asgi._core.extras import needs

with needs(__name__, "grpc"):
    from grpc import StatusCode, aio

from breaker_asgi._core import validation
from breaker_asgi._core.errors import CircuitBreakerError
from breaker_asgi._core.outcome import FAILURE, IGNORED, SUCCESS
from breaker_asgi._core.state import HALF_OPEN
from breaker_asgi.clients.downstream import ORIGIN_CONFIG, Downstream, guarded_already
from breaker_asgi.registry import BreakerRegistry, default_registry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from breaker_asgi._core.config import BreakerConfig
    from breaker_asgi._core.permit import Permit

__all__ = ["CallRejectedError", "guard", "interceptors"]

_FAILURES = frozenset(
    {
        StatusCode.UNAVAILABLE,
        StatusCode.DEADLINE_EXCEEDED,
        StatusCode.RESOURCE_EXHAUSTED,
        StatusCode.INTERNAL,
    }
)


class CallRejectedError(CircuitBreakerError, aio.AioRpcError):
    """The rejection of a call by its breaker; its `code()` is `UNAVAILABLE`.

    A `CircuitBreakerError`, and an `AioRpcError`, so that handlers of those catch it too.
    """

    def __init__(self, *args: Any) -> None:
        Exception.__init__(self, *args)
        self._code = StatusCode.UNAVAILABLE
        self._details = str(self)
        self._initial_metadata = self._trailing_metadata = aio.Metadata()
        self._debug_error_string = None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.args


def interceptors(
    *,
    registry: BreakerRegistry = default_registry,
    name: Callable[[aio.ClientCallDetails], str | None] | str | None = None,
    config: BreakerConfig = ORIGIN_CONFIG,
    is_failure: Callable[[StatusCode], object] | None = None,
) -> list[aio.ClientInterceptor]:
    """Return interceptors for the calls of a `grpc.aio` channel: a breaker for every service.

    `name` gives the name of a call's breaker, or None for no breaker; otherwise it is the service,
    such as `"grpc:/bank.Payments"`. Two channels that lead to different servers of one service need
    names of their own. `is_failure` judges a status; otherwise UNAVAILABLE, DEADLINE_EXCEEDED,
    RESOURCE_EXHAUSTED and INTERNAL are failures. CANCELLED is not the dependency's, and is
    ignored. Calls raise `CallRejectedError` while the breaker is open.

    Raises `BreakerConfigError` for a wrong setting.
    """
    downstream: Downstream[aio.ClientCallDetails, StatusCode] = Downstream(
        origin=_service,
        network=(aio.AioRpcError,),
        registry=registry,
        name=name,
        config=config,
        is_failure=is_failure,
    )
    return [
        _UnaryUnary(downstream),
        _UnaryStream(downstream),
        _StreamUnary(downstream),
        _StreamStream(downstream),
    ]


def guard(channel: aio.Channel, **settings: Any) -> aio.Channel:
    """Guard a channel that exists, inside of the interceptors that it has; return it.

    Its stubs that exist are guarded, too, as they look for interceptors at each call.
    """
    why = "a call of gRPC has no answer to stand in for, and no Retry-After"
    validation.no_effect(settings, ["fallback", "honour_retry_after"], why, "Leave it out for gRPC")
    lists: list[Any] = [getattr(channel, f"_{kind}_interceptors", None) for kind in _KINDS]
    if not isinstance(channel, aio.Channel) or None in lists:
        remedy = "Write grpc.aio.insecure_channel(target, interceptors=interceptors())"
        raise validation.not_allowed("client", channel, "a channel that grpc.aio has made", remedy)
    if any(isinstance(interceptor, _Interceptor) for interceptor in lists[0]):
        raise guarded_already(channel)
    for guarded, interceptor in zip(lists, interceptors(**settings), strict=True):
        guarded.append(interceptor)
    return channel


_KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")


class _Interceptor:
    """An interceptor that admits a call, and settles it by its final status."""

    _streams = False
    """True where the answer is a stream."""

    def __init__(self, downstream: Downstream[aio.ClientCallDetails, StatusCode]) -> None:
        self._downstream = downstream

    async def call(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        try:
            permit = await self._downstream.admit_async(details)
        except CircuitBreakerError as error:
            raise CallRejectedError(*error.args) from None
        if permit is None:
            return await continuation(details, request)
        try:
            call = await continuation(details, request)
        except BaseException as error:
            self._downstream.raised(permit, error)
            raise
        if call.done():
            self._ended(permit, call)
        else:
            call.add_done_callback(lambda call: self._ended(permit, call))
            if self._streams and (permit.state is HALF_OPEN or permit.started is not None):
                _in_background(_begins(permit, call))
        return call

    def _ended(self, permit: Permit, call: Any) -> None:
        status = _result_of(call.code())
        if status is StatusCode.CANCELLED:
            outcome = IGNORED
        else:
            failed = self._downstream.is_failure(status, usual=status in _FAILURES)
            outcome = FAILURE if failed else SUCCESS
        permit._settle(outcome, None)


class _UnaryUnary(_Interceptor, aio.UnaryUnaryClientInterceptor):
    intercept_unary_unary: Any = _Interceptor.call


class _UnaryStream(_Interceptor, aio.UnaryStreamClientInterceptor):
    intercept_unary_stream: Any = _Interceptor.call
    _streams = True


class _StreamUnary(_Interceptor, aio.StreamUnaryClientInterceptor):
    intercept_stream_unary: Any = _Interceptor.call


class _StreamStream(_Interceptor, aio.StreamStreamClientInterceptor):
    intercept_stream_stream: Any = _Interceptor.call
    _streams = True


async def _begins(permit: Permit, call: Any) -> None:
    """Settle a probe as its stream begins, for it may never end; a stream is slow by its head.

    Where streams are judged by their events or their end it waits for the status, as messages do
    not pass here.
    """
    if await call.initial_metadata() is not None and not call.done():
        permit.answered()
        if permit.state is HALF_OPEN and permit.breaker.config.stream == "head":
            permit.success()


_tasks: set[asyncio.Task[None]] = set()


def _in_background(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.ensure_future(work)
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


def _result_of(awaitable: Awaitable[StatusCode]) -> StatusCode:
    """Return the result of a finished awaitable: the status of a call that has ended."""
    try:
        awaitable.__await__().__next__()
    except StopIteration as end:
        status: StatusCode = end.value
        return status
    raise RuntimeError("the call has not ended")


def _service(details: aio.ClientCallDetails) -> str:
    method: Any = details.method
    path = method.decode() if isinstance(method, bytes) else method
    return f"grpc:{path.rpartition('/')[0]}"
