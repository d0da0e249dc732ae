"""A naive model of a breaker, without regard to speed: it keeps every call."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from breaker_asgi import BreakerConfig, CircuitBreakerState, TimeWindow

CLOSED = CircuitBreakerState.CLOSED
OPEN = CircuitBreakerState.OPEN
HALF_OPEN = CircuitBreakerState.HALF_OPEN
FORCED_OPEN = CircuitBreakerState.FORCED_OPEN
DISABLED = CircuitBreakerState.DISABLED
METRICS_ONLY = CircuitBreakerState.METRICS_ONLY


@dataclass(eq=False)
class Call:
    at: float
    failed: bool
    slow: bool


@dataclass(eq=False)
class Ticket:
    """A permit of the model."""

    generation: int
    taken: float
    settled: bool = False
    lost: bool = False
    """True if another probe has got its permit."""
    call: Call | None = None
    """The call in the window, once it is there."""


@dataclass
class Slot:
    """Calls that began within a tenth of a second, or a hundredth of `slow_call_duration`."""

    began: float
    tickets: list[Ticket] = field(default_factory=list)


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
    slots: list[Slot] = field(default_factory=list)
    """Calls under way, where their durations matter."""
    edge: float = -inf
    """The end of the last slot."""
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
        self.probes, self.spent, self.edge = [], 0, -inf
        if state is OPEN:
            self.openings += not again
            growth = self.config.effective_backoff ** (self.openings - 1)
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
        before = self.generation
        if self.state is HALF_OPEN:
            self.count_overdue(self.probes, now)
        elif self.state in {CLOSED, METRICS_ONLY}:
            self.turn(now)
        if self.generation != before:
            return self.acquire(now)
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
        elif self.state is not DISABLED and self.is_timed:
            self.slots[-1].tickets.append(ticket)
        return ticket

    @property
    def is_timed(self) -> bool:
        return self.config.slow_after < inf

    def turn(self, now: float) -> None:
        """Begin a slot if it is time, and count the calls of those that are overdue."""
        if not self.is_timed or now < self.edge:
            return
        width = min(0.1, self.config.slow_after / 100)
        self.edge = now + width
        self.slots.append(Slot(now))
        while len(self.slots) > 1:
            slot = self.slots[0]
            if slot.tickets and not now - slot.began > self.config.slow_after + width:
                break
            self.slots.pop(0)
            for ticket in slot.tickets:
                self.count_running(ticket, now)
        self.judge(now)

    def count_overdue(self, probes: list[Ticket], now: float) -> None:
        """Count the probes that have been running for too long: for the rules they have ended."""
        for ticket in [probe for probe in probes if now - probe.taken > self.config.slow_after]:
            probes.remove(ticket)
            self.spent += 1
            self.count_running(ticket, now)
        self.judge(now)

    def count_running(self, ticket: Ticket, now: float) -> None:
        ticket.call = Call(now, failed=False, slow=True)
        if ticket.generation == self.generation:
            self.calls.append(ticket.call)

    def settle(self, ticket: Ticket, outcome: str, now: float) -> None:
        if ticket.settled:
            return
        ticket.settled = True
        for slot in self.slots:
            if ticket in slot.tickets:
                slot.tickets.remove(ticket)
        if ticket.lost and (outcome == "ignored" or ticket.generation != self.generation):
            return
        if ticket in self.probes:
            self.probes.remove(ticket)
            self.spent += outcome != "ignored"
        failed = outcome == "failure"
        self.ignored += outcome == "ignored"
        self.failures += failed
        self.successes += outcome == "success"
        self.turn(now)
        if outcome == "ignored" or ticket.generation != self.generation:
            return
        if ticket.call is None:
            slow = 0 < self.config.slow_after < now - ticket.taken
            self.calls.append(Call(now, failed, slow))
        else:
            ticket.call.failed = failed
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
