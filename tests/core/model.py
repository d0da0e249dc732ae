"""A naive model of a breaker, without regard to speed: it keeps every call."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from breaker_asgi import BreakerConfig, CircuitBreakerState, TimeWindow

CLOSED = CircuitBreakerState.CLOSED
OPEN = CircuitBreakerState.OPEN
HALF_OPEN = CircuitBreakerState.HALF_OPEN
CLOSING = CircuitBreakerState.CLOSING
FORCED_OPEN = CircuitBreakerState.FORCED_OPEN
DISABLED = CircuitBreakerState.DISABLED
METRICS_ONLY = CircuitBreakerState.METRICS_ONLY


@dataclass(eq=False)
class Call:
    at: float
    failed: bool
    slow: bool
    running: bool = False
    """True if it is slow already, and has not ended."""


@dataclass(eq=False)
class Ticket:
    """A permit of the model."""

    record: int
    taken: float
    settled: bool = False
    answered: bool = False
    """True if its answer began in time: it is not slow, however long the rest takes."""
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
class OutageOfTheModel:
    began: float
    by_hand: bool
    streak: int
    before: int
    """Calls that had been rejected when it began."""
    ended: float | None = None
    rejected: int = 0
    """Calls rejected in it, once it has ended."""
    probes_failed: int = 0
    probed: float | None = None

    def rejected_by(self, total: int) -> int:
        return total - self.before if self.ended is None else self.rejected


@dataclass
class Model:
    config: BreakerConfig
    state: CircuitBreakerState = CLOSED
    generation: int = 0
    record: int = 0
    """The number of the record: the end of a ramp begins a generation, and no record."""
    calls: list[Call] = field(default_factory=list)
    streak: int = 0
    openings: int = 0
    since: float = 0.0
    until: float = 0.0
    shares: float = 0.0
    """The sum of the shares of the ramp so far, and the number of calls that it has admitted."""
    admitted: int = 0
    probes: list[Ticket] = field(default_factory=list)
    """Probes under way."""
    slow: list[Ticket] = field(default_factory=list)
    """Calls that were counted as slow while they ran."""
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
    outage: OutageOfTheModel | None = None

    def follow_outage(self, state: CircuitBreakerState, now: float, *, by_hand: bool) -> None:
        """Begin, continue or end an outage by a change from the current state to `state`."""
        outage = self.outage
        is_on = outage is not None and (outage.ended is None or self.state is CLOSING)
        if state in {CLOSED, CLOSING, DISABLED, METRICS_ONLY}:
            if outage is not None and outage.ended is None:
                outage.rejected = outage.rejected_by(self.rejected)
                outage.ended = max(now, outage.began)
        elif outage is None or not is_on:
            if state is not HALF_OPEN:
                self.outage = OutageOfTheModel(now, by_hand, self.streak, self.rejected)
        else:
            failed = state is OPEN and not by_hand
            outage.ended = None
            outage.probes_failed += failed
            if failed or state is HALF_OPEN:
                outage.probed = max(now, outage.began)

    def enter(self, state: CircuitBreakerState, now: float, *, by_hand: bool = False) -> None:
        again = by_hand and state is OPEN is self.state
        goes_on = self.state is CLOSING and state is CLOSED and not by_hand
        self.follow_outage(state, now, by_hand=by_hand)
        self.state = state
        self.generation += 1
        self.since = now
        self.probes, self.spent, self.edge = [], 0, -inf
        if state is OPEN:
            self.openings += not again
            growth = self.config.effective_backoff ** (self.openings - 1)
            self.until = now + min(self.config.timeout * growth, self.config.longest_timeout)
        if state is CLOSING:
            self.until = now + self.config.ramp_time
            self.shares = self.admitted = 0
        if state in {CLOSED, DISABLED, METRICS_ONLY}:
            self.openings = 0
        if goes_on:
            return
        self.record += 1
        if state is not OPEN:
            self.calls = []
        if state not in {OPEN, HALF_OPEN, FORCED_OPEN}:
            self.streak = 0

    def acquire(self, now: float) -> Ticket | None:
        if self.state in {OPEN, CLOSING} and not self.since <= now <= self.until:
            self.enter(HALF_OPEN if self.state is OPEN else CLOSED, now)
        if self.state is CLOSING and not self.is_among_the_admitted(now):
            self.rejected += 1
            return None
        ticket = Ticket(self.record, now, settled=self.state is DISABLED)
        if self.count_slow(now):
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

    def count_slow(self, now: float) -> bool:
        """Count the calls that are slow by now. Return True if that changes the state."""
        before = self.generation
        if self.state is HALF_OPEN:
            self.count_overdue(self.probes, now)
        elif self.state in {CLOSED, CLOSING, METRICS_ONLY}:
            self.turn(now)
        return self.generation != before

    def is_among_the_admitted(self, now: float) -> bool:
        grown = (max(0.0, now - self.since) / self.config.ramp_time) ** (
            1 / self.config.effective_ramp_aggression
        )
        self.shares += max(0.1, grown)
        is_admitted = self.shares - self.admitted >= 1 - 1e-8
        self.admitted += is_admitted
        return is_admitted

    @property
    def is_timed(self) -> bool:
        return self.config.slow_after < inf

    def under_way(self, now: float) -> tuple[int, int]:
        """Return the calls under way, and those of them that are slow."""
        slow = sum(not ticket.settled for ticket in self.slow)
        calls = slow + len(self.probes)
        slow += sum(
            now - probe.taken > self.config.slow_after and not probe.answered
            for probe in self.probes
        )
        for slot in self.slots:
            calls += len(slot.tickets)
            slow += len(slot.tickets) if self.is_overdue(slot, now) else 0
        return calls, slow

    @property
    def width(self) -> float:
        return min(0.1, self.config.slow_after / 100)

    def is_overdue(self, slot: Slot, now: float) -> bool:
        return now - slot.began > self.config.slow_after + self.width

    def turn(self, now: float) -> None:
        """Begin a slot if it is time, and count the calls of those that are overdue."""
        if not self.is_timed or now < self.edge:
            return
        self.edge = now + self.width
        self.slots.append(Slot(now))
        while len(self.slots) > 1:
            slot = self.slots[0]
            if slot.tickets and not self.is_overdue(slot, now):
                break
            self.slots.pop(0)
            for ticket in slot.tickets:
                self.count_running(ticket, now)
        self.judge(now)

    def count_overdue(self, probes: list[Ticket], now: float) -> None:
        """Count the probes that have been running for too long: for the rules they have ended."""
        late = [probe for probe in probes if now - probe.taken > self.config.slow_after]
        for ticket in [probe for probe in late if not probe.answered]:
            probes.remove(ticket)
            self.spent += 1
            self.count_running(ticket, now)
        self.judge(now)

    def count_running(self, ticket: Ticket, now: float) -> None:
        self.slow.append(ticket)
        ticket.call = Call(now, failed=False, slow=True, running=True)
        if ticket.record == self.record:
            self.calls.append(ticket.call)

    def answer(self, ticket: Ticket, now: float) -> None:
        """Let the answer to a call begin: that is the end of its time, unless it is slow."""
        timed = self.is_timed and not ticket.settled and not ticket.answered
        if not timed or ticket.call is not None or now - ticket.taken > self.config.slow_after:
            return
        ticket.answered = True
        self.turn(now)
        self.leave(ticket)

    def leave(self, ticket: Ticket) -> None:
        for slot in self.slots:
            if ticket in slot.tickets:
                slot.tickets.remove(ticket)

    def settle(self, ticket: Ticket, outcome: str, now: float) -> None:
        if ticket.settled:
            return
        ticket.settled = True
        self.leave(ticket)
        if ticket.lost and (outcome == "ignored" or ticket.record != self.record):
            return
        if ticket in self.probes:
            self.probes.remove(ticket)
            self.spent += outcome != "ignored"
        failed = outcome == "failure"
        self.ignored += outcome == "ignored"
        self.failures += failed
        self.successes += outcome == "success"
        if not ticket.answered:
            self.turn(now)
        if outcome == "ignored" or ticket.record != self.record:
            return
        if ticket.call is None:
            slow = not ticket.answered and self.config.slow_after < now - ticket.taken
            self.calls.append(Call(now, failed, slow))
        else:
            self.end(ticket.call, failed, now)
        self.streak = self.streak + 1 if failed else 0
        self.judge(now)

    def end(self, call: Call, failed: bool, now: float) -> None:  # noqa: FBT001
        """End a call that is slow already; of the last N, the first that is running stands for it.

        It stays where it is in a window of time.
        """
        if self.state is HALF_OPEN or not isinstance(self.config.window, TimeWindow):
            running = (call for call in self.recorded(now) if call.running)
            call = next(running, call)
        call.running, call.failed = False, failed

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
        if self.state in {CLOSED, CLOSING}:
            enough = len(calls) >= self.config.effective_minimum_calls
            if (limit is not None and self.streak >= limit) or (enough and self.exceeds(calls)):
                self.enter(OPEN, now)
        elif self.state is HALF_OPEN:
            if limit is not None and any(call.failed for call in calls):
                self.enter(OPEN, now)
            elif len(calls) >= self.config.probes_to_judge:
                well = CLOSING if self.config.ramp_time else CLOSED
                self.enter(OPEN if self.exceeds(calls) else well, now)

    def exceeds(self, calls: list[Call]) -> bool:
        shares = (
            (self.config.failure_rate, sum(call.failed for call in calls)),
            (self.config.slow_call_rate, sum(call.slow for call in calls)),
        )
        return any(rate is not None and count / len(calls) >= rate for rate, count in shares)
