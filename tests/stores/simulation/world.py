"""A world: its random choices, its time, its workers and calls."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from breaker_asgi import CircuitBreakerError
from breaker_asgi._fleet.leased_probes import LeasedProbes
from breaker_asgi.stores.protocol import Answer, Entry
from tests.stores.simulation.commands import Commands
from tests.stores.simulation.counting import Counting
from tests.stores.simulation.events import cancel, possible
from tests.stores.simulation.faults import HELD, Faults
from tests.stores.simulation.notes import Brief
from tests.stores.simulation.rules import Rules
from tests.stores.simulation.store import Store
from tests.stores.simulation.terms import KINDS, SKEW, TERM, hold, most
from tests.stores.simulation.workers import Call, Died, Worker


@dataclass
class World:
    """One run of the simulation."""

    seed: int
    size: int = 0
    """Workers; 0 for a random number. The same applies to the quorum and the names."""
    quorum: int = 0
    loss: float = 0.05
    """The share of lost requests, and of lost replies."""
    names: Sequence[str] = ()
    forgets: bool | None = None
    slow: float = 0.1
    """The share of operations during which other events happen."""
    is_faulty: bool = True
    faults: Faults = HELD
    now: float = 0.0
    out_until: float = 0.0
    slow_until: float = 0.0
    incarnation: int = 0
    """The number of times that the store has lost records."""
    forgot_at: float = -1e9
    failing: set[str] = field(default_factory=set)
    calls: list[Call] = field(default_factory=list)
    outcomes: dict[tuple[str, int, str], tuple[int, int]] = field(default_factory=dict)
    """The outcome of each ended probe: one call, and 1 if it failed."""
    notes: list[tuple[float, int, str, tuple[object, ...]]] = field(default_factory=list)
    happened: Counter[str] = field(default_factory=Counter)
    """The number of each event."""
    depth: int = 0
    """Operations in progress, one inside the other."""
    healed_at: float = 1e9
    sent_at: float = 0.0
    """When the request was sent that the store is just applying."""

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        draw = self.random
        self.size = self.size or draw.choice((1, 2, 3, 4, 6))
        self.quorum = self.quorum or draw.choice((1, 1, 2, 3))
        self.names = self.names or sorted(draw.sample(sorted(KINDS), draw.choice((1, 2))))
        self.forgets = draw.random() < 0.4 if self.forgets is None else self.forgets
        self.proposer: Worker | None = None
        self.commands = Commands(self)
        self.store = Store(self)
        self.copies = [self.store.dump()]
        self.rules = Rules(self)
        self.made = 0
        self.workers: list[Worker] = []
        for _ in range(self.size):
            self.add()

    def note(self, text: str, *values: object) -> None:
        """Record an event; its text is formatted only when it is read."""
        self.notes.append((self.now, self.depth, text, values))

    @property
    def history(self) -> list[str]:
        """The events, line by line."""
        return [
            f"{now:8.3f} {'  ' * depth}{text.format(*values)}"
            for now, depth, text, values in self.notes
        ]

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def add(self) -> None:
        self.made += 1
        worker = Worker(self, self.made)
        self.note(f"{worker.name} starts")
        self.workers.append(worker)
        worker.start()

    def bury(self, worker: Worker) -> None:
        if worker.is_dead:
            return
        worker.is_dead = True
        self.note(f"{worker.name} dies")
        self.workers.remove(worker)
        self.calls = [call for call in self.calls if call.worker is not worker]

    def some_worker(self) -> Worker | None:
        running = [worker for worker in self.workers if worker.runs]
        return self.random.choice(running) if running else None

    # The store, through a line

    def go_back(self, kept: Any) -> None:
        """Put the store back to an earlier state."""
        self.incarnation += 1
        self.forgot_at = self.now
        self.store.load(kept)

    def sync(
        self, worker: Worker, sent_at: float, number: int, cursor: int, batch: Sequence[Entry]
    ) -> Answer:
        """Have the store apply a worker's batch."""
        self.proposer, self.sent_at = worker, sent_at
        self.happened["sync"] += 1
        name = worker.name
        answer = self.store.sync(name, number, cursor, batch)
        for breaker, reply in answer.replies.items():
            worker.incarnations[breaker, reply.shared.generation] = self.incarnation
        for entry in batch:
            answered = answer.replies.get(entry.name) or answer.unreadable[entry.name]
            self.note("{} {} {} -> {}", name, number, Brief(entry), Brief(answered))
        return answer

    def meanwhile(self, worker: Worker) -> None:
        """Let other events happen during half a round trip of the worker."""
        if self.now < self.slow_until:
            self.pass_slowly(self.now + self.random.uniform(0.1, 0.5))
            if worker.is_dead:
                raise Died
        if self.depth > 1 or not self.chance(self.slow):
            return
        self.depth += 1
        self.happened["meanwhile"] += 1
        for _ in range(self.random.randrange(1, 6)):
            self.now += self.random.expovariate(self.random.choice((1, 5, 50)))
            self.happen()
        self.depth -= 1
        if worker.is_dead or self.chance(0.03):
            raise Died

    def pass_slowly(self, until: float) -> None:
        """Let time pass, with other events unless this is one of them."""
        self.happened["slow"] += 1
        self.depth += 1
        while self.depth == 1 and self.now < until:
            self.now += self.random.expovariate(20)
            self.happen()
        self.depth -= 1
        self.now = max(self.now, until)

    # The workers and their calls

    def happen(self) -> None:
        """Let one event happen, and check the rules."""
        weights, events = zip(*possible(self), strict=True)
        event = self.random.choices(events, weights)[0]
        self.happened[event.__name__] += 1
        event(self)
        self.rules.check()

    def call(self, worker: Worker | None = None, name: str | None = None) -> bool:
        worker = worker or self.some_worker()
        if worker is None:
            return False
        breaker = worker.registry.get(name or self.random.choice(self.names))
        counting, permit = Counting(self, worker, breaker), None
        try:
            permit = breaker.acquire()
        except CircuitBreakerError:
            self.happened["rejected"] += 1
        counting.admitted()
        if permit is None:
            return False
        takes = self.random.expovariate(8)
        if self.is_faulty and breaker.name in self.failing:
            takes += 60 if self.chance(0.04) else 0.6 if self.chance(0.5) else 0
        elif not self.is_faulty:
            takes = min(takes, 0.3)  # and no slow call, though it may be seen to end a tick late
        call = Call(worker, breaker, permit, self.now + takes, self.now, worker.clock())
        call.counts = not permit.settled
        probes = permit.generation.probes
        if isinstance(probes, LeasedProbes) and id(permit) in probes._leased:
            self.begin_probe(call, probes)
        elif probes is not None:
            link = worker.link(breaker.name)
            assert isinstance(probes, LeasedProbes)
            by_itself = link.is_out or link.alone or probes._is_in_vain(worker.clock())
            hold(by_itself, "a probe that the store has not lent")
            self.happened["probes alone"] += 1
            others = [other for other in self.calls if other.is_alone_with(call)]
            hold(len(others) < most(breaker.name), "more probes alone than are allowed")
        self.calls.append(call)
        self.note("{} calls {}, {}, {}", worker.name, breaker.name, permit.state, call.episode)
        return True

    def begin_probe(self, call: Call, probes: LeasedProbes) -> None:
        self.happened["probes"] += 1
        lease = probes._leased[id(call.permit)]
        record = self.store.record(call.breaker.name)
        call.episode = call.breaker.name, self.incarnation, lease.generation
        call.probe = call.breaker.name, lease.generation, lease.name
        if record.generation == lease.generation and self.forgot_at < self.now - TERM - 1:
            until = self.store.ends[call.probe]
            hold(lease.name in record.leases or until <= self.now, "a probe that was given back")
            hold(until > self.now - TERM * 3 * SKEW, "a probe after its lease")
            call.leased_until = until

    def end_calls(self) -> None:
        for call in [call for call in self.calls if call.ends <= self.now and call.worker.runs]:
            self.calls.remove(call)
            fails = call.breaker.name in self.failing or call.worker.is_failing
            self.settle(call, failed=self.is_faulty and fails and self.chance(0.9))

    def settle(self, call: Call, *, failed: bool) -> None:
        counting = Counting(self, call.worker, call.breaker)
        if call.probe is not None and not call.is_overdue:
            self.outcomes[call.probe] = 1, int(failed)
        if failed:
            call.permit.failure()
        else:
            call.permit.success()
        counting.ended(call, failed=failed)
        self.note("{} ends {}, failed={}", call.worker.name, call.breaker.name, failed)

    # The end

    def go_on(
        self, seconds: float, callers: Sequence[Worker], until: Callable[[], object] | None = None
    ) -> bool:
        """Let all workers step, and `callers` call, for `seconds`."""
        end = self.now + seconds
        while self.now < end:
            if until is not None and until():
                return True
            self.now += 0.1
            for worker in callers:
                for name in self.names:
                    self.call(worker, name)
            self.end_calls()
            if self.chance(0.1):
                cancel(self)
            for worker in self.workers:
                if worker.has_something_to_do:
                    worker.step()
                self.rules.check_leases(worker)
            self.rules.check()
        return until is None or bool(until())

    def heal(self) -> None:
        """End all faults; calls that hang go on hanging."""
        self.note("all faults are over")
        self.is_faulty = False
        self.healed_at = self.now
        self.failing.clear()
        for worker in self.workers:
            worker.paused_until = 0
            worker.is_failing = False
