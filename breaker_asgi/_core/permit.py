"""The right to make one call."""

from __future__ import annotations

import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

from breaker_asgi._core.outcome import FAILURE, IGNORED, SUCCESS, Outcome

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from breaker_asgi._core.generation import Generation
    from breaker_asgi._core.state import CircuitBreakerState
    from breaker_asgi._core.under_way import Slot
    from breaker_asgi._core.windows import Place
    from breaker_asgi.breaker import CircuitBreaker


class Guardian(Protocol):
    """A breaker, as far as a new permit uses it."""

    failures: int


class Permit:
    """The right to make one call, to be settled once by how the call went.

    As a context manager it settles itself: by the exception that passes, or as a success.
    Settling twice changes nothing, and nor does a result that comes after the breaker has changed
    its state.
    """

    __slots__ = ("_before", "_failures", "_settled", "breaker", "generation", "started")

    def __init__(
        self,
        breaker: Guardian,
        generation: Generation,
        started: float | None = None,
        *,
        settled: bool = False,
    ) -> None:
        self.breaker: CircuitBreaker = breaker  # type: ignore[assignment]
        self.generation = generation
        self.started = started
        self._settled = settled
        self._failures = breaker.failures
        """Failures of the breaker before the call: what was counted since is not counted again."""
        self._before = sys.exception()
        """The exception that was being handled when the call began."""

    @property
    def state(self) -> CircuitBreakerState:
        """The breaker's state when it gave the permit."""
        return self.generation.state

    @property
    def settled(self) -> bool:
        """True if the permit has its outcome, or needs none."""
        return self._settled

    def success(self) -> None:
        """Settle as a success: the dependency answered."""
        self._settle(SUCCESS, None)

    def failure(self, exception: Exception | None = None, *, because: str | None = None) -> None:
        """Settle as a failure, whatever `exclude` and `ignore` make of `exception`.

        `because` names what failed where there is no exception, such as "status 503": it goes into
        the breaker's reason and to the monitor.
        """
        self._settle(FAILURE, exception, because)

    def ignore(self, exception: BaseException | None = None) -> None:
        """Settle as ignored: the call is no evidence. A probe's permit goes back at once."""
        self._settle(IGNORED, exception)

    def answered(self) -> None:
        """Note that the answer has begun: the rest of it does not make the call slow."""
        if self.started is not None and self.breaker._record_if_not_slow(self.started):
            self.started = None

    def raised(self, exception: BaseException) -> None:
        """Settle by what the call raised, judged by the breaker's `exclude` and `ignore`.

        Raises `CircuitBreakerError` where `throw_new_error_on_trip` asks for it.
        """
        outcome = self.breaker.config.judgement.outcome_of(exception, self._before)
        if self._settle(outcome, exception):
            self.breaker._raise_on_trip(exception)

    def returned(self, result: object) -> None:
        """Settle by what the call returned, judged by the breaker's `is_failure`."""
        self._settle(self.breaker.outcome_of_result(result), None)

    def _settle(
        self, outcome: Outcome, exception: BaseException | None, because: str | None = None
    ) -> bool:
        if self._settled:
            return False
        self._settled = True
        self._before = None
        return self.breaker._settle_permit(self, outcome, exception, self.started, because)

    def _hand_back(self) -> None:
        """Give the permit back: its call was never made, and counts for nothing."""
        settled = self._settled
        self._settled = True
        self._before = None
        if not settled and self.generation.probes is not None:
            self.breaker._take_back(self)

    def __enter__(self) -> Self:
        _entered.set((*_entered.get(), self))
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _entered.set(tuple(permit for permit in _entered.get() if permit is not self))
        if exception is None:
            self.success()
        else:
            self.raised(exception)

    def __repr__(self) -> str:
        settled = "settled" if self._settled else "pending"
        return f"<Permit of {self.breaker.name!r}, {self.state.words}, {settled}>"


class TimedPermit(Permit):
    """A permit of a call that counts as slow while it runs, once it has run for too long.

    One that no caller holds any more is not under way.
    """

    __slots__ = ("slot",)

    slot: Slot | None
    """The slot of its call, while that is under way."""

    def answered(self) -> None:
        if self.slot is None or self.slot.place is not None:
            return
        super().answered()
        if self.started is None:
            self._leave()

    def _settle(
        self, outcome: Outcome, exception: BaseException | None, because: str | None = None
    ) -> bool:
        if self._settled:
            return False
        self._settled = True
        self._before = None
        return self.breaker._settle_permit(
            self, outcome, exception, self.started, because, place=self._leave()
        )

    def _leave(self) -> Place | None:
        """End to be under way. Return the place in the window where it counts as slow already."""
        slot, self.slot = self.slot, None
        return None if slot is None else slot.leave()

    def _hand_back(self) -> None:
        self._settled = True
        self._before = None
        under_way = self.breaker._under_way
        if self._leave() is not None and under_way is not None:
            under_way.end_slow()

    def __del__(self) -> None:
        if not self._settled:
            self._hand_back()


class ProbePermit(Permit):
    """A permit that a half-open breaker has lent: it goes back when no caller holds it any more.

    So a call that never starts (a task cancelled before its first step, a generator that is closed
    unread, a coroutine that is dropped) does not cost the breaker a probe.
    """

    __slots__ = ()

    def answered(self) -> None:
        probes = self.generation.probes
        if self._settled or probes is None or probes.is_slow(self):
            return
        super().answered()
        if self.started is None:
            probes.answered(self)

    def __del__(self) -> None:
        if not self._settled:
            self.ignore()


_entered: ContextVar[tuple[Permit, ...]] = ContextVar("breaker_asgi.entered", default=())
"""The permits whose blocks surround the running code.

A call inside a probe's block is part of that probe: it needs no permit of its own. Otherwise a
breaker that guards both a route and the call inside it could never close again.
"""


class Block:
    """Marks the running context as part of a permit's call; settles nothing."""

    __slots__ = ("_outside", "_permit")

    def __init__(self, permit: Permit) -> None:
        self._permit = permit

    def __enter__(self) -> None:
        self._outside = _entered.get()
        _entered.set((*self._outside, self._permit))

    def __exit__(self, *_: object) -> None:
        _entered.set(self._outside)


def is_inside_of_a_probe(breaker: Guardian, generation: Generation) -> bool:
    """Return True if the running code is part of a probe whose permit `breaker` has still lent."""
    return any(
        permit.generation is generation
        and permit.breaker is breaker
        and not permit.settled
        and (generation.probes is None or generation.probes.holds(permit))
        for permit in _entered.get()
    )


def is_entered(permit: Permit) -> bool:
    """Return True if the running context is inside of the permit's block."""
    return permit in _entered.get()
