"""A breaker as one would write it without a thought of speed: it keeps every call."""

from __future__ import annotations

from dataclasses import dataclass, field

from breaker_asgi import BreakerConfig, CircuitBreakerState, TimeWindow

CLOSED = CircuitBreakerState.CLOSED
OPEN = CircuitBreakerState.OPEN
HALF_OPEN = CircuitBreakerState.HALF_OPEN
FORCED_OPEN = CircuitBreakerState.FORCED_OPEN
DISABLED = CircuitBreakerState.DISABLED
METRICS_ONLY = CircuitBreakerState.METRICS_ONLY


@dataclass(eq=False)
class Ticket:
    """A permit of the model."""

    generation: int
    taken: float
    settled: bool = False
    lost: bool = False
    """True if another probe has got its permit."""


@dataclass
class Call:
    at: float
    failed: bool
    slow: bool


@dataclass
class Model:
    config: BreakerConfig
    state: CircuitBreakerState = CLOSED
    generation: int = 0
    calls: list[Call] = field(default_factory=list)
    streak: int = 0
    openings: int = 0
    since: float = 0.0
    until: float = 0.0
    probes: list[Ticket] = field(default_factory=list)
    """Probes under way."""
    spent: int = 0
    """Permits of probes that have ended, and do not come back."""
    successes: int = 0
    failures: int = 0
    ignored: int = 0
    rejected: int = 0

    def enter(self, state: CircuitBreakerState, now: float, *, by_hand: bool = False) -> None:
        again = by_hand and state is OPEN is self.state
        self.state = state
        self.generation += 1
        self.since = now
        self.probes, self.spent = [], 0
        if state is OPEN:
            self.openings += not again
            growth = self.config.backoff ** (self.openings - 1)
            self.until = now + min(self.config.timeout * growth, self.config.longest_timeout)
            return
        self.calls = []
        if state not in {HALF_OPEN, FORCED_OPEN}:
            self.openings = 0
            self.streak = 0

    def acquire(self, now: float) -> Ticket | None:
        ticket = Ticket(self.generation, now, settled=self.state is DISABLED)
        if self.state is OPEN and not self.since <= now <= self.until:
            self.enter(HALF_OPEN, now)
            ticket.generation = self.generation
        if self.state is HALF_OPEN:
            if len(self.probes) + self.spent == self.config.half_open_calls:
                oldest = self.probes[0] if self.probes else None
                timeout = self.config.probe_timeout
                if oldest is None or oldest.taken <= now <= oldest.taken + timeout:
                    self.rejected += 1
                    return None
                oldest.lost = True
                self.probes.remove(oldest)
            self.probes.append(ticket)
        elif self.state in {OPEN, FORCED_OPEN}:
            self.rejected += 1
            return None
        return ticket

    def settle(self, ticket: Ticket, outcome: str, now: float) -> None:
        if ticket.settled:
            return
        ticket.settled = True
        if ticket.lost and (outcome == "ignored" or ticket.generation != self.generation):
            return
        if ticket in self.probes:
            self.probes.remove(ticket)
            self.spent += outcome != "ignored"
        if outcome == "ignored":
            self.ignored += 1
            return
        failed = outcome == "failure"
        self.failures += failed
        self.successes += not failed
        if ticket.generation != self.generation:
            return
        slow = 0 < self.config.slow_after < now - ticket.taken
        self.calls.append(Call(now, failed, slow))
        self.streak = self.streak + 1 if failed else 0
        self.judge(now)

    def recorded(self, now: float) -> list[Call]:
        """The calls in the window."""
        window = self.config.window
        if self.state is HALF_OPEN:
            return self.calls
        if isinstance(window, TimeWindow):
            seconds = window.seconds
            assert isinstance(seconds, int)
            return [call for call in self.calls if call.at // 1 > now // 1 - seconds]
        return self.calls[-window.calls :]

    def judge(self, now: float) -> None:
        limit, calls = self.config.effective_fail_max, self.recorded(now)
        if self.state is CLOSED:
            enough = len(calls) >= self.config.effective_minimum_calls
            if (limit is not None and self.streak >= limit) or (enough and self.exceeds(calls)):
                self.enter(OPEN, now)
        elif self.state is HALF_OPEN:
            if limit is not None and any(call.failed for call in calls):
                self.enter(OPEN, now)
            elif len(calls) >= self.config.probes_to_judge:
                self.enter(OPEN if self.exceeds(calls) else CLOSED, now)

    def exceeds(self, calls: list[Call]) -> bool:
        shares = (
            (self.config.failure_rate, sum(call.failed for call in calls)),
            (self.config.slow_call_rate, sum(call.slow for call in calls)),
        )
        return any(rate is not None and count / len(calls) >= rate for rate, count in shares)
