"""The base of all client guards: the breaker of a request, and the outcome of its call."""

from __future__ import annotations

import pickle
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from breaker_asgi._core import validation
from breaker_asgi._core.config import BreakerConfig
from breaker_asgi._core.counted import note_response
from breaker_asgi._core.errors import BreakerConfigError, CircuitBreakerError
from breaker_asgi._core.generation import Transition
from breaker_asgi._core.logs import log_once
from breaker_asgi._core.outcome import FAILURE, IGNORED, SUCCESS, Outcome
from breaker_asgi._core.predicates import ask
from breaker_asgi._core.rejections import causes, leaves
from breaker_asgi._core.state import CLOSED, CLOSING, HALF_OPEN, OPEN
from breaker_asgi._core.stream_events import events_of
from breaker_asgi._core.stream_reading import Reading, StreamReading
from breaker_asgi._core.windows import CountWindow
from breaker_asgi.clients.retry_after import time_asked_for
from breaker_asgi.registry import BreakerRegistry, default_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Self

    from breaker_asgi._core.permit import Permit
    from breaker_asgi.breaker import CircuitBreaker

Request = TypeVar("Request")
Response = TypeVar("Response")

ORIGIN_CONFIG = BreakerConfig(
    fail_max=5,
    failure_rate=0.5,
    window=CountWindow(50),
    minimum_calls=20,
    timeout_duration=1,
    backoff=1.5,
    max_timeout_duration=60,
    jitter=0.1,
)
"""The settings of an origin's breaker, unless others are given.

Five failures in a row, so that a dependency with little traffic is cut off soon when it is gone, or
half of the last fifty calls, for one that fails now and then.
"""

_EVENT_STREAM = "text/event-stream"
_SERVER_ERROR = 500
_SWITCHING_PROTOCOLS = 101
_ANSWERS = range(200, 400)

_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_TOO_MANY_REQUESTS = 429
_TRIPPING = (CLOSED, CLOSING, HALF_OPEN)


class RejectedError(CircuitBreakerError):
    """A rejection that is also an error of the client library's."""

    def __init__(self, *args: Any, request: Any = None) -> None:
        Exception.__init__(self, *args)
        self._request = request


class Sent:
    """The body of a request, as its client reads it: an error in it is not the network's."""

    error: BaseException | None = None


def origin_of(scheme: str, host: str, port: int | None) -> str:
    """Return the name of an origin's breaker: scheme, host and port, the latter always given."""
    port = port or _DEFAULT_PORTS.get(scheme, 0)
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


