"""The fleet: changes of one worker reach all, and no call waits for the store."""

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
from breaker_asgi._fleet.link import Link
from breaker_asgi._fleet.synchroniser import COMPARE
from breaker_asgi._fleet.threads import ListenerThread
from breaker_asgi.stores.memory import MemoryStore
from breaker_asgi.stores.protocol import Answer
from breaker_asgi.testing import FakeClock
from tests.stores.place import LEASE, OPEN_TIME, Place, Worker, record_in


class TestReconciling:
    def test_opening_in_one_worker_opens_all(self, place: Place) -> None:
        one, other = place.two()
        one.fails(5)
        one.step()
        other.step()
        assert other.state == "open"
        with pytest.raises(CircuitBreakerError, match="5 failures in a row"):
            other.breaker.acquire()

    def test_one_of_two_simultaneous_openings_makes_the_change(self, place: Place) -> None:
        one, other = place.two()
        one.fails(5)
        other.fails(5)
        place.later(0)
        assert (one.state, other.state, place.record().generation) == ("open", "open", 1)

    def test_loser_of_a_race_adopts_the_winners_change(self, place: Place) -> None:
        one, other = place.two()
        one.fails(5)
        one.step()
        other.breaker._change(one.breaker._generation.transition._replace(reason="late"))
        other.step()
        assert other.breaker._generation.reason == "5 failures in a row"

    def test_change_during_a_fetch_is_not_missed(self, place: Place) -> None:
        one, other = place.two()
        listener = other.fleet._listener = ListenerThread(other.fleet)
        other.step()
        other.registry.get("refunds")  # which it has to fetch
        before = other.line.operations["sync"]

        def meanwhile() -> None:
            if other.line.operations["sync"] > before and one.state == "closed":
                one.fails(5)
                one.step()
                listener._is_fetched = False

        other.line.on_use = meanwhile
        other.step()
        assert one.state == "open"
        other.step()
        assert other.state == "open"

    def test_later_breaker_starts_in_the_remote_state(self, place: Place) -> None:
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

    def test_slow_store_does_not_shorten_the_open_time(self, place: Place) -> None:
        late = Worker(place.store, place.clock, 1, {})
        one = place.worker()
        one.fails(5)
        one.step()
        late.line.on_use = lambda: place.clock.advance(0.25)
        late.step()
        place.clock.advance(1)
        assert late.breaker._generation.until == one.breaker._generation.until

    def test_late_worker_can_open_a_closed_fleet(self, place: Place) -> None:
        one = place.worker()
        one.breaker.reset()
        one.step()
        late = Worker(place.store, place.clock, 1, {})
        late.fails(5)
        late.step()
        assert (late.state, place.record().generation) == ("open", 2)

    def test_openings_in_a_row_are_counted_for_the_fleet(self, place: Place) -> None:
        one, other = place.two(backoff=2)
        one.fails(5)
        place.later(0)
        place.clock.advance(OPEN_TIME + 1)
        probe = other.probe()
        assert probe is not None
        probe.failure()
        place.later(0)
        assert place.record().lasts == pytest.approx(2 * OPEN_TIME, abs=0.001)
        assert one.breaker._generation.transition.openings == 2

    def test_a_call_of_an_earlier_generation_is_not_reported(self, place: Place) -> None:
        one = place.worker()
        late = one.breaker.acquire()
        one.breaker.reset()
        one.step()
        late.failure()
        place.later()
        assert place.record().streak == 0


