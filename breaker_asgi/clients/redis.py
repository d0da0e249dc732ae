"""The clients of redis-py, of a Cluster too: `guard(redis.asyncio.Redis())`."""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from breaker_asgi._core.extras import needs

with needs(__name__, "redis"):
    from redis import exceptions as redis

from breaker_asgi._core import validation
from breaker_asgi._core.errors import CircuitBreakerError
from breaker_asgi._core.outcome import FAILURE, SUCCESS
from breaker_asgi.clients.downstream import (
    ORIGIN_CONFIG,
    Downstream,
    RejectedError,
    guarded_already,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from breaker_asgi._core.permit import Permit

__all__ = ["REDIS_CONFIG", "CommandRejectedError", "guard"]

Command = tuple[Any, ...]
"""A command and its arguments."""

_PIPELINE: Final[Command] = ("PIPELINE",)
_NO_CONNECTION: Final = "No connection available."
"""The text of a plain `ConnectionError` of a pool that has waited in vain."""
_BLOCK: Final = frozenset(
    {
        "BLMOVE",
        "BLMPOP",
        "BLPOP",
        "BRPOP",
        "BRPOPLPUSH",
        "BZMPOP",
        "BZPOPMAX",
        "BZPOPMIN",
        "WAIT",
        "WAITAOF",
    }
)
_MAY_BLOCK: Final = frozenset({"XREAD", "XREADGROUP"})

REDIS_CONFIG = ORIGIN_CONFIG.replace(profile="redis")
"""The settings of a Redis's breaker, unless others are given."""


class CommandRejectedError(RejectedError, redis.ConnectionError):
    """The rejection of a command by its breaker; `request` has the command's arguments.

    A `CircuitBreakerError`, and a `ConnectionError` of redis-py's, so that handlers of those catch
    it too.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.args

    @property
    def request(self) -> Command:
        """The command that was not sent, with its arguments; `("PIPELINE",)` for a pipeline."""
        command: Command = self._request
        return command


class _Guard:
    """The guard that admits a command and settles it by its result, outside of the retries."""

    def __init__(self, downstream: Downstream[Command, Any]) -> None:
        self.downstream = downstream
        self._running: ContextVar[bool] = ContextVar("breaker_asgi.redis", default=False)

    def passes(self, command: Command) -> bool:
        """Return True for a command that needs no permit.

        It may block without limit, or is a part of a command that has a permit.
        """
        if self._running.get():
            return True
        name = str(command[0]).upper()
        return name in _BLOCK or (name in _MAY_BLOCK and _has_block(command))

    @contextmanager
    def watch(self, permit: Permit | None) -> Iterator[None]:
        """Settle the permit by the exception that the block raises."""
        token = self._running.set(True)
        try:
            yield
        except BaseException as error:
            if permit is None:
                pass
            elif type(error) is redis.ConnectionError and str(error) == _NO_CONNECTION:
                permit.ignore(error)  # our own pool is empty
            else:
                self.downstream.raised(permit, error)
            raise
        finally:
            self._running.reset(token)

    def returned(self, permit: Permit | None, result: object) -> None:
        if permit is not None:
            failed = self.downstream.is_failure(result, usual=False)
            permit._settle(FAILURE if failed else SUCCESS, None)


class _Method:
    """A method that sends: a client's `execute_command`, and those of its pipelines."""

    def __init__(self, guarding: _Guard, owner: Any, name: str) -> None:
        self._guarding = guarding
        self._send: Callable[..., Any] = getattr(owner, name)
        self._reset: Callable[[], Any] | None = owner.reset if name == "execute" else None

    def __call__(self, *args: Any, **options: Any) -> Any:
        command = args if self._reset is None else _PIPELINE
        if self._guarding.passes(command):
            return self._send(*args, **options)
        try:
            permit = self._guarding.downstream.admit(command)
        except CircuitBreakerError as error:
            if self._reset is not None:
                self._reset()
                raise _rejected_pipeline(error) from None
            return self._guarding.downstream.reject(error, command)
        with self._guarding.watch(permit):
            result = self._send(*args, **options)
        self._guarding.returned(permit, result)
        return result


class _AsyncMethod(_Method):
    """A method that sends, of an async client."""

    async def __call__(self, *args: Any, **options: Any) -> Any:
        command = args if self._reset is None else _PIPELINE
        if self._guarding.passes(command):
            return await self._send(*args, **options)
        try:
            permit = await self._guarding.downstream.admit_async(command)
        except CircuitBreakerError as error:
            if self._reset is not None:
                await self._reset()
                raise _rejected_pipeline(error) from None
            answer = self._guarding.downstream.reject(error, command)
            return await answer if inspect.isawaitable(answer) else answer
        with self._guarding.watch(permit):
            result = await self._send(*args, **options)
        self._guarding.returned(permit, result)
        return result


class _Maker:
    """A method that makes an object which sends: a pipeline, or a client of one connection."""

    def __init__(self, make: Callable[..., Any], wrap: Callable[[Any], Any]) -> None:
        self._make = make
        self._wrap = wrap

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self._wrap(self._make(*args, **options))


def guard(client: Any, **settings: Any) -> Any:
    """Guard a client that exists, and the pipelines that it makes; return it."""
    why = "an answer of Redis has no Retry-After"
    validation.no_effect(settings, ["honour_retry_after"], why, "Leave it out for redis-py")
    origin = _origin(client)
    downstream: Downstream[Command, Any] = Downstream(
        origin=lambda _: origin,
        network=(redis.RedisError, OSError),
        ours=(redis.MaxConnectionsError,),
        rejected=CommandRejectedError,
        **{"config": REDIS_CONFIG, **settings},
    )
    if isinstance(vars(client).get("execute_command"), _Method):
        raise guarded_already(client)
    return _wrap(_Guard(downstream), client)


def _wrap(guarding: _Guard, client: Any) -> Any:
    method = _AsyncMethod if inspect.iscoroutinefunction(client.execute_command) else _Method
    client.execute_command = method(guarding, client, "execute_command")

    def wrap(made: Any) -> Any:
        return _wrap(guarding, made)

    def wrap_pipeline(pipeline: Any) -> Any:
        for name in ("execute", "immediate_execute_command"):
            if hasattr(pipeline, name):
                setattr(pipeline, name, method(guarding, pipeline, name))
        return pipeline

    client.pipeline = _Maker(client.pipeline, wrap_pipeline)
    if hasattr(client, "connection_pool"):  # not of a Cluster
        client.client = _Maker(client.client, wrap)
    return client


def _rejected_pipeline(error: CircuitBreakerError) -> CommandRejectedError:
    """Return the rejection of a pipeline, which has no fallback: its answers are many."""
    return CommandRejectedError(*error.args, request=_PIPELINE)


def _has_block(command: Command) -> bool:
    """Return True for a reading of streams with BLOCK, which comes before their names."""
    for argument in command[1:]:
        word = argument.decode(errors="replace") if isinstance(argument, bytes) else argument
        if str(word).upper() in {"BLOCK", "STREAMS"}:
            return str(word).upper() == "BLOCK"
    return False


def _origin(client: Any) -> str:
    """Return the name of the breaker: `redis://host:port`, of a Cluster by its first node."""
    pool = getattr(client, "connection_pool", None)
    if pool is None:
        node: Any = next(iter(client.nodes_manager.startup_nodes.values()))
        return _url(node.host, node.port)
    service = getattr(pool, "service_name", None)
    if service is not None:  # of a Sentinel
        return f"redis://{service}"
    settings = pool.connection_kwargs
    if path := settings.get("path"):
        return f"unix://{path}"
    return _url(settings.get("host", "localhost"), settings.get("port", 6379))


def _url(host: str, port: int) -> str:
    return f"redis://[{host}]:{port}" if ":" in host else f"redis://{host}:{port}"
