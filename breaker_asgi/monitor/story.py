"""A story: one entry of a registry's log, and the changes of state that it is made of."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias
from weakref import ref

from breaker_asgi._core.state import CLOSING, HALF_OPEN, OPEN

if TYPE_CHECKING:
    from collections.abc import Callable

    from breaker_asgi._core.generation import Generation
    from breaker_asgi._core.outage import Outage
    from breaker_asgi.breaker import CircuitBreaker

Kind: TypeAlias = Literal["outage", "by_hand", "change"]
KINDS: Final[tuple[Kind, ...]] = ("outage", "by_hand", "change")

_PROBING: Final = {OPEN, HALF_OPEN}


class Change(NamedTuple):
    """A change of a breaker's state: its event, and the breaker's latest outage after it."""

    event: dict[str, Any]
    by_hand: bool = False
    outage: Outage | None = None
    is_part: bool = False
    """True if it is part of an outage that began before: the end of a ramp is, too."""

    @classmethod
    def of(
        cls, breaker: CircuitBreaker, before: Generation, after: Generation, event: dict[str, Any]
    ) -> Change:
        """Return the change from one generation to the next."""
        earlier, made = before.transition.outage, after.transition
        outage = made.outage
        return cls(
            event,
            made.by_hand,
            outage and outage.as_outage(breaker.config.clock(), breaker.rejected),
            earlier is not None and (earlier.ended is None or before.state is CLOSING),
        )

    @property
    def begins_outage(self) -> bool:
        """Return True if an outage begins by it."""
        return self.outage is not None and self.outage.ended_at is None and not self.is_part


class Story:
    """One entry of the log. Only an outage changes."""

    __slots__ = (
        "_breaker",
        "_more",
        "_outage",
        "_seen_at",
        "_total",
        "changes",
        "event",
        "id",
        "kind",
        "state",
    )

    def __init__(
        self,
        number: int,
        kind: Kind,
        breaker: CircuitBreaker,
        event: dict[str, Any],
        outage: Outage | None = None,
    ) -> None:
        self.id = number
        self.kind = kind
        self.event = event
        """The first event: `at`, `breaker`, `from`, `to`, `reason`, `who`."""
        self.changes = 0
        """Changes of state in the outage."""
        self.state: str = event["to"]
        """The breaker's state after the last of them."""
        self._outage = outage
        self._breaker = ref(breaker)
        self._seen_at = datetime.now(UTC)
        self._total = breaker.rejected
        """Calls that the breaker had rejected in all, when the outage was last read."""
        self._more = 0
        """Calls that it has rejected since."""

    @property
    def breaker(self) -> CircuitBreaker | None:
        """The breaker, while it exists."""
        return self._breaker()

    @property
    def outage(self) -> Outage | None:
        """The outage as it was last read; one that went on has ended with its breaker."""
        outage = self._outage
        if outage is None or outage.ended_at is not None or self._breaker() is not None:
            return outage
        ended_at = max(self._seen_at, outage.began_at)
        return replace(outage, ended_at=ended_at, rejected=outage.rejected + self._more)

    @property
    def goes_on(self) -> bool:
        """Return True of an outage that goes on."""
        outage = self._outage
        return outage is not None and outage.ended_at is None and self._breaker() is not None

    def watch(self, gone: Callable[[int], object]) -> None:
        """Call `gone` with the id once the breaker no longer exists, in any thread."""
        number, breaker = self.id, self._breaker()
        if breaker is not None:
            self._breaker = ref(breaker, lambda _breaker: gone(number))

    def follow(self, change: Change) -> None:
        """Fold a change into the outage."""
        self.changes += 1
        self.state = change.event["to"]
        self._keep(change.outage)

    def note_rejections(self, total: int) -> None:
        """Note the calls rejected in all: reading the outage would take much longer."""
        self._more, self._seen_at = total - self._total, datetime.now(UTC)

    def _keep(self, outage: Outage | None) -> None:
        breaker = self._breaker()
        self._outage, self._seen_at, self._more = outage, datetime.now(UTC), 0
        self._total = 0 if breaker is None else breaker.rejected

    def read(self) -> None:
        """Read the present figures of the outage: calls are rejected without a change."""
        breaker = self._breaker()
        latest = None if breaker is None else breaker._latest_outage()
        if latest is None or self._outage is None:
            return
        if (latest.ended_at is None) == (self._outage.ended_at is None):  # else a change is to come
            self._keep(latest)


def is_mark(event: dict[str, Any]) -> bool:
    """Return True if a change is to be marked on a chart of traffic: probes would fill it."""
    return event["from"] != event["to"] and not {event["from"], event["to"]} <= _PROBING