class TestProbes:
    def half_open(self, place: Place, **settings: Any) -> tuple[Worker, Worker]:
        one, other = place.two(**settings)
        one.fails(5)
        place.later()
        place.clock.advance(OPEN_TIME)
        return one, other

    def test_all_workers_together_get_no_more_probes_than_allowed(self, place: Place) -> None:
        one, other = self.half_open(place, half_open_calls=2)
        assert one.probe()
        assert other.probe()
        place.clock.advance(0.1)
        assert not one.probe()
        assert not other.probe()

    def test_probes_of_all_workers_decide_together(self, place: Place) -> None:
        one, other = self.half_open(place, half_open_calls=2)
        probes = one.probe(), other.probe()
        for probe in probes:
            assert probe is not None
            probe.success()
        place.later()
        assert one.state == other.state == "closed"

    def test_cancelled_probe_is_free_for_other_workers_at_once(self, place: Place) -> None:
        one, other = self.half_open(place)
        probe = one.probe()
        assert probe is not None
        assert not other.probe()
        probe.ignore()
        one.step()
        place.clock.advance(0.06)
        assert other.probe()

    def test_probe_of_a_dead_worker_is_free_after_its_lease(self, place: Place) -> None:
        one, other = self.half_open(place)
        assert one.probe()
        place.workers.remove(one)
        place.later(LEASE - 0.5)
        assert not other.probe()
        place.clock.advance(0.6)
        assert other.probe()

    def test_probe_that_ends_after_its_lease_counts_in_the_same_half_open_state(
        self, place: Place
    ) -> None:
        one, other = self.half_open(place)
        probe = one.probe()
        assert probe is not None
        place.later(LEASE + 0.1)
        probe.success()
        place.later()
        assert one.state == other.state == "closed"

    def test_probe_that_ends_after_its_state_does_not_count(self, place: Place) -> None:
        one, other = self.half_open(place)
        probe = one.probe()
        assert probe is not None
        place.later(LEASE + 0.1)
        other.breaker.open()
        place.later()
        probe.success()
        place.later()
        assert one.state == other.state == "open"

    def test_call_inside_a_probe_with_an_expired_lease_is_rejected(self, place: Place) -> None:
        one, _ = self.half_open(place)
        probe = one.probe()
        assert probe is not None
        with Block(probe):
            assert one.breaker.acquire().settled
            place.clock.advance(LEASE + 0.1)
            with pytest.raises(CircuitBreakerError):
                one.breaker.acquire()

    def test_unused_probe_is_returned_after_a_second(self, place: Place) -> None:
        one, other = self.half_open(place)
        with pytest.raises(CircuitBreakerError):
            one.breaker.acquire()
        one.step()
        assert place.record().probes == 1
        place.later()
        assert place.record().probes == 0
        assert other.probe()

    @pytest.mark.parametrize("gap", [1.5, 2.7, LEASE * 5, 300])
    def test_rare_calls_that_cannot_wait_get_a_probe_eventually(
        self, place: Place, gap: float
    ) -> None:
        one, other = self.half_open(place)

        def call() -> bool:
            """Call once; the thread gets a probe after a rejected call has gone."""
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

    def test_probe_kept_for_a_rare_call_lasts_no_longer_in_use(self, place: Place) -> None:
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

    def test_probe_kept_for_a_rare_call_is_returned_in_time(self, place: Place) -> None:
        one, other = self.half_open(place)
        for _ in range(2):
            assert not self.begins(one)
            one.step()
            place.later(1.1)
            place.clock.advance(LEASE)
        assert not other.probe()
        place.later(0.1)
        assert other.probe()

    def test_unsettled_probes_are_forgotten(self, place: Place) -> None:
        one, _ = self.half_open(place)
        for _ in range(5):
            assert one.probe()
            place.later(LEASE + 1)
        probes = one.breaker._generation.probes
        assert isinstance(probes, LeasedProbes)
        assert len(probes._leased) == 1

    def test_slow_store_lends_no_more_probes_than_allowed(self, place: Place) -> None:
        one, other = self.half_open(place, half_open_calls=6)
        one.line.on_use = lambda: place.clock.advance(0.1)
        for worker in (one, other):
            with pytest.raises(CircuitBreakerError):
                worker.breaker.acquire()
            worker.fleet._links[worker.breaker].wanted = 6
            worker.step()
        assert one.fleet.step_trouble is None
        assert place.record().probes == 6
        began = [worker for worker in (one, other) for _ in range(7) if self.begins(worker)]
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
        assert other.line.operations["claims"] == 1

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
        link = worker.fleet._links[worker.breaker]
        while not link.wanted:
            time.sleep(0.001)
        worker.step()

    def test_calls_wait_no_longer_than_the_patience(self, place: Place) -> None:
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
    """The logs of one outage: `logs` returns the levels and messages since its last call."""

    @pytest.fixture
    def logs(self, caplog: pytest.LogCaptureFixture) -> Callable[[], list[tuple[str, str]]]:
        caplog.set_level(logging.DEBUG)

        def take() -> list[tuple[str, str]]:
            taken = [(record.levelname, record.getMessage()) for record in caplog.records]
            caplog.clear()
            return taken

        return take

    def test_one_worker_warns_of_an_opening(
        self, place: Place, logs: Callable[[], list[tuple[str, str]]]
    ) -> None:
        one, *_ = (place.worker() for _ in range(3))
        one.fails(5)
        place.later()
        opened = "breaker 'payments': closed -> open for"
        assert logs() == [
            ("WARNING", f"{opened} 10 s (5 failures in a row)"),
            ("INFO", f"{opened} 8.9 s (5 failures in a row; in another worker)"),
            ("INFO", f"{opened} 8.9 s (5 failures in a row; in another worker)"),
        ]

    def test_late_worker_logs_the_remaining_open_time(
        self, place: Place, logs: Callable[[], list[tuple[str, str]]]
    ) -> None:
        one = place.worker()
        one.fails(5)
        one.step()
        place.clock.advance(4)
        logs()
        place.worker()
        [(level, message)] = logs()
        assert level == "INFO"
        assert "closed -> open for 6 s" in message

    def test_a_child_process_leaves_an_opening_to_its_parent(
        self, place: Place, logs: Callable[[], list[tuple[str, str]]]
    ) -> None:
        one = place.worker()
        one.fails(5)
        link = one.breaker._fleet
        assert isinstance(link, Link)
        link.start_anew()
        one.step()
        assert logs() == []

    def test_one_of_simultaneously_opening_workers_warns(
        self, place: Place, logs: Callable[[], list[tuple[str, str]]]
    ) -> None:
        workers = [place.worker() for _ in range(3)]
        for worker in workers:
            worker.fails(5)
        assert [worker.state for worker in workers] == ["open"] * 3
        assert logs() == []
        place.later()
        logged = logs()
        assert sorted(level for level, _ in logged) == ["INFO", "INFO", "WARNING"]
        assert all("closed -> open" in message for _, message in logged)

    def test_overtaken_worker_does_not_warn(
        self, place: Place, logs: Callable[[], list[tuple[str, str]]]
    ) -> None:
        one, other = place.two()
        one.fails(5)
        other.fails(5)

        def be_overtaken() -> None:
            if other.line.operations["change"] == 1:
                one.step()

        other.line.on_use = be_overtaken
        other.step()
        opened = "breaker 'payments': closed -> open for 10 s (5 failures in a row"
        assert logs() == [("WARNING", f"{opened})"), ("INFO", f"{opened}; in another worker)")]

    def test_opening_overtaken_before_its_report_is_logged(
        self, place: Place, logs: Callable[[], list[tuple[str, str]]]
    ) -> None:
        one = place.worker()
        link, before = one.breaker._fleet, one.breaker._generation
        assert link
        one.fails(5)
        opened = one.breaker._generation
        one.step()
        one.breaker.reset()
        logs()
        link.changed_state(before, opened)
        assert [level for level, _ in logs()] == ["WARNING"]

    def test_closing_in_another_worker_is_logged(
        self, place: Place, logs: Callable[[], list[tuple[str, str]]]
    ) -> None:
        one, other = place.two()
        one.fails(5)
        other.step()
        place.later(OPEN_TIME + 1)
        logs()
        probe = one.probe()
        assert probe
        probe.success()
        place.later()
        assert logs() == [
            ("INFO", f"breaker 'payments': {changed}")
            for changed in (
                "open -> half-open (the open time has passed)",
                "half-open -> closed (the probes succeeded) after 11 s, 1 call rejected",
                "open -> closed (the probes succeeded; in another worker) after 11 s",
            )
        ]

    def test_manual_change_is_a_warning_in_its_own_worker(
        self, place: Place, logs: Callable[[], list[tuple[str, str]]]
    ) -> None:
        one, _ = place.two()
        one.breaker.force_open(who="ann", why="sale")
        place.later()
        forced = "breaker 'payments': closed -> forced open (forced open by hand: sale; by ann"
        assert logs() == [("WARNING", f"{forced})"), ("INFO", f"{forced}; in another worker)")]

    def test_each_worker_warns_at_once_during_an_outage(
        self, place: Place, logs: Callable[[], list[tuple[str, str]]]
    ) -> None:
        one, _ = place.two()
        one.line.is_out = True
        place.later()
        logs()
        one.fails(5)
        assert [level for level, _ in logs()] == ["WARNING"]

    def test_detected_outage_withholds_no_warning(
        self, place: Place, logs: Callable[[], list[tuple[str, str]]]
    ) -> None:
        one = place.worker()
        one.line.is_out = True
        one.fails(5)
        assert logs() == []
        one.step()
        assert [message.partition(" does")[0] for level, message in logs() if level != "DEBUG"] == [
            "the store line",
            "breaker 'payments': closed -> open for 10 s (5 failures in a row)",
        ]
        one.line.is_out = False
        place.later()
        assert [message for _, message in logs()] == ["the store line works again"]

    def test_opening_that_ends_before_its_report_is_logged_in_order(
        self, place: Place, logs: Callable[[], list[tuple[str, str]]]
    ) -> None:
        one = place.worker()
        one.fails(5)
        one.breaker.reset()
        assert [level for level, _ in logs()] == ["WARNING", "INFO"]

    def test_slow_listener_withholds_no_warning(
        self, place: Place, logs: Callable[[], list[tuple[str, str]]]
    ) -> None:
        one = place.worker()
        _do_on_entering(one, "open", place.later)
        one.fails(5)
        assert [level for level, _ in logs()] == ["WARNING"]

    def test_overtaken_worker_with_a_slow_listener_does_not_warn(
        self, place: Place, logs: Callable[[], list[tuple[str, str]]]
    ) -> None:
        one, other = place.two()
        one.fails(5)
        one.step()
        assert [level for level, _ in logs()] == ["WARNING"]
        _do_on_entering(other, "open", other.step)
        other.fails(5)
        assert [level for level, _ in logs()] == ["INFO"]

    def test_worker_that_is_overtaken_before_its_opening_is_announced_does_not_warn(
        self, place: Place, logs: Callable[[], list[tuple[str, str]]]
    ) -> None:
        one, other = place.two()
        one.fails(5)
        place.later()
        place.clock.advance(OPEN_TIME)
        logs()

        def open_in_both() -> None:
            place.later()
            one.fails(5)
            one.step()
            other.fails(5)
            other.step()

        probe = other.probe()
        assert probe
        _do_on_entering(other, "closed", open_in_both)
        probe.success()
        assert [level for level, message in logs() if " closed -> open" in message] == [
            "WARNING",
            "INFO",
        ]

    @pytest.mark.parametrize("quicker", ["take_remote_state", "schedule"])
    def test_opening_that_two_threads_follow_is_logged_once(
        self,
        place: Place,
        logs: Callable[[], list[tuple[str, str]]],
        monkeypatch: pytest.MonkeyPatch,
        quicker: str,
    ) -> None:
        """A breaker begins by the record that was kept, while the fleet's thread fetches it."""
        one, late = place.two()
        for _ in range(5):
            one.registry.get("stock").acquire().failure()
        place.later()
        logs()
        synchroniser = late.fleet._synchroniser
        method = getattr(synchroniser, quicker)

        def step_meanwhile(argument: Any) -> Any:
            monkeypatch.undo()
            result = method(argument)
            late.step()
            return result

        monkeypatch.setattr(synchroniser, quicker, step_meanwhile)
        assert late.registry.get("stock").state == "open"
        assert [level for level, _ in logs()] == ["INFO"]

    def test_worker_that_opens_without_a_quorum_warns(
        self, place: Place, logs: Callable[[], list[tuple[str, str]]]
    ) -> None:
        one, _ = place.two(quorum=2)
        one.fails(5)
        place.later()
        assert [level for level, _ in logs()] == ["WARNING"]