class Downstream(Generic[Request, Response]):
    """A dependency: finds the breaker of a request, and settles its permit by the outcome.

    `origin` names a request's breaker where `name` does not; `network` are the errors of the client
    library for the network, and for answers that break; `ours` are those of them that are the
    caller's own fault. All others are ignored. `rejected` is the library's class of a rejection.

    Raises `BreakerConfigError` for a wrong setting.
    """

    def __init__(
        self,
        *,
        origin: Callable[[Request], str],
        network: tuple[type[BaseException], ...],
        ours: tuple[type[BaseException], ...] = (),
        rejected: type[RejectedError] = RejectedError,
        registry: BreakerRegistry = default_registry,
        name: Callable[[Request], str | None] | str | None = None,
        config: BreakerConfig = ORIGIN_CONFIG,
        is_failure: Callable[[Response], object] | None = None,
        fallback: Callable[[Request, Any], Any] | None = None,
        honour_retry_after: bool = False,
    ) -> None:
        validation.instance(
            "registry", registry, BreakerRegistry, "Leave it out for the default one"
        )
        validation.instance(
            "config", config, BreakerConfig, "Write BreakerConfig(failure_rate=0.3)"
        )
        for setting, remedy in (
            ("fallback", "Give fallback= beside config="),
            ("is_failure", "Give is_failure= beside config="),
        ):
            if (value := getattr(config, setting)) is not None:
                raise validation.has_no_effect(
                    f"config.{setting}", value, "no result is seen here", remedy
                )
        _check_name(name)
        for setting, function in (("is_failure", is_failure), ("fallback", fallback)):
            if function is not None:
                validation.function(setting, function, asynchronous=setting == "fallback")
        validation.boolean("honour_retry_after", honour_retry_after)
        self._origin = origin
        self._network = network
        self._ours = ours
        self._rejected = rejected
        self._registry = registry
        self._name = name
        self._config = config
        self._is_failure = is_failure
        self._fallback = fallback
        self._honours_retry_after = honour_retry_after

    def __deepcopy__(self, _: object) -> Self:
        """Return itself: a copied client has the breakers of the first."""
        return self

    def __getstate__(self) -> dict[str, Any]:
        if self._registry is not default_registry:
            raise pickle.PicklingError(
                "a guarded client with registry=... can't be pickled: the other process has no "
                "such registry. Leave registry= out, for the default one."
            )
        return vars(self) | {"_registry": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _registry=default_registry)

    def admit(self, request: Request) -> Permit | None:
        """Return a permit of the breaker that guards `request`; None if none does.

        Raises `CircuitBreakerError` if the request is not admitted.
        """
        breaker = self._breaker(request)
        return None if breaker is None else breaker.acquire()

    async def admit_async(self, request: Request) -> Permit | None:
        """Return the same as `admit`, waiting for a probe that a store lends."""
        breaker = self._breaker(request)
        return None if breaker is None else await breaker.acquire_async()

    def reject(self, error: CircuitBreakerError, request: Request) -> Any:
        """Return the result of the fallback for `request`. Raise the rejection if there is none."""
        rejected = self._rejected(*error.args, request=request)
        if self._fallback is None:
            raise rejected from None
        return self._fallback(request, rejected)

    def _breaker(self, request: Request) -> CircuitBreaker | None:
        name = self._origin(request) if self._name is None else self._named(request)
        return None if name is None else self._registry.get(name, defaults=self._config)

    def _named(self, request: Request) -> str | None:
        if isinstance(self._name, str):
            return self._name
        during = sys.exception()
        try:
            name = self._name and self._name(request)
            return None if name is None else validation.text("the name that `name` gives", name)
        except Exception as error:  # noqa: BLE001
            log_once(self._name, "name", error, during)
            return self._origin(request)

    def is_failure(self, response: Response, *, usual: bool) -> bool:
        """Return True if the response is a failure; `usual` where no `is_failure` judges it."""
        if self._is_failure is None:
            return usual
        return bool(ask(self._is_failure, "is_failure", usual, response))

    def outcome_of_head(self, breaker: CircuitBreaker, response: Response, status: int) -> Outcome:
        """Return the outcome of the head of a response, by `is_failure` or by its status."""
        profile = breaker.config.judgement.profile
        outcome = None if profile is None else profile.outcome_of_status(status)
        if outcome is not None and self._is_failure is None:
            return outcome
        failed = self.is_failure(response, usual=status >= _SERVER_ERROR)
        return FAILURE if failed else SUCCESS

    def reading(
        self,
        permit: Permit,
        response: Response,
        status: int,
        headers: Mapping[str, str],
        sent: Sent | None,
        *,
        whole: bool = False,
    ) -> Reading | None:
        """Return the reading of the body, which decides; None if the head has settled `permit`.

        The head does if the response failed, if it is `whole` already, if it may never end, or if
        another protocol follows, such as a websocket's.
        """
        outcome = self.outcome_of_head(permit.breaker, response, status)
        self.wait(permit, status, headers, failed=outcome is FAILURE)
        if outcome is IGNORED:
            permit.ignore()
            return None
        if outcome is FAILURE:
            permit.failure(because=f"status {status}")
            note_response(permit.breaker, response)
            return None
        kind = headers.get("Content-Type", "")
        if permit.breaker.config.stream != "head" and status in _ANSWERS:
            events = events_of(kind, headers.get("Content-Encoding", ""))
            if events is not None:
                return StreamReading(permit, partial(self.raised, permit, sent=sent), events)
        permit.answered()
        if whole or status == _SWITCHING_PROTOCOLS or kind.startswith(_EVENT_STREAM):
            permit.success()
            return None
        return Reading(permit, partial(self.raised, permit, sent=sent))

    def raised(self, permit: Permit, error: BaseException, sent: Sent | None = None) -> None:
        """Settle `permit` by the exception that the call raised.

        An error of the request's own body, `sent`, is ignored, however the library wraps it.
        """
        breaker = permit.breaker
        outcome = breaker.outcome_of(error)
        named = breaker.config.judgement.names(error)
        if outcome is FAILURE and not named and self._is_ours(error):
            outcome = IGNORED
        if sent is not None and sent.error is not None:
            outcome = IGNORED
        permit._settle(outcome, error)

    def _is_ours(self, error: BaseException) -> bool:
        """Return True if neither the network nor the dependency has raised `error`."""
        errors = leaves(error) if isinstance(error, BaseExceptionGroup) else (error,)
        return not any(
            isinstance(error, self._network)
            and not any(isinstance(cause, self._ours) for cause in causes(error))
            for error in errors
        )

    def wait(
        self, permit: Permit, status: int, headers: Mapping[str, str], *, failed: bool
    ) -> None:
        """Open the breaker for as long as the dependency asks to be left alone.

        It asks by a response that failed, or by a 429. Not for longer than `max_timeout_duration`,
        and not if the breaker has changed since the call began, or was set by hand. Call it
        before `permit` is settled.
        """
        asks = self._honours_retry_after and (failed or status == _TOO_MANY_REQUESTS)
        if not asks or permit.state not in _TRIPPING:
            return
        breaker = permit.breaker
        seconds = min(time_asked_for(headers), breaker.config.longest_timeout)
        if seconds > 0:
            reason = f"status {status} asked for {seconds:.3g} s"
            change = Transition(OPEN, reason, lasts=seconds)
            breaker._change(change, expected=permit.generation)


def _check_name(name: object) -> None:
    """Raise `BreakerConfigError` for a value that gives no name to a breaker."""
    if name is None or (name and isinstance(name, str)):
        return
    if not callable(name):
        remedy = 'Write name="payments", or leave it out for the origin'
        raise validation.not_allowed("name", name, "a text, or a function of the request", remedy)
    validation.function("name", name)


def guarded_already(client: object) -> BreakerConfigError:
    name = type(client).__name__
    return BreakerConfigError(
        f"guard({name}) is not allowed: this {name} is guarded already. Guard it once, where it is "
        "made."
    )
