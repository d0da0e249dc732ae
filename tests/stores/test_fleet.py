"""The fleet: what one worker learns, all know, and no call waits for the store."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from breaker_asgi import (
    BreakerConfig,
    BreakerRegistry,
    CircuitBreaker,
    CircuitBreakerError,
    CircuitBreakerListener,
    CircuitBreakerState,
    Permit,
)
from breaker_asgi._core.permit import Block
from breaker_asgi._fleet.fleet import Fleet
from breaker_asgi._fleet.leased_probes import _KEPT, LeasedProbes
from breaker_asgi._fleet.member import Member
from breaker_asgi._fleet.threads import ListenerThread
from breaker_asgi.stores.memory import MemoryStore
from breaker_asgi.stores.protocol import Change, Shared
from breaker_asgi.testing import FakeClock
from tests.stores.place import LEASE, OPEN_TIME, Place, Worker


class TestAgreeing:
    def test_what_opens_in_one_worker_is_open_in_all(self, place: Place) -> None:
        one, other = place.two()
        one.fails(5)
        one.step()
        other.step()
        assert other.state == "open"
        with pytest.raises(CircuitBreakerError, match="5 failures in a row"):
            other.breaker.acquire()

    def test_of_two_that_open_at_once_one_makes_the_change(self, place: Place) -> None:
        one, other = place.two()
        one.fails(5)
        other.fails(5)
        place.later(0)
        assert (one.state, other.state, place.known().generation) == ("open", "open", 1)

    def test_who_was_slower_follows(self, place: Place) -> None:
        one, other = place.two()
        one.fails(5)
        one.step()
        other.breaker._change(one.breaker._generation.transition._replace(reason="late"))
        other.step()
        assert other.breaker._generation.reason == "5 failures in a row"

    def test_what_is_heard_while_it_looks_at_something_else_is_not_missed(
        self, place: Place
    ) -> None:
        one, other = place.two()
        ear = other.fleet._listener = ListenerThread(other.fleet)
        other.step()
        other.registry.get("refunds")  # which it has to ask about
        asked = other.line.asked["exchange"]

        def meanwhile() -> None:
            if other.line.asked["exchange"] > asked and one.state == "closed":
                one.fails(5)
                one.step()
                ear.has_news = True

        other.line.takes = meanwhile
        other.step()
        assert (one.state, other.state) == ("open", "closed")
        other.step()
        assert other.state == "open"

    def test_a_breaker_that_is_made_later_starts_with_what_is_known(self, place: Place) -> None:
        one = place.worker()
        one.fails(5)
        one.step()
        late = Worker(place.store, place.clock, 1, {})
        place.clock.advance(OPEN_TIME - 1)
        assert late.state == "open"
        with pytest.raises(CircuitBreakerError):
            late.breaker.acquire()
        place.clock.advance(1.1)
        assert late.probe() is not None

    def test_a_store_that_takes_its_time_to_tell_makes_no_open_time_shorter(
        self, place: Place
    ) -> None:
        late = Worker(place.store, place.clock, 1, {})
        one = place.worker()
        one.fails(5)
        one.step()
        late.line.takes = lambda: place.clock.advance(0.25)
        late.step()
        place.clock.advance(1)
        assert late.breaker._generation.until == one.breaker._generation.until

    def test_one_that_starts_late_in_a_closed_fleet_can_open_it(self, place: Place) -> None:
        one = place.worker()
        one.breaker.reset()
        one.step()
        late = Worker(place.store, place.clock, 1, {})
        late.fails(5)
        late.step()
        assert (late.state, place.known().generation) == ("open", 2)

    def test_openings_in_a_row_are_the_fleets(self, place: Place) -> None:
        one, other = place.two(backoff=2)
        one.fails(5)
        place.later(0)
        place.clock.advance(OPEN_TIME + 1)
        probe = other.probe()
        assert probe is not None
        probe.failure()
        place.later(0)
        assert place.known().lasts == pytest.approx(2 * OPEN_TIME, abs=0.001)
        assert one.breaker._openings == 2

    def test_a_call_of_an_earlier_generation_is_not_reported(self, place: Place) -> None:
        one = place.worker()
        late = one.breaker.acquire()
        one.breaker.reset()
        one.step()
        late.failure()
        place.later()
        assert place.known().streak == 0


class TestProbes:
    def half_open(self, place: Place, **settings: Any) -> tuple[Worker, Worker]:
        one, other = place.two(**settings)
        one.fails(5)
        place.later()
        place.clock.advance(OPEN_TIME)
        return one, other

    def test_there_are_no_more_than_are_allowed_over_all_workers(self, place: Place) -> None:
        one, other = self.half_open(place, half_open_calls=2)
        assert one.probe()
        assert other.probe()
        place.clock.advance(0.1)
        assert not one.probe()
        assert not other.probe()

    def test_those_of_all_workers_are_judged_together(self, place: Place) -> None:
        one, other = self.half_open(place, half_open_calls=2)
        probes = one.probe(), other.probe()
        for each in probes:
            assert each is not None
            each.success()
        place.later()
        assert one.state == other.state == "closed"

    def test_one_that_was_cancelled_is_somebody_elses_at_once(self, place: Place) -> None:
        one, other = self.half_open(place)
        probe = one.probe()
        assert probe is not None
        assert not other.probe()
        probe.ignore()
        one.step()
        place.clock.advance(0.06)
        assert other.probe()

    def test_one_whose_worker_has_died_is_somebody_elses_after_its_lease(
        self, place: Place
    ) -> None:
        one, other = self.half_open(place)
        assert one.probe()
        place.workers.remove(one)
        place.later(LEASE - 0.5)
        assert not other.probe()
        place.clock.advance(0.6)
        assert other.probe()

    def test_one_that_ends_after_its_lease_counts_in_the_same_half_open_state(
        self, place: Place
    ) -> None:
        one, other = self.half_open(place)
        probe = one.probe()
        assert probe is not None
        place.later(LEASE + 0.1)
        probe.success()
        place.later()
        assert one.state == other.state == "closed"

    def test_one_that_ends_after_its_state_counts_for_nothing(self, place: Place) -> None:
        one, other = self.half_open(place)
        probe = one.probe()
        assert probe is not None
        place.later(LEASE + 0.1)
        other.breaker.open()
        place.later()
        probe.success()
        place.later()
        assert one.state == other.state == "open"

    def test_a_call_inside_of_one_whose_lease_is_over_is_not_admitted(self, place: Place) -> None:
        one, _ = self.half_open(place)
        probe = one.probe()
        assert probe is not None
        with Block(probe):
            assert one.breaker.acquire().settled
            place.clock.advance(LEASE + 0.1)
            with pytest.raises(CircuitBreakerError):
                one.breaker.acquire()

    def test_one_that_no_call_uses_goes_back_after_a_second(self, place: Place) -> None:
        one, other = self.half_open(place)
        with pytest.raises(CircuitBreakerError):
            one.breaker.acquire()
        one.step()
        assert place.known().probes == 1
        place.later()
        assert place.known().probes == 0
        assert other.probe()

    @pytest.mark.parametrize("gap", [1.5, 2.7, LEASE * 5, 300])
    def test_calls_that_are_rare_and_can_not_wait_get_one_in_the_end(
        self, place: Place, gap: float
    ) -> None:
        one, other = self.half_open(place)

        def call() -> bool:
            """Its thread gets one when the call has gone."""
            try:
                one.breaker.acquire().success()
            except CircuitBreakerError:
                one.step()
                place.clock.advance(_KEPT + 0.1)
                one.step()
                place.clock.advance(gap - _KEPT - 0.1)
                return False
            return True

        assert [call() for _ in range(3)][::2] == [False, True]
        place.later()
        assert one.state == other.state == "closed"

    def test_one_that_is_kept_for_a_rare_call_lasts_no_longer_once_it_is_used(
        self, place: Place
    ) -> None:
        one, other = self.half_open(place)
        for _ in range(2):
            assert not self.begins(one)
            one.step()
            place.later(1.1)
        probe = one.probe()
        assert probe is not None
        place.clock.advance(LEASE + 0.1)
        probe.ignore()
        place.later(60)
        assert one.state == "half_open"
        assert other.probe()

    def test_one_that_is_kept_for_a_rare_call_is_not_kept_for_ever(self, place: Place) -> None:
        one, other = self.half_open(place)
        for _ in range(2):
            assert not self.begins(one)
            one.step()
            place.later(1.1)
            place.clock.advance(LEASE)
        assert not other.probe()
        place.later(0.1)
        assert other.probe()

    def test_those_that_nobody_settles_are_not_remembered(self, place: Place) -> None:
        one, _ = self.half_open(place)
        for _ in range(5):
            assert one.probe()
            place.later(LEASE + 1)
        probes = one.breaker._generation.probes
        assert isinstance(probes, LeasedProbes)
        assert len(probes._leased) == 1

    def test_a_store_that_takes_its_time_for_each_of_them_lends_no_more(self, place: Place) -> None:
        one, other = self.half_open(place, half_open_calls=6)
        one.line.takes = lambda: place.clock.advance(0.1)
        for worker in (one, other):
            with pytest.raises(CircuitBreakerError):
                worker.breaker.acquire()
            worker.fleet._members[worker.breaker].wanted = 6
            worker.step()
        assert one.fleet.step_trouble is None
        assert place.known().probes == 6
        began = [each for each in (one, other) for _ in range(7) if self.begins(each)]
        assert len(began) == 6

    def begins(self, worker: Worker) -> bool:
        try:
            worker.breaker.acquire()
        except CircuitBreakerError:
            return False
        return True

    def test_refused_calls_do_not_ask_again_and_again(self, place: Place) -> None:
        one, other = self.half_open(place)
        assert one.probe()
        for _ in range(1000):
            assert not other.probe()
        assert other.line.asked["claim"] == 1

    def test_an_async_call_waits_until_the_probe_is_there(self, place: Place) -> None:
        one, _ = self.half_open(place)
        one.fleet.patience = 5

        async def call() -> Permit:
            asyncio.get_running_loop().run_in_executor(None, self.step_soon, one)
            return await one.breaker.acquire_async()

        assert asyncio.run(call()).state == "half_open"

    def test_a_thread_waits_until_the_probe_is_there(self, place: Place) -> None:
        one, _ = self.half_open(place)
        one.fleet.patience = 5
        thread = threading.Thread(target=self.step_soon, args=(one,))
        thread.start()
        assert one.breaker.acquire().state == "half_open"
        thread.join()

    def step_soon(self, worker: Worker) -> None:
        member = worker.fleet._members[worker.breaker]
        while not member.wanted:
            time.sleep(0.001)
        worker.step()

    def test_nobody_waits_longer_than_the_patience(self, place: Place) -> None:
        one, _ = self.half_open(place)
        one.fleet.patience = 0.05
        began = time.perf_counter()
        with pytest.raises(CircuitBreakerError):
            one.breaker.acquire()
        with pytest.raises(CircuitBreakerError):
            asyncio.run(one.breaker.acquire_async())
        assert 0.05 < time.perf_counter() - began < 2

    def test_a_plain_call_on_an_event_loop_does_not_wait(self, place: Place) -> None:
        one, _ = self.half_open(place)
        one.fleet.patience = 5

        async def call() -> None:
            began = time.perf_counter()
            with pytest.raises(CircuitBreakerError):
                one.breaker.acquire()
            assert time.perf_counter() - began < 1

        asyncio.run(call())


class TestLog:
    """What the workers log of one outage: `said` gives the levels and messages since the last."""

    @pytest.fixture
    def said(self, caplog: pytest.LogCaptureFixture) -> Callable[[], list[tuple[str, str]]]:
        caplog.set_level(logging.DEBUG)

        def take() -> list[tuple[str, str]]:
            taken = [(each.levelname, each.getMessage()) for each in caplog.records]
            caplog.clear()
            return taken

        return take

    def test_of_an_opening_one_worker_warns(
        self, place: Place, said: Callable[[], list[tuple[str, str]]]
    ) -> None:
        one, *_ = (place.worker() for _ in range(3))
        one.fails(5)
        place.later()
        opened = "breaker 'payments': closed -> open for"
        assert said() == [
            ("WARNING", f"{opened} 10 s (5 failures in a row)"),
            ("INFO", f"{opened} 8.9 s (5 failures in a row; in another worker)"),
            ("INFO", f"{opened} 8.9 s (5 failures in a row; in another worker)"),
        ]

    def test_who_comes_later_tells_how_long_it_stays_open_from_then(
        self, place: Place, said: Callable[[], list[tuple[str, str]]]
    ) -> None:
        one = place.worker()
        one.fails(5)
        one.step()
        place.clock.advance(4)
        said()
        place.worker()
        [(level, message)] = said()
        assert level == "INFO"
        assert "closed -> open for 6 s" in message

    def test_a_child_process_leaves_an_opening_to_its_parent(
        self, place: Place, said: Callable[[], list[tuple[str, str]]]
    ) -> None:
        one = place.worker()
        one.fails(5)
        member = one.breaker._fleet
        assert isinstance(member, Member)
        member.start_anew()
        one.step()
        assert said() == []

    def test_of_workers_that_open_at_the_same_time_one_warns(
        self, place: Place, said: Callable[[], list[tuple[str, str]]]
    ) -> None:
        workers = [place.worker() for _ in range(3)]
        for each in workers:
            each.fails(5)
        assert [each.state for each in workers] == ["open"] * 3
        assert said() == []
        place.later()
        told = said()
        assert sorted(level for level, _ in told) == ["INFO", "INFO", "WARNING"]
        assert all("closed -> open" in message for _, message in told)

    def test_so_it_is_where_the_store_has_the_same_change_already(
        self, place: Place, said: Callable[[], list[tuple[str, str]]]
    ) -> None:
        one, other = place.two()
        one.fails(5)
        other.fails(5)

        def be_overtaken() -> None:
            if other.line.asked["change"] == 1:
                one.step()

        other.line.takes = be_overtaken
        other.step()
        opened = "breaker 'payments': closed -> open for 10 s (5 failures in a row"
        assert said() == [("WARNING", f"{opened})"), ("INFO", f"{opened}; in another worker)")]

    def test_a_store_that_keeps_few_digits_withholds_no_warning(
        self,
        place: Place,
        said: Callable[[], list[tuple[str, str]]],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        change = place.store.change
        monkeypatch.setattr(
            place.store,
            "change",
            lambda made: replace(change(made), lasts=round(made.lasts or 0, 3)),
        )
        one = place.worker()
        one.fails(5)
        one.step()
        assert [level for level, _ in said()] == ["WARNING"]

    def test_an_opening_that_is_overtaken_before_it_is_told_is_not_lost(
        self, place: Place, said: Callable[[], list[tuple[str, str]]]
    ) -> None:
        one = place.worker()
        member, before = one.breaker._fleet, one.breaker._generation
        assert member
        one.fails(5)
        opened = one.breaker._generation
        one.step()
        one.breaker.reset()
        said()
        member.changed_state(before, opened)
        assert [level for level, _ in said()] == ["WARNING"]

    def test_what_another_worker_has_closed_is_told(
        self, place: Place, said: Callable[[], list[tuple[str, str]]]
    ) -> None:
        one, other = place.two()
        one.fails(5)
        other.step()
        place.later(OPEN_TIME + 1)
        said()
        probe = one.probe()
        assert probe
        probe.success()
        place.later()
        assert said() == [
            ("INFO", f"breaker 'payments': {changed}")
            for changed in (
                "open -> half-open (the open time has passed)",
                "half-open -> closed (the probes succeeded)",
                "open -> closed (the probes succeeded; in another worker)",
            )
        ]

    def test_what_a_person_sets_is_a_warning_where_it_is_set(
        self, place: Place, said: Callable[[], list[tuple[str, str]]]
    ) -> None:
        one, _ = place.two()
        one.breaker.force_open(who="ann", why="sale")
        place.later()
        forced = "breaker 'payments': closed -> forced open (forced open by hand: sale; by ann"
        assert said() == [("WARNING", f"{forced})"), ("INFO", f"{forced}; in another worker)")]

    def test_without_the_store_each_warns_at_once(
        self, place: Place, said: Callable[[], list[tuple[str, str]]]
    ) -> None:
        one, _ = place.two()
        one.line.is_out = True
        place.later()
        said()
        one.fails(5)
        assert [level for level, _ in said()] == ["WARNING"]

    def test_a_store_that_is_found_to_be_out_withholds_no_warning(
        self, place: Place, said: Callable[[], list[tuple[str, str]]]
    ) -> None:
        one = place.worker()
        one.line.is_out = True
        one.fails(5)
        assert said() == []
        one.step()
        assert [message.partition(" does")[0] for level, message in said() if level != "DEBUG"] == [
            "the store line",
            "breaker 'payments': closed -> open for 10 s (5 failures in a row)",
        ]
        one.line.is_out = False
        place.later()
        assert [message for _, message in said()] == ["the store line works again"]

    def test_an_opening_that_is_over_before_the_store_knows_of_it_is_told_in_order(
        self, place: Place, said: Callable[[], list[tuple[str, str]]]
    ) -> None:
        one = place.worker()
        one.fails(5)
        one.breaker.reset()
        assert [level for level, _ in said()] == ["WARNING", "INFO"]

    def test_a_listener_that_dawdles_withholds_no_warning(
        self, place: Place, said: Callable[[], list[tuple[str, str]]]
    ) -> None:
        one = place.worker()

        class Dawdler:
            def state_change(
                self, breaker: CircuitBreaker, old: CircuitBreakerState, new: CircuitBreakerState
            ) -> None:
                place.later()

        one.breaker.add_listener(Dawdler())
        one.fails(5)
        assert [level for level, _ in said()] == ["WARNING"]

    def test_who_opens_alone_for_want_of_a_quorum_warns(
        self, place: Place, said: Callable[[], list[tuple[str, str]]]
    ) -> None:
        one, _ = place.two(quorum=2)
        one.fails(5)
        place.later()
        assert [level for level, _ in said()] == ["WARNING"]


class TestStoreThatIsOut:
    def test_decisions_stay_local(self, place: Place) -> None:
        one, other = place.two(half_open_calls=2)
        one.line.is_out = True
        place.later()
        one.fails(5)
        assert (one.state, other.state) == ("open", "closed")
        place.later(OPEN_TIME + 1)
        probes = one.breaker.acquire(), one.breaker.acquire()
        with pytest.raises(CircuitBreakerError):
            one.breaker.acquire()
        for each in probes:
            each.success()
        assert one.state == "closed"

    def test_a_probe_that_it_has_lent_before_frees_none_when_its_lease_ends(
        self, place: Place
    ) -> None:
        one = place.worker()
        one.fails(5)
        place.later()
        place.clock.advance(OPEN_TIME)
        assert one.probe()
        one.line.is_out = True
        place.later()
        probe = one.breaker.acquire()
        place.clock.advance(LEASE - 1)
        with pytest.raises(CircuitBreakerError):
            one.breaker.acquire()
        assert not probe.settled

    def test_it_is_said_once_and_so_is_its_end(
        self, place: Place, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.WARNING)
        one = place.worker()
        one.line.is_out = True
        for _ in range(5):
            place.later()
        assert one.fleet.step_trouble == "OSError: no route"
        one.line.is_out = False
        place.later()
        assert one.fleet.step_trouble is None
        assert [each.getMessage() for each in caplog.records] == [
            (
                "the store line does not work; each process decides alone until it does: "
                "OSError: no route"
            ),
            "the store line works again",
        ]

    def test_what_happened_meanwhile_is_known_to_all_afterwards(self, place: Place) -> None:
        one, other = place.two()
        other.line.is_out = True
        place.later()
        one.fails(5)
        place.later()
        assert other.state == "closed"
        other.line.is_out = False
        place.later()
        assert other.state == "open"

    def test_one_that_hangs_is_as_one_that_is_out(self, place: Place) -> None:
        one = place.worker()
        one.fails(5)
        place.later(OPEN_TIME)

        def hang() -> None:
            place.clock.advance(0.6)
            if one.state == "open":
                one.succeeds()

        one.line.takes = hang
        one.step()
        assert one.state == "closed"

    def test_a_listener_that_hangs_is_not_the_stores_fault(self, place: Place) -> None:
        one, other = place.two()

        class Slow(CircuitBreakerListener):
            troubles: ClassVar[list[str | None]] = []

            def state_change(
                self, breaker: CircuitBreaker, old: CircuitBreakerState, new: CircuitBreakerState
            ) -> None:
                self.troubles.append(one.fleet.trouble)
                place.clock.advance(0.6)
                self.troubles.append(one.fleet.trouble)

        one.breaker.add_listener(Slow())
        other.breaker.force_open()
        other.step()
        one.step()
        assert Slow.troubles == [None, "a listener blocks its thread"]
        assert one.fleet.trouble is None

    def test_one_breaker_that_it_can_not_change_holds_up_no_other(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one, other = place.two()
        poisoned = one.registry.get("poisoned")
        one.step()
        change = place.store.change

        def refuse(wanted: Change) -> Shared:
            if wanted.name == "poisoned":
                raise OSError("a broken key")
            return change(wanted)

        monkeypatch.setattr(place.store, "change", refuse)
        poisoned.force_open()
        one.breaker.force_open()
        place.later()
        assert other.state == "forced_open"
        monkeypatch.undo()
        place.later()
        assert one.fleet.trouble is None
        assert place.store.changes(0)[1] == ["payments", "poisoned"]

    def test_one_that_keeps_something_else_than_it_is_told_is_out(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one = place.worker()
        change = place.store.change

        def keep(wanted: Change) -> Shared:
            return change(replace(wanted, reason="cut", by_hand=False))

        monkeypatch.setattr(place.store, "change", keep)
        one.breaker.force_open(why="a long story")
        one.step()
        assert one.fleet.step_trouble == "RuntimeError: it keeps a different change"
        assert one.state == "forced_open"


class Sick(MemoryStore):
    """Each command raises, where that is asked for."""

    raises: BaseException | None = None

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        error = super().__getattribute__("raises")
        if error is not None and name in {"exchange", "changes", "change", "wait", "publish"}:
            raise error
        return found


class MuteError(Exception):
    """It can't say what it is."""

    def __str__(self) -> str:
        raise ValueError