def _do_on_entering(worker: Worker, state: str, action: Callable[[], object]) -> None:
    """Do something while the worker's breaker announces that it has entered a state."""

    class Listener:
        def state_change(
            self, breaker: CircuitBreaker, old: CircuitBreakerState, new: CircuitBreakerState
        ) -> None:
            if new == state:
                action()

    worker.breaker.add_listener(Listener())


class TestOutage:
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
        for probe in probes:
            probe.success()
        assert one.state == "closed"

    def test_expired_lease_from_before_the_outage_frees_no_probe(self, place: Place) -> None:
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

    def test_outage_and_its_end_are_logged_once(
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
        assert [record.getMessage() for record in caplog.records] == [
            (
                "the store line does not work; each process decides alone until it does: "
                "OSError: no route"
            ),
            "the store line works again",
        ]

    def test_changes_during_an_outage_reach_all_afterwards(self, place: Place) -> None:
        one, other = place.two()
        other.line.is_out = True
        place.later()
        one.fails(5)
        place.later()
        assert other.state == "closed"
        other.line.is_out = False
        place.later()
        assert other.state == "open"

    def test_hanging_store_counts_as_out(self, place: Place) -> None:
        one = place.worker()
        one.fails(5)
        place.later(OPEN_TIME)

        def hang() -> None:
            place.clock.advance(0.6)
            if one.state == "open":
                one.succeeds()

        one.line.on_use = hang
        one.step()
        assert one.state == "closed"

    def test_hanging_listener_is_not_blamed_on_the_store(self, place: Place) -> None:
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

    def test_a_record_that_can_not_be_read_concerns_its_breaker_only(
        self, place: Place, caplog: pytest.LogCaptureFixture
    ) -> None:
        one, other = place.two()
        place.store.unreadable["poisoned"] = "it is of version 7, and this is version 1"
        poisoned = one.registry.get("poisoned", fail_max=1)
        one.step()
        poisoned.acquire().failure()
        one.breaker.force_open()
        place.later()
        assert (other.state, poisoned.state, one.fleet.is_out) == ("forced_open", "open", False)
        place.clock.advance(OPEN_TIME)
        poisoned.acquire().success()
        assert poisoned.state == "closed", "its worker decides alone"
        why = "can't be read: it is of version 7, and this is version 1"
        assert one.fleet.trouble == f"the record of 'poisoned' {why}"
        [message] = [text for text in caplog.messages if "can't be read" in text]
        assert message.startswith(f"the store line has a record of breaker 'poisoned' that {why};")

    def test_a_record_that_can_be_read_again_is_followed(self, place: Place) -> None:
        one, other = place.two()
        place.store.unreadable["payments"] = "it is damaged"
        one.fails()
        place.later()
        assert one.fleet.trouble == "the record of 'payments' can't be read: it is damaged"
        place.store.unreadable.clear()
        other.breaker.force_open()
        place.later(COMPARE)
        assert one.state == "forced_open"
        assert one.fleet.trouble is None

    def test_store_that_keeps_another_identity_is_out(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one = place.worker()
        sync = place.store.sync

        def forget_identities(*args: Any) -> Answer:
            answer = sync(*args)
            replies = {
                name: reply._replace(shared=replace(reply.shared, id="mine", command=None))
                for name, reply in answer.replies.items()
            }
            return answer._replace(replies=replies)

        monkeypatch.setattr(place.store, "sync", forget_identities)
        one.breaker.force_open(why="a long story")
        one.step()
        assert one.fleet.step_trouble == "RuntimeError: it keeps other changes than those made"
        assert one.state == "forced_open"


class FailingStore(MemoryStore):
    """A store whose operations raise `raises`, if that is set."""

    raises: BaseException | None = None

    def __getattribute__(self, name: str) -> Any:
        attribute = super().__getattribute__(name)
        error = super().__getattribute__("raises")
        if error is not None and name in {"sync", "wait", "publish"}:
            raise error
        return attribute


class MuteError(Exception):
    """An error without a text."""

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
        monkeypatch.setattr("breaker_asgi._fleet.reports.INTERVAL", 0.05)
        monkeypatch.setattr("breaker_asgi._fleet.threads._LONGEST_PAUSE", 0.05)
        monkeypatch.setattr("breaker_asgi._fleet.threads._LONGEST_WAIT", 0.05)

    def test_threads_keep_two_processes_in_step(self, run_fleet: Any) -> None:
        store = MemoryStore()
        one, other = run_fleet(store), run_fleet(store)
        other.get("payments")
        one.get("payments").force_open()
        wait_until(lambda: other.get("payments").state == "forced_open")

    def test_thread_flushes_and_ends_with_the_fleet(self) -> None:
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
        assert record_in(store).streak == 1

    def test_breaker_decides_alone_after_sharing_was_stopped(self, run_fleet: Any) -> None:
        clock = FakeClock()
        registry = run_fleet(MemoryStore())
        breaker = registry.get("payments", fail_max=1, timeout_duration=10, clock=clock)
        registry.fleet.stop()
        assert registry.fleet.trouble == "sharing was stopped"
        breaker.acquire().failure()
        clock.advance(11)
        breaker.acquire().success()
        assert breaker.state == "closed"

    def test_long_outage_does_not_end_the_thread(self, run_fleet: Any) -> None:
        store = FailingStore()
        fleet = run_fleet(store).fleet
        assert fleet._thread.has_begun.wait(10)
        fleet._failures = 100_000
        store.raises = OSError("no route")
        fleet.wake()
        wait_until(lambda: fleet.step_trouble is not None)
        store.raises = None
        wait_until(lambda: fleet.step_trouble is None)

    @pytest.mark.parametrize("error", [MuteError(), SystemExit(), KeyboardInterrupt()], ids=repr)
    def test_no_exception_of_a_store_ends_the_thread(
        self, run_fleet: Any, error: BaseException
    ) -> None:
        store = FailingStore()
        one, other = run_fleet(store), run_fleet(store)
        store.raises = error
        one.fleet.wake()
        wait_until(lambda: one.fleet.step_trouble is not None)
        store.raises = None
        one.get("payments").force_open()
        wait_until(lambda: other.get("payments").state == "forced_open")
        assert one.fleet.trouble is None

    def test_listener_that_exits_does_not_end_the_thread(self, run_fleet: Any) -> None:
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

    def test_log_handler_that_raises_does_not_end_the_thread(
        self, run_fleet: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = MemoryStore()
        one, other = run_fleet(store), run_fleet(store)
        for registry in (one, other):
            registry.get("payments")
        monkeypatch.setattr(logging.getLogger("breaker_asgi"), "handle", lambda _: 1 / 0)
        monkeypatch.setattr(store, "sync", lambda *_: 1 / 0)
        one.get("payments").force_open()
        wait_until(lambda: one.fleet.step_trouble and other.fleet.step_trouble)
        monkeypatch.undo()
        wait_until(lambda: other.get("payments").state == "forced_open")
