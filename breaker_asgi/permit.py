"""The right to make one call."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

from breaker_asgi.outcome import FAILURE, IGNORED, SUCCESS, Outcome

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.circuit import Circuit
    from breaker_asgi.state import CircuitBreakerState, Generation


class Permit:
    """The right to make one call, to be settled once by how the call went.

    As a context manager it settles itself: by the exception that passes, or as a success.
    Settling twice changes nothing, and nor does a result that comes after the breaker has changed
    its state, or after a probe's `half_open_timeout`.
    """

    __slots__ = ("_settled", "_started", "breaker", "generation")

    def __init__(
        self,
        breaker: Circuit,
        generation: Generation,
        started: float | None = None,
        *,
        settled: bool = False,
    ) -> None:
        self.breaker: CircuitBreaker = breaker  # type: ignore[assignment]
        self.generation = generation
        self._started = started
        self._settled = settled

    @property
    def state(self) -> CircuitBreakerState:
        """The breaker's state when it gave the permit."""
        return self.generation.state

    @property
    def settled(self) -> bool:
        """Whether the permit's outcome is known, or of no interest."""
        return self._settled

    def success(self) -> None:
        """The dependency answered."""
        self._settle(SUCCESS, None)

    def failure(self, exception: Exception | None = None) -> None:
        """The dependency failed, whatever `exclude` and `ignore` say of `exception`."""
        self._settle(FAILURE, exception)

    def ignore(self, exception: BaseException | None = None) -> None:
        """The call says nothing of the dependency: a probe's permit goes back at once."""
        self._settle(IGNORED, exception)

    def raised(self, exception: BaseException) -> None:
        """Settle by what the call raised, judged by the breaker's `exclude` and `ignore`.

        Raises `CircuitBreakerError` where `throw_new_error_on_trip` asks for it.
        """
        if self._settle(self.breaker.outcome_of(exception), exception):
            self.breaker._raise_on_trip(exception)

    def returned(self, result: object) -> None:
        """Settle by what the call returned, judged by the breaker's `is_failure`."""
        self._settle(self.breaker.outcome_of_result(result), None)

    def _settle(self, outcome: Outcome, exception: BaseException | None) -> bool:
        settled = self._settled
        self._settled = True
        return not settled and self.breaker._settle_permit(self, outcome, exception, self._started)

    def __enter__(self) -> Self:
        entered.set((*entered.get(), self))
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave()
        if exception is None:
            self.success()
        else:
            self.raised(exception)

    def _leave(self) -> None:
        """The code that runs from here on is outside of the block."""
        entered.set(tuple(permit for permit in entered.get() if permit is not self))

    def __repr__(self) -> str:
        settled = "settled" if self._settled else "pending"
        return f"<Permit of {self.breaker.name!r}, {self.state.words}, {settled}>"


entered: ContextVar[tuple[Permit, ...]] = ContextVar("breaker_asgi.entered", default=())
"""The permits whose `with` blocks surround the running code.

A call inside a probe's block is part of that probe: it needs no permit of its own. Otherwise a
breaker that guards both a route and the call inside it could never close again.
"""


def innermost(breaker: Circuit) -> Permit | None:
    """The permit of `breaker` that the running code is inside of."""
    return next((each for each in reversed(entered.get()) if each.breaker is breaker), None)
