"""A fleet in one process: many workers, one store and one dependency, on a clock set by hand.

All that happens is drawn from one seed, so that a failing seed fails again in the same way. The
workers are real registries, breakers and fleets; the store is real, too, behind lines that lose
questions and answers, and that take their time: meanwhile the worker's calls go on, and others
come in between. Workers die, hang, pause and cancel; the store is flushed, and put back.

    python -m tests.stores.simulation --seeds 1000000       all cores
    python -m tests.stores.simulation --seed 4711           one, with its history
"""

from __future__ import annotations

import argparse
import copy
import logging
import multiprocessing
import random
import sys
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

from breaker_asgi import (
    BreakerConfig,
    BreakerRegistry,
    CircuitBreaker,
    CircuitBreakerError,
    CountWindow,
    Permit,
    TimeWindow,
)
from breaker_asgi.generation import Generation
from breaker_asgi.stores.fleet import COMPARE, Fleet
from breaker_asgi.stores.member import UNKNOWN, Member
from breaker_asgi.stores.memory import MemoryStore
from breaker_asgi.stores.probes import FleetProbes
from breaker_asgi.stores.protocol import NO_CALLS, Change, Counts, Report, Shared
from breaker_asgi.stores.record import Record

OPEN_TIME = 5.0
LEASE = 4.0
ALIKE = 1.5
"""Seconds after which all agree: a report, and a look at the store."""
SKEW = 0.01
KINDS: dict[str, dict[str, Any]] = {
    "streak": {"fail_max": 3, "half_open_calls": 2},
    "single": {"fail_max": 2, "half_open_calls": 1, "backoff": 1.1},
    "rate": {"failure_rate": 0.5, "minimum_calls": 4, "window": TimeWindow(600)},
    "count": {"failure_rate": 0.5, "window": CountWindow(6), "half_open_calls": 3},
    "slow": {
        "slow_call_rate": 0.5,
        "slow_call_duration": 0.5,
        "window": TimeWindow(8),
        "minimum_calls": 4,
        "half_open_calls": 2,
    },
}
LEGAL = {("closed", "open"), ("open", "half_open"), ("half_open", "open"), ("half_open", "closed")}
BY_HAND = {"forced_open", "disabled", "metrics_only"}


class LostError(Exception):
    """The line has lost a question or an answer."""


class Died(BaseException):
    """The worker is no more."""


class Violation(BaseException):
    """Something that must hold does not; no engine takes it for a fault of the store."""


def hold(holds: object, *what: object) -> None:
    if not holds:
        raise Violation(*what)


class Store(MemoryStore):
    """A store that watches what is done with it, and may forget."""

    def __init__(self, world: World) -> None:
        super().__init__(clock=lambda: 1000 + world.now)
        self._world = world
        self.reported: dict[tuple[str, int, str], Counts] = defaultdict(lambda: NO_CALLS)
        self._heard: set[tuple[str, int, str]] = set()
        self.version = 0
        """Raised whenever it is told something: what was found to hold then holds until it is."""

    def exchange(
        self, worker: str, number: int, reports: Sequence[Report], ask: Sequence[str]
    ) -> Mapping[str, Shared]:
        self.version += bool(reports)
        for each in reports:
            record = self.record(each.name)
            message = worker, number, each.name
            if each.generation == record.generation and message not in self._heard:
                self._heard.add(message)
                key = each.name, each.generation, worker
                self.reported[key] = add(self.reported[key], each.counts)
        return super().exchange(worker, number, reports, ask)

    def change(self, change: Change) -> Shared:
        self.version += 1
        before = self.record(change.name)
        was = before.generation, before.state
        shared = super().change(change)
        after = self.record(change.name)
        if (after.generation, after.state) != was or change.expected == was[0]:
            hold(change.expected == was[0], "a change from an old generation")
            hold(after.generation == was[0] + 1, "a change raises the generation by one")
            self._world.has_changed(change, was[1])
        elif (change.state, change.reason) == (after.state, after.reason):
            self._world.same_was_done(change.name)
        return shared

    def record(self, name: str) -> Record:
        return self._records.get(name) or Record()

    def dump(self) -> Any:
        kept = self._records, self._points, self._point, self.reported, self._heard
        return copy.deepcopy(kept)

    def load(self, kept: Any) -> None:
        self.version += 1
        self._records, self._points, self._point, self.reported, self._heard = copy.deepcopy(kept)

    def flush(self) -> None:
        self.version += 1
        self._records.clear()
        self._points.clear()
        self._point = 0
        self.reported.clear()
        self._heard.clear()


