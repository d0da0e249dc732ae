"""Names of aiobreaker for things that have another name in this package."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from breaker_asgi._core import validation
from breaker_asgi._core.engine import Engine
from breaker_asgi._core.outcome import FAILURE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from breaker_asgi._core.config import Duration
    from breaker_asgi._core.judgement import Exclusion
    from breaker_asgi._core.state import CircuitBreakerState


class AiobreakerNames(Engine):
    """Settings that can be changed on a living breaker, and times as `datetime`."""

    __slots__ = ()

    @property
    def current_state(self) -> CircuitBreakerState:
        """The same as `state`."""
        return self._generation.state

    @property
    def fail_counter(self) -> int:
        """Failures in a row; while open, as many as there were when the breaker opened."""
        generation, now = self._generation, self.config.clock()
        return generation.counts(now).streak

    @property
    def fail_max(self) -> int | None:
        """Failures in a row that open the breaker; None where only rates do. Can be set."""
        return self.config.effective_fail_max

    @fail_max.setter
    def fail_max(self, failures: int) -> None:
        self.config = self.config.replace(fail_max=failures)

    @property
    def timeout_duration(self) -> timedelta:
        """Time for which the breaker stays open. Can be set, for its next opening."""
        return timedelta(seconds=self.config.timeout)

    @timeout_duration.setter
    def timeout_duration(self, duration: Duration) -> None:
        self.config = self.config.replace(timeout_duration=duration)

    @property
    def time_until_open(self) -> timedelta | None:
        """Time left until an open breaker admits a probe; None once it does, or if not open."""
        generation, now = self._generation, self.config.clock()
        if generation.terms is None or not generation.since <= now <= generation.until:
            return None
        return timedelta(seconds=generation.until - now)

    @property
    def opens_at(self) -> datetime | None:
        """The moment, in UTC, that `time_until_open` leads to."""
        left = self.time_until_open
        return None if left is None else datetime.now(UTC) + left

    async def sleep_until_open(self) -> None:
        """Sleep, under asyncio, for `time_until_open`."""
        left = self.time_until_open
        await asyncio.sleep(0 if left is None else left.total_seconds())

    @property
    def excluded_exceptions(self) -> tuple[Exclusion, ...]:
        """The exceptions and predicates that `exclude` names."""
        return self.config.judgement.exclude

    def add_excluded_exception(self, exception: Exclusion) -> None:
        """Name one more in `exclude`."""
        self.add_excluded_exceptions(exception)

    def add_excluded_exceptions(self, *exceptions: Exclusion) -> None:
        """Name more of them in `exclude`."""
        self._exclude((*self.excluded_exceptions, *exceptions))

    def remove_excluded_exception(self, exception: Exclusion) -> None:
        """Take one out of `exclude`. Raises `ValueError` if it is not there."""
        exclude = list(self.excluded_exceptions)
        if exception not in exclude:
            raise validation.not_allowed(
                "exception", exception, f"one of {exclude}", "It is not excluded"
            )
        exclude.remove(exception)
        self._exclude(exclude)

    def _exclude(self, exclude: Iterable[Exclusion]) -> None:
        self.config = self.config.replace(exclude=exclude)
        self._plain_failures = frozenset()

    def is_system_error(self, exception: Exception) -> bool:
        """Return True if `exception` counts as a failure."""
        return self.outcome_of(exception) is FAILURE

    @property
    def listeners(self) -> tuple[object, ...]:
        """Listeners of the breaker."""
        return self._listeners.all

    def add_listener(self, listener: object) -> None:
        """Notify `listener` too, from now on."""
        self.add_listeners(listener)

    def add_listeners(self, *listeners: object) -> None:
        """Notify several more, from now on."""
        with self._lock:
            self._listen((*self._listeners.all, *listeners))

    def remove_listener(self, listener: object) -> None:
        """Notify `listener` no more. Raises `ValueError` if it does not listen."""
        with self._lock:
            listeners = list(self._listeners.all)
            if listener not in listeners:
                raise ValueError(f"{listener!r} does not listen to {self!r}")
            listeners.remove(listener)
            self._listen(tuple(listeners))