def wait_until(holds: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)


class TestThread:
    @pytest.fixture(autouse=True)
    def _short_pauses(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have the thread step often, and pause briefly after failures."""
        monkeypatch.setattr("breaker_asgi._fleet.fleet.INTERVAL", 0.05)
        monkeypatch.setattr("breaker_asgi._fleet.threads._LONGEST_PAUSE", 0.05)
        monkeypatch.setattr("breaker_asgi._fleet.threads._LONGEST_WAIT", 0.05)

    def test_it_keeps_two_processes_in_step(self, run_fleet: Any) -> None:
        store = MemoryStore()
        one, other = run_fleet(store), run_fleet(store)
        other.get("payments")
        one.get("payments").force_open()
        wait_until(lambda: other.get("payments").state == "forced_open")

    def test_it_ends_with_the_fleet_and_has_told_everything(self) -> None:
        store = MemoryStore()
        registry = BreakerRegistry(BreakerConfig())
        fleet = registry.fleet = Fleet(store)
        fleet.start()
        thread = fleet._thread
        registry.get("payments")
        time.sleep(0.2)
        registry.get("payments").acquire().failure()
        fleet.stop()
        assert thread is not None
        assert not thread.is_alive()
        assert store.exchange("onlooker", 0, (), ["payments"])["payments"].streak == 1

    def test_a_breaker_goes_on_by_itself_when_sharing_was_stopped(self, run_fleet: Any) -> None:
        clock = FakeClock()
        registry = run_fleet(MemoryStore())
        breaker = registry.get("payments", fail_max=1, timeout_duration=10, clock=clock)
        registry.fleet.stop()
        assert registry.fleet.trouble == "sharing was stopped"
        breaker.acquire().failure()
        clock.advance(11)
        breaker.acquire().success()
        assert breaker.state == "closed"

    def test_an_outage_of_hours_does_not_end_it(self, run_fleet: Any) -> None:
        store = Sick()
        fleet = run_fleet(store).fleet
        assert fleet._thread.has_begun.wait(10)
        fleet._failures = 100_000
        store.raises = OSError("no route")
        fleet.wake()
        wait_until(lambda: fleet.step_trouble is not None)
        store.raises = None
        wait_until(lambda: fleet.step_trouble is None)

    @pytest.mark.parametrize("error", [MuteError(), SystemExit(), KeyboardInterrupt()], ids=repr)
    def test_nothing_that_a_store_raises_ends_it(
        self, run_fleet: Any, error: BaseException
    ) -> None:
        store = Sick()
        one, other = run_fleet(store), run_fleet(store)
        store.raises = error
        one.fleet.wake()
        wait_until(lambda: one.fleet.step_trouble is not None)
        store.raises = None
        one.get("payments").force_open()
        wait_until(lambda: other.get("payments").state == "forced_open")
        assert one.fleet.trouble is None

    def test_a_listener_that_ends_threads_does_not_end_it(self, run_fleet: Any) -> None:
        store = MemoryStore()
        one, other = run_fleet(store), run_fleet(store)

        class Exits(CircuitBreakerListener):
            def state_change(
                self, breaker: CircuitBreaker, old: CircuitBreakerState, new: CircuitBreakerState
            ) -> None:
                raise SystemExit

        one.get("payments").add_listener(Exits())
        other.get("payments").force_open()
        wait_until(lambda: one.get("payments").state == "forced_open")
        other.get("refunds").force_open()
        wait_until(lambda: one.get("refunds").state == "forced_open")

    def test_a_log_handler_that_raises_does_not_end_it(
        self, run_fleet: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = MemoryStore()
        one, other = run_fleet(store), run_fleet(store)
        for each in (one, other):
            each.get("payments")
        monkeypatch.setattr(logging.getLogger("breaker_asgi"), "handle", lambda _: 1 / 0)
        monkeypatch.setattr(store, "changes", lambda _: 1 / 0)
        one.get("payments").force_open()
        wait_until(lambda: one.fleet.step_trouble and other.fleet.step_trouble)
        monkeypatch.undo()
        wait_until(lambda: other.get("payments").state == "forced_open")