class Line:
    """A store as one worker reaches it."""

    label = "simulated"

    def __init__(self, world: World, worker: Worker) -> None:
        self._world = world
        self._worker = worker

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        return partial(self._ask, operation)

    def _ask(self, operation: str, *args: Any) -> Any:
        world, worker = self._world, self._worker
        world.commands += 1
        if not world.is_faulty:
            return world.do(worker, operation, *args)
        if world.now < max(world.out_until, worker.cut_until) or world.chance(world.loss):
            raise LostError("the question")
        world.meanwhile(worker)
        answer = world.do(worker, operation, *args)
        world.meanwhile(worker)
        if world.chance(world.loss):
            raise LostError("the answer")
        return answer


@dataclass(eq=False)
class Call:
    """A call to the dependency that is under way."""

    worker: Worker
    breaker: CircuitBreaker
    permit: Permit
    ends: float
    takes: float
    episode: tuple[str, int, int] | None = None
    """The half-open episode whose probe it is: name, incarnation of the store, generation."""
    leased_until: float = 0.0


class Worker:
    """A process. Its clock has nothing in common with others', nor goes as fast."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.name = f"w{number}"
        self.paused_until = self.cut_until = 0.0
        self.is_sick = self.steps = self.is_dead = False
        self._offset, self._rate = (
            world.random.uniform(0, 1e6),
            1 + world.random.uniform(-1, 1) * SKEW,
        )
        self.registry = BreakerRegistry(
            BreakerConfig(timeout_duration=OPEN_TIME, half_open_timeout=LEASE, clock=self.clock),
            settings=KINDS,
        )
        self.fleet = Fleet(
            cast("Any", Line(world, self)),
            worker=self.name,
            patience=0,
            clock=self.clock,
            quorum=world.quorum or 1,
        )
        self.registry.fleet = self.fleet
        self._members: list[Member] = []
        self.checked: dict[Member, tuple[object, ...]] = {}
        """What was looked at the last time that each of them was checked."""
        self.seen: dict[str, dict[Generation, Counts]] = defaultdict(
            lambda: defaultdict(lambda: NO_CALLS)
        )
        """What each of its breakers' generations has seen."""
        self.was: dict[Generation, set[int]] = defaultdict(set)
        """The fleet's generations that they were."""
        self.by_hand: dict[str, Generation] = {}
        """What a person has changed here, and the store has not been told."""
        self.at: dict[str, tuple[int, int]] = {}
        """The generation of each breaker, and the store's incarnation that it was seen in."""

    def clock(self) -> float:
        return self._offset + self._rate * self.world.now

    def start(self) -> None:
        self.step()
        for name in self.world.names:
            self.registry.get(name)
            if self.world.chance(0.5):
                self.step()

    def step(self) -> None:
        if self.steps or self.is_dead:
            return
        self.steps = True
        try:
            self.fleet.step()
        except Died:
            self.world.bury(self)
        finally:
            self.steps = False

    def member(self, name: str) -> Member:
        return self.fleet._members[self.registry[name]]

    @property
    def members(self) -> list[Member]:
        if len(self._members) != len(self.fleet._members):
            self._members = list(self.fleet._members.values())
        return self._members

    @property
    def runs(self) -> bool:
        return self.world.now >= self.paused_until and not self.is_dead


@dataclass
class World:
    """All there is."""

    seed: int
    size: int | None = None
    quorum: int | None = None
    loss: float = 0.05
    names: Sequence[str] = ()
    forgets: bool | None = None
    slow: float = 0.1
    is_faulty: bool = True
    now: float = 0.0
    out_until: float = 0.0
    commands: int = 0
    incarnation: int = 0
    forgot_at: float = -1e9
    sick: set[str] = field(default_factory=set)
    calls: list[Call] = field(default_factory=list)
    notes: list[tuple[float, int, str, tuple[object, ...]]] = field(default_factory=list)
    happened: Counter[str] = field(default_factory=Counter)
    depth: int = 0
    healed_at: float = 1e9

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        draw = self.random
        self.size = self.size or draw.choice((1, 2, 3, 4, 6))
        self.quorum = self.quorum or draw.choice((1, 1, 2, 3))
        self.names = self.names or sorted(draw.sample(sorted(KINDS), draw.choice((1, 2))))
        self.forgets = draw.random() < 0.4 if self.forgets is None else self.forgets
        self.proposer: Worker | None = None
        self.store = Store(self)
        self.copy = self.store.dump()
        self.made = self.checked = 0
        self.workers: list[Worker] = []
        for _ in range(self.size):
            self.add()

    def note(self, what: str, *values: object) -> None:
        """Write down what happened; put into words only if somebody reads it."""
        self.notes.append((self.now, self.depth, what, values))

    @property
    def history(self) -> list[str]:
        """What happened, line by line."""
        return [
            f"{now:8.3f} {'  ' * depth}{what.format(*values)}"
            for now, depth, what, values in self.notes
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
        self.calls = [each for each in self.calls if each.worker is not worker]

    def do(self, worker: Worker, operation: str, *args: Any) -> Any:
        self.proposer = worker
        self.happened[operation] += 1
        answer = getattr(self.store, operation)(*args)
        if operation != "changes":
            self.note("{} {}{!r} -> {!r}", worker.name, operation, args, answer)
        return answer

    def meanwhile(self, worker: Worker) -> None:
        """A command takes its time: the worker's calls go on, and so do the others."""
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

    # What may happen

    def events(self) -> Iterator[tuple[int, Callable[[], object]]]:
        """With their weights."""
        yield 35, self.call
        yield 30, self.end_calls
        yield 40, self.step
        if self.is_faulty:
            yield 2, self.turn
            yield 1, self.turn_one
            yield 1, self.kill
            yield 1, self.pause
            yield 1, self.cut
            yield 2, self.cancel
            yield 1, self.by_hand
            if self.chance(0.2):
                yield 1, self.restart_all
                yield 1, self.go_out
                if self.forgets:
                    yield 2, self.forget

    def happen(self) -> None:
        weights, events = zip(*self.events(), strict=True)
        event = self.random.choices(events, weights)[0]
        self.happened[event.__name__] += 1
        event()
        self.check()

    def some_worker(self) -> Worker | None:
        running = [each for each in self.workers if each.runs]
        return self.random.choice(running) if running else None

    def call(self, worker: Worker | None = None, name: str | None = None) -> bool:
        worker = worker or self.some_worker()
        if worker is None:
            return False
        breaker = worker.registry.get(name or self.random.choice(self.names))
        try:
            permit = breaker.acquire()
        except CircuitBreakerError:
            self.happened["rejected"] += 1
            return False
        takes = self.random.expovariate(8)
        if self.is_faulty and breaker.name in self.sick:
            takes += 60 if self.chance(0.04) else 0.6 if self.chance(0.5) else 0
        elif not self.is_faulty:
            takes = min(takes, 0.4)
        call = Call(worker, breaker, permit, self.now + takes, takes)
        probes = permit.generation.probes
        if isinstance(probes, FleetProbes) and permit in probes._of:
            self.begin_probe(call, probes)
        elif probes is not None:
            member = worker.member(breaker.name)
            hold(worker.fleet.is_out or member.alone, "a probe that nobody has lent")
            self.happened["probes alone"] += 1
        self.calls.append(call)
        self.note("{} calls {}, {}, {}", worker.name, breaker.name, permit.state, call.episode)
        return True

    def begin_probe(self, call: Call, probes: FleetProbes) -> None:
        self.happened["probes"] += 1
        lease = probes._of[call.permit]
        record = self.store.record(call.breaker.name)
        call.episode = call.breaker.name, self.incarnation, lease.generation
        if record.generation == lease.generation and self.forgot_at < self.now - LEASE - 1:
            until = record.leases.get(lease.name, 0) / 1000 - 1000
            hold(until > self.now - LEASE * 3 * SKEW, "a probe after its lease")
            call.leased_until = until

    def end_calls(self) -> None:
        for call in [each for each in self.calls if each.ends <= self.now and each.worker.runs]:
            self.calls.remove(call)
            sick = call.breaker.name in self.sick or call.worker.is_sick
            self.settle(call, failed=self.is_faulty and sick and self.chance(0.9))

    def settle(self, call: Call, *, failed: bool) -> None:
        breaker, generation = call.breaker, call.breaker._generation
        before = totals(breaker)
        if failed:
            call.permit.failure()
        else:
            call.permit.success()
        if call.leased_until and self.now > call.leased_until + 3 * SKEW * LEASE:
            hold(totals(breaker) == before, "a probe has counted after its lease")
        if call.permit.generation is generation:
            seen = call.worker.seen[breaker.name]
            seen[generation] = add(seen[generation], less(totals(breaker), before))
        self.note("{} ends {}, failed={}", call.worker.name, breaker.name, failed)

    def cancel(self) -> None:
        running = [each for each in self.calls if each.worker.runs]
        if running:
            call = self.random.choice(running)
            self.calls.remove(call)
            call.permit.ignore()
            self.note(f"{call.worker.name} cancels {call.breaker.name}")

    def step(self) -> None:
        if (worker := self.some_worker()) is not None:
            worker.step()

    def turn(self) -> None:
        self.sick ^= {self.random.choice(self.names)}
        self.note(f"sick: {sorted(self.sick)}")

    def turn_one(self) -> None:
        if (worker := self.some_worker()) is not None:
            worker.is_sick = not worker.is_sick

    def kill(self) -> None:
        """Anyone, or one that probes just now."""
        probers = [each.worker for each in self.calls if each.episode]
        if self.workers:
            self.bury(self.random.choice(probers or self.workers))
        self.add()

    def restart_all(self) -> None:
        for worker in list(self.workers):
            self.bury(worker)
        for _ in range(self.size or 0):
            self.add()

    def pause(self) -> None:
        if (worker := self.some_worker()) is not None:
            worker.paused_until = self.now + self.random.expovariate(0.2)
            self.note(f"{worker.name} pauses until {worker.paused_until:.1f}")

    def cut(self) -> None:
        if (worker := self.some_worker()) is not None:
            worker.cut_until = self.now + self.random.expovariate(0.2)
            self.note(f"{worker.name} is cut off until {worker.cut_until:.1f}")

    def go_out(self) -> None:
        self.out_until = self.now + self.random.expovariate(0.2)
        self.note(f"the store is out until {self.out_until:.1f}")

    def forget(self) -> None:
        self.incarnation += 1
        self.forgot_at = self.now
        if self.chance(0.4):
            self.note("the store is flushed")
            self.store.flush()
        else:
            self.note("the store is put back")
            self.store.load(self.copy)

    def by_hand(self) -> None:
        if (worker := self.some_worker()) is None:
            return
        breaker = worker.registry.get(self.random.choice(self.names))
        ways: list[Callable[[], None]] = [
            breaker.reset,
            breaker.close,
            breaker.half_open,
            partial(breaker.open, self.random.choice((None, 3))),
            partial(breaker.force_open, for_=self.random.choice((None, 3)), who="anna"),
            partial(breaker.disable, for_=3, who="bert"),
            partial(breaker.metrics_only, for_=self.random.choice((None, 3))),
        ]
        self.random.choice(ways)()
        worker.by_hand[breaker.name] = breaker._generation
        self.note(f"{worker.name} by hand: {breaker!r}")

    # What must hold

    def has_changed(self, change: Change, before: str) -> None:
        """A change of state was made: it has to be one that the rules know."""
        if self.chance(0.3):
            self.copy = self.store.dump()
        assert self.proposer is not None
        if "by hand" in change.reason:
            self.proposer.by_hand.pop(change.name, None)
            return
        if (before, change.state.value) in LEGAL:
            return
        member = self.proposer.member(change.name)
        breaker = self.proposer.registry[change.name]
        steps = breaker._generation.number - member.local.number
        forgot = self.incarnation and self.now - self.forgot_at < 60
        several = steps > 1 and (before, change.state) != ("closed", "half_open")
        hold(several or forgot, "no such way", before, change)

    def same_was_done(self, name: str) -> None:
        assert self.proposer is not None
        self.proposer.by_hand.pop(name, None)

    def check(self) -> None:
        """At any time."""
        for name in self.names:
            record = self.store.record(name)
            if record.state == "half_open":
                self.check_probes(name, record)
            if not self.incarnation and self.checked != self.store.version:
                self.check_sums(name, record)
        self.checked = version = self.store.version
        for worker in self.workers:
            problem = worker.fleet.problem
            if problem is not None and not problem.startswith("LostError"):
                raise Violation("the engine itself has failed", problem)
            for member in worker.members:
                breaker = cast("CircuitBreaker", member.breaker)
                now = version, member.generation, member.local, breaker._generation
                if worker.checked.get(member) != now:
                    worker.checked[member] = now
                    self.check_member(worker, member)

    def check_probes(self, name: str, record: Record) -> None:
        most = self.most(name)
        out = sum(until > (1000 + self.now) * 1000 for until in record.leases.values())
        hold(out + record.settled[0] <= most, "more probes than are allowed")
        episode = name, self.incarnation, record.generation
        calling = [e for e in self.calls if e.episode == episode and e.leased_until > self.now]
        hold(len(calling) + record.settled[0] <= most, "more probes at the dependency")

    def check_leases(self, worker: Worker) -> None:
        """What a worker has been lent since all is well is in use, or was a second ago."""
        for member in worker.members:
            probes = worker.registry[member.name]._generation.probes
            held = set()
            if isinstance(probes, FleetProbes):
                held = {each.name for each in probes._of.values()}
                soon = worker.clock() - 1.2
                held |= {each.name for each in probes._leases if each.granted > soon}
            for lease, until in self.store.record(member.name).leases.items():
                lent = until / 1000 - LEASE - 1000  # rounded, as the record's moments are
                if lease.startswith(f"{worker.name}:") and self.healed_at + 0.001 < lent:
                    hold(until / 1000 - 1000 < self.now or lease in held, "a lease is kept", lease)

    def most(self, name: str) -> int:
        most: int = KINDS[name].get("half_open_calls", 1)
        return most

    def check_sums(self, name: str, record: Record) -> None:
        told = NO_CALLS
        for (of, generation, _), counts in self.store.reported.items():
            if (of, generation) == (name, record.generation):
                told = add(told, counts)
        if name == "rate":
            kept = NO_CALLS
            for each in record.seconds.values():
                kept = add(kept, Counts(*each))
            hold(kept == told, "the store's sums are not what was reported", kept, told)

    def check_member(self, worker: Worker, member: Member) -> None:
        name, generation = member.name, member.generation
        before, incarnation = worker.at.get(name, (UNKNOWN, self.incarnation))
        if generation < before:
            forgot = self.incarnation and self.now - self.forgot_at < COMPARE
            hold(incarnation < self.incarnation or forgot, "back to an older generation")
        if generation != before:
            worker.at[name] = generation, self.incarnation
        worker.was[member.local].add(generation)
        changed, now = worker.by_hand.get(name), worker.registry[name]._generation
        if changed is not None and changed is not now is member.local and now.transition.age:
            hold(changed.number + 1 < now.number, "what was done by hand is lost")
        if self.incarnation:
            return
        record = self.store.record(name)
        hold(generation <= record.generation, "a generation that nobody has made")
        if generation == record.generation:
            hold(member.local.state == record.state, "the same generation, and another state")
        counts = self.store.reported.get((name, generation, worker.name), NO_CALLS)
        seen = self.seen(worker, generation, name, maybe=True)
        hold(
            at_most(counts, seen),
            "more was reported than was seen",
            worker.name,
            name,
            counts,
            seen,
        )

    def seen(self, worker: Worker, generation: int, name: str, *, maybe: bool = False) -> Counts:
        """What a worker has seen in one of the fleet's generations.

        And, maybe, what it saw before it knew of any: that may have been taken for it.
        """
        sums = NO_CALLS
        for each, counts in worker.seen[name].items():
            if generation in worker.was[each] or (maybe and each.number == 0):
                sums = add(sums, counts)
        return sums

    # The end

    def states(self, workers: Iterable[Worker] | None = None) -> list[str]:
        chosen = self.workers if workers is None else workers
        return [
            f"{w.name} {m.name} {m.breaker.state}" for w in chosen for m in w.members if m.breaker
        ]

    def disagreement(self) -> list[str]:
        """Who is in another state than the store says, and not by its own experience alone."""
        return [
            f"{worker.name} {member.name}"
            for worker in self.workers
            for member in worker.members
            if (breaker := member.breaker) is not None
            if not member.alone or breaker._generation.transition.by_hand
            if breaker._generation is not member.local
            or breaker.state != self.store.record(member.name).state
        ]

    def open_ones(self) -> list[str]:
        return [each for each in self.states() if not each.endswith("closed")]

    def go_on(
        self, seconds: float, callers: Sequence[Worker], until: Callable[[], object] | None = None
    ) -> bool:
        """Everybody steps, and some of them call, for so long."""
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
                self.cancel()
            for worker in self.workers:
                worker.step()
                self.check_leases(worker)
            self.check()
        return until is None or bool(until())

    def heal(self) -> None:
        """The faults are over; what hangs goes on hanging."""
        self.note("all faults are over")
        self.is_faulty = False
        self.healed_at = self.now
        self.sick.clear()
        for worker in self.workers:
            worker.paused_until = 0
            worker.is_sick = False

    def check_end(self) -> None:
        slack = COMPARE if self.incarnation else 0
        if not self.workers:
            self.add()
        agree = ALIKE + slack
        agreed = self.go_on(agree, (), lambda: not self.disagreement())
        hold(agreed, "no agreement", self.disagreement(), self.states())
        for name in self.names:
            if self.store.record(name).state in BY_HAND:
                self.workers[0].registry[name].reset(who="anna")
        alone = self.chance(0.5)
        callers = self.workers[:1] if alone else self.workers
        bound = (OPEN_TIME * 1.1**3 + LEASE + 1) * (1 + SKEW) + ALIKE + slack
        self.go_on(bound, callers)
        if alone:  # who is open by itself needs calls to find out
            shared = [self.store.record(name).state for name in self.names]
            hold(shared == ["closed"] * len(shared), "stuck", shared)
            hold(not self.disagreement(), "no agreement", self.disagreement())
            self.go_on(bound, self.workers)
        hold(not self.open_ones(), "stuck", self.open_ones())
        self.go_on(ALIKE, ())
        self.check_all_is_told()

    def check_all_is_told(self) -> None:
        for worker in self.workers if not self.incarnation else ():
            for member in worker.members:
                key = member.name, member.generation, worker.name
                told = self.store.reported.get(key, NO_CALLS)
                seen = self.seen(worker, member.generation, member.name)
                hold(at_most(seen, told), "not all is told", key, told, seen)


def add(one: Counts, other: Counts) -> Counts:
    if one is NO_CALLS:
        return other
    return Counts(one[0] + other[0], one[1] + other[1], one[2] + other[2])


def less(one: Counts, other: Counts) -> Counts:
    return Counts(one[0] - other[0], one[1] - other[1], one[2] - other[2])


def at_most(one: Counts, other: Counts) -> bool:
    return one[0] <= other[0] and one[1] <= other[1] and one[2] <= other[2]


def totals(breaker: CircuitBreaker) -> Counts:
    return Counts(breaker.successes + breaker.failures, breaker.failures, breaker.slow_calls)


def admitted_after_a_prober_has_died(seed: int) -> float:
    """Seconds from the death of a worker in the middle of a probe to the next admitted call."""
    world = World(seed, names=("single",), forgets=False, quorum=1, size=3, is_faulty=False)
    world.workers[0].registry["single"].open()
    world.go_on(OPEN_TIME + 1, ())
    victim, *others = world.workers
    while not world.happened["probes"]:
        world.now += 0.01
        world.call(victim, "single")
        victim.step()
    world.now += world.random.uniform(0, 0.5)
    world.bury(victim)
    died, rejected = world.now, world.happened["rejected"]
    while True:
        world.now += 0.05
        for worker in others:
            if world.call(worker, "single"):
                hold(world.happened["rejected"] > rejected, "it was the only probe")
                return world.now - died
            worker.step()
        hold(world.now < died + 60, "nobody was admitted")


def with_one_sick_worker(seed: int) -> World:
    """A quorum of two, and one worker that can't reach a dependency that is well."""
    world = World(seed, names=("streak",), forgets=False, quorum=2, size=4, is_faulty=False)
    sick, *others = world.workers
    for _ in range(600):
        world.now += world.random.expovariate(20)
        world.call()
        for call in [each for each in world.calls if each.ends <= world.now]:
            world.calls.remove(call)
            world.settle(call, failed=call.worker is sick)
        world.step()
        world.check()
        world.happened[sick.registry["streak"].state] += 1
        hold(all(each.registry["streak"].state == "closed" for each in others), "shop closed")
    hold(world.store.record("streak").generation == 0, "the fleet was changed")
    world.heal()
    world.check_end()
    return world


def after_the_store_has_forgotten(seed: int) -> None:
    """All know what was so; the store learns it from them, and nothing lasts the longer."""
    world = World(seed, names=("streak",), forgets=False, quorum=1, size=3, is_faulty=False)
    world.workers[0].registry["streak"].metrics_only()
    world.go_on(0.5, ())
    world.copy = world.store.dump()
    breaker = world.random.choice(world.workers).registry["streak"]
    if forced := world.chance(0.5):
        breaker.force_open(who="anna")
    else:
        breaker.reset()
        breaker.open()
    ends = world.now + OPEN_TIME
    world.go_on(world.random.uniform(0.5, 3), ())
    world.forget()
    world.go_on(COMPARE if forced else 0.5, ())
    record = world.store.record("streak")
    hold(record.state == ("forced_open" if forced else "open"), "not told again", record)
    hold(record.state == each.registry["streak"].state for each in world.workers)
    if not forced:
        until = record.changed / 1000 - 1000 + (record.lasts or 0)
        hold(abs(until - ends) < 0.5, "it lasts too long", until, ends)


def when_two_workers_are_sick(seed: int) -> None:
    """A quorum of two opens for all, in time."""
    world = World(seed, names=("streak",), forgets=False, quorum=2, size=4, is_faulty=False)
    world.go_on(ALIKE, ())
    for worker in world.workers[:2]:
        for _ in range(3):
            world.call(worker, "streak")
            world.settle(world.calls.pop(), failed=True)
    world.go_on(0.5, ())
    hold(world.store.record("streak").state == "open", "a quorum has not opened")


class FailedSeedError(AssertionError):
    """With how to run it again."""


def run(seed: int, events: int = 250, **settings: Any) -> World:
    """Let things go wrong for a while, and then well: all must agree, and all must be closed."""
    world: World | None = None
    logger = logging.getLogger("breaker_asgi")
    disabled, logger.disabled = logger.disabled, True
    try:
        world = World(seed, **settings)
        for _ in range(events):
            world.now += world.random.expovariate(20)
            world.happen()
        world.heal()
        world.check_end()
        if not settings and seed % 10 == 0:
            after_the_store_has_forgotten(seed)
            when_two_workers_are_sick(seed)
    except (Exception, Violation) as error:
        history = "\n".join(world.history[-200:]) if world else ""
        raise FailedSeedError(
            f"{history}\n\nseed {seed} of {settings}: {error!r}\n"
            f"again: python -m tests.stores.simulation --seed {seed}"
        ) from error
    finally:
        logger.disabled = disabled
    return world


def main() -> None:
    """Run many seeds on all cores, or one with its history."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int)
    asked = parser.parse_args()
    if asked.seed is not None:
        world = run(asked.seed)
        print("\n".join(world.history))
        return
    began, bad, happened = time.monotonic(), 0, Counter[str]()
    with multiprocessing.Pool() as pool:
        seeds = range(asked.first, asked.first + asked.seeds)
        for seed, problem, counts in pool.imap_unordered(outcome, seeds, chunksize=50):
            happened.update(counts)
            if problem is not None:
                bad += 1
                print(f"seed {seed}: {problem}", flush=True)
    took = time.monotonic() - began
    print(f"{asked.seeds} seeds, {bad} failed, {took:.0f} s; what happened:")
    print(", ".join(f"{name} {count}" for name, count in happened.most_common()))
    sys.exit(bad > 0)


def outcome(seed: int) -> tuple[int, str | None, Counter[str]]:
    try:
        return seed, None, run(seed).happened
    except FailedSeedError as error:
        cause = error.__cause__
        where = traceback.extract_tb(cause.__traceback__)[-1] if cause else None
        return seed, f"{cause!r} {where.name if where else ''}"[:300], Counter()


if __name__ == "__main__":
    main()
