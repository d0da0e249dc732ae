"""The log: what an operator reads of breakers that change their state."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog
from pythonjsonlogger.json import JsonFormatter

from breaker_asgi import (
    BreakerConfig,
    BreakerRegistry,
    CircuitBreaker,
    CircuitBreakerError,
    CircuitBreakerListener,
)
from breaker_asgi._core import logs
from breaker_asgi._core.generation import Transition
from breaker_asgi._core.state import FORCED_OPEN, OPEN
from breaker_asgi.testing import FakeClock

WARNING, INFO = logging.WARNING, logging.INFO

Log = Callable[[], list[tuple[int, str]]]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Log:
    """Return the log since the last call: levels and messages."""
    caplog.set_level(logging.DEBUG, "breaker_asgi")

    def take() -> list[tuple[int, str]]:
        taken = [(record.levelno, record.getMessage()) for record in caplog.records]
        caplog.clear()
        return taken

    return take


@pytest.fixture
def breaker(config: BreakerConfig) -> CircuitBreaker:
    return CircuitBreaker.from_config(config, "payments")


def fails(breaker: CircuitBreaker, times: int = 2) -> None:
    for _ in range(times):
        breaker.acquire().failure(ConnectionError("to bank-7 with password secret"))


def succeeds(breaker: CircuitBreaker) -> None:
    breaker.acquire().success()


REASON = "2 failures in a row: ConnectionError"


class TestOutage:
    def test_a_breaker_that_opens_is_a_warning(self, breaker: CircuitBreaker, log: Log) -> None:
        fails(breaker)
        assert log() == [
            (
                WARNING,
                f"breaker 'payments': closed -> open for 10 s ({REASON})",
            )
        ]

    def test_a_change_by_a_listener_is_logged_after_the_first_one(
        self, breaker: CircuitBreaker, log: Log
    ) -> None:
        class Rehearsal(CircuitBreakerListener):
            def state_change(self, breaker: CircuitBreaker, old: object, new: object) -> None:
                if new == "open":
                    breaker.metrics_only()

        breaker.add_listener(Rehearsal())
        fails(breaker)
        assert [message.partition(": ")[2].partition(" (")[0] for _, message in log()] == [
            "closed -> open for 10 s",
            "open -> metrics only",
        ]

    def test_a_breaker_without_a_name_is_logged(self, log: Log) -> None:
        fails(CircuitBreaker(fail_max=2))
        [(level, message)] = log()
        assert level == WARNING
        assert message.startswith("breaker 'unnamed': closed -> open")

    def test_a_rate_is_logged_with_its_figures(self, clock: FakeClock, log: Log) -> None:
        rated = CircuitBreaker(
            name="rated", timeout_duration=60, failure_rate=0.5, minimum_calls=4, clock=clock
        )
        succeeds(rated)
        fails(rated, 3)
        reason = "failure rate 75% of 4 calls, limit 50%: ConnectionError"
        assert log() == [(WARNING, f"breaker 'rated': closed -> open for 60 s ({reason})")]

    def test_the_way_back_is_info(
        self, breaker: CircuitBreaker, clock: FakeClock, log: Log
    ) -> None:
        fails(breaker)
        log()
        clock.advance(11)
        succeeds(breaker)
        assert log() == [
            (INFO, "breaker 'payments': open -> half-open (the open time has passed)"),
            (INFO, "breaker 'payments': half-open -> closed (the probes succeeded) after 11 s"),
        ]

    def test_an_outage_that_goes_on_warns_once(
        self, breaker: CircuitBreaker, clock: FakeClock, log: Log
    ) -> None:
        fails(breaker)
        log()
        for _ in range(3):
            clock.advance(11)
            fails(breaker, 1)
        assert log() == 3 * [
            (INFO, "breaker 'payments': open -> half-open (the open time has passed)"),
            (
                INFO,
                "breaker 'payments': half-open -> open for 10 s (a probe failed: ConnectionError)",
            ),
        ]

    def test_the_next_outage_warns_again(
        self, breaker: CircuitBreaker, clock: FakeClock, log: Log
    ) -> None:
        for _ in range(2):
            fails(breaker)
            clock.advance(11)
            succeeds(breaker)
        assert [level for level, _ in log()] == [WARNING, INFO, INFO] * 2

    @pytest.mark.parametrize(
        ("probes", "rejected", "cost"),
        [
            (0, 0, "after 21 s"),
            (1, 1, "after 42 s, 1 probe failed, 1 call rejected"),
            (2, 1204, "after 1 min 3 s, 2 probes failed, 1,204 calls rejected"),
            (180, 0, "after 1 h 3 min, 180 probes failed"),
        ],
    )
    def test_the_end_of_an_outage_has_its_length_and_its_cost(
        self,
        breaker: CircuitBreaker,
        clock: FakeClock,
        log: Log,
        probes: int,
        rejected: int,
        cost: str,
    ) -> None:
        fails(breaker)
        for _ in range(rejected):
            with pytest.raises(CircuitBreakerError):
                breaker.acquire()
        for _ in range(probes):
            clock.advance(21)
            fails(breaker, 1)
        clock.advance(21)
        succeeds(breaker)
        assert log()[-1] == (
            INFO,
            f"breaker 'payments': half-open -> closed (the probes succeeded) {cost}",
        )

    def test_a_change_after_the_end_has_no_cost(self, breaker: CircuitBreaker, log: Log) -> None:
        breaker.open()
        breaker.close()
        log()
        breaker.reset()
        assert log() == [(INFO, "breaker 'payments': closed -> closed (reset by hand)")]

    def test_calls_are_not_logged(self, breaker: CircuitBreaker, log: Log) -> None:
        succeeds(breaker)
        fails(breaker, 1)
        breaker.acquire().ignore()
        breaker(len)("x")
        assert log() == []
        fails(breaker)
        log()
        for _ in range(3):
            with pytest.raises(CircuitBreakerError):
                breaker.acquire()
        assert log() == []

    def test_texts_of_exceptions_are_not_logged(
        self, breaker: CircuitBreaker, caplog: pytest.LogCaptureFixture
    ) -> None:
        fails(breaker)
        assert caplog.records
        assert "secret" not in caplog.text + repr([vars(record) for record in caplog.records])

    def test_threads_that_fail_together_open_it_with_one_warning(self, log: Log) -> None:
        breaker = CircuitBreaker(name="payments", fail_max=8)
        permits = [breaker.acquire() for _ in range(8)]
        threads = [threading.Thread(target=permit.failure) for permit in permits]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [level for level, _ in log()] == [WARNING]


class TestByHand:
    @pytest.mark.parametrize(
        ("level", "does", "fields"),
        [
            (WARNING, "force_open", "closed -> forced open (forced open by hand: sale; by ann)"),
            (WARNING, "open", "closed -> open for 10 s (opened by hand: sale; by ann)"),
            (WARNING, "disable", "closed -> disabled (disabled by hand: sale; by ann)"),
            (
                WARNING,
                "metrics_only",
                "closed -> metrics only (set to metrics only by hand: sale; by ann)",
            ),
            (INFO, "half_open", "closed -> half-open (half-opened by hand: sale; by ann)"),
            (INFO, "close", "closed -> closed (closed by hand: sale; by ann)"),
            (INFO, "reset", "closed -> closed (reset by hand: sale; by ann)"),
        ],
    )
    def test_an_operator_and_a_reason_are_logged(
        self, breaker: CircuitBreaker, log: Log, level: int, does: str, fields: str
    ) -> None:
        getattr(breaker, does)(who="ann", why="sale")
        assert log() == [(level, f"breaker 'payments': {fields}")]

    def test_a_time_limit_and_its_end_are_logged(
        self, breaker: CircuitBreaker, clock: FakeClock, log: Log
    ) -> None:
        breaker.disable(for_=600)
        clock.advance(601)
        succeeds(breaker)
        assert log() == [
            (WARNING, "breaker 'payments': closed -> disabled for 600 s (disabled by hand)"),
            (INFO, "breaker 'payments': disabled -> closed (the time set by hand is over)"),
        ]

    def test_failed_probes_after_it_was_half_opened_by_hand_begin_an_outage(
        self, breaker: CircuitBreaker, log: Log
    ) -> None:
        breaker.half_open()
        log()
        fails(breaker, 1)
        assert [level for level, _ in log()] == [WARNING]

    def test_no_text_looks_like_another_line(self, config: BreakerConfig, log: Log) -> None:
        breaker = CircuitBreaker.from_config(config, "a\nb\ud800")
        breaker.force_open(who="ann\x1b[2J", why="x\r\nWARNING all is well\u2028")
        [(_, message)] = log()
        assert message.isprintable()
        assert r"x\r\nWARNING all is well\u2028; by ann\x1b[2J" in message


class TestFleet:
    @pytest.mark.parametrize(
        ("change", "level", "message"),
        [
            (
                Transition(OPEN, "down", lasts=30, openings=1),
                WARNING,
                "open for 30 s (down)",
            ),
            (
                Transition(OPEN, "down", lasts=30, openings=2),
                INFO,
                "open for 30 s (down)",
            ),
            (
                Transition(OPEN, "down", lasts=30, openings=1, local_only=True),
                WARNING,
                "open for 30 s (down; in this worker only)",
            ),
            (
                Transition(OPEN, "down", lasts=30, age=9.9996, openings=1, remote=True),
                INFO,
                "open for 20 s (down; in another worker)",
            ),
            (
                Transition(OPEN, "down", lasts=0.12345, openings=1, remote=True),
                INFO,
                "open for 0.123 s (down; in another worker)",
            ),
            (
                Transition(OPEN, "down", lasts=5, age=9, openings=1, remote=True),
                INFO,
                "open for 0 s (down; in another worker)",
            ),
            (
                Transition(FORCED_OPEN, "sale", by_hand=True, who="ann\n", remote=True),
                INFO,
                r"forced open (sale; by ann\n; in another worker)",
            ),
            (
                Transition(FORCED_OPEN, "sale", by_hand=True, who="ann", local_only=True),
                WARNING,
                "forced open (sale; by ann; in this worker only)",
            ),
        ],
    )
    def test_a_change_is_logged_with_where_it_was_made(
        self, breaker: CircuitBreaker, log: Log, change: Transition, level: int, message: str
    ) -> None:
        breaker._follow(change, breaker._generation)
        assert log() == [(level, f"breaker 'payments': closed -> {message}")]

    def test_where_a_change_was_made_is_among_the_fields(
        self, breaker: CircuitBreaker, log: Log, caplog: pytest.LogCaptureFixture
    ) -> None:
        for change in (
            Transition(OPEN, "down", lasts=30, remote=True),
            Transition(FORCED_OPEN, "sale", by_hand=True, who="ann", local_only=True),
        ):
            breaker._follow(change, breaker._generation)
        fields = [vars(record) for record in caplog.records]
        places = [(item["changed_by"], item["elsewhere"], item["alone"]) for item in fields]
        assert places == [(None, True, False), ("ann", False, True)]


class TestFields:
    @pytest.mark.parametrize(
        ("does", "options", "open_for"),
        [
            ("open", {}, 10),
            ("open", {"duration": 7}, 7),
            ("force_open", {}, None),
            ("force_open", {"for_": 7}, 7),
            ("disable", {"for_": 7}, None),
        ],
    )
    def test_the_seconds_that_it_rejects_calls_are_among_the_fields(
        self,
        breaker: CircuitBreaker,
        log: Log,
        caplog: pytest.LogCaptureFixture,
        does: str,
        options: dict[str, float],
        open_for: float | None,
    ) -> None:
        getattr(breaker, does)(**options)
        assert vars(caplog.records[0])["open_for"] == open_for

    def test_rates_are_none_without_calls(self, log: Log, caplog: pytest.LogCaptureFixture) -> None:
        rated = CircuitBreaker(failure_rate=0.5, slow_call_rate=0.5, slow_call_duration=1)
        rated.open()
        fields = vars(caplog.records[0])
        assert (fields["calls"], fields["failure_rate"], fields["slow_call_rate"]) == (
            0,
            None,
            None,
        )

    def test_the_slow_call_rate_is_none_where_calls_are_not_timed(
        self, log: Log, caplog: pytest.LogCaptureFixture
    ) -> None:
        rated = CircuitBreaker(failure_rate=0.9)
        succeeds(rated)
        rated.open()
        fields = vars(caplog.records[0])
        assert (fields["failure_rate"], fields["slow_call_rate"]) == (0, None)

    def test_the_fields_are_the_same_in_every_record(
        self,
        breaker: CircuitBreaker,
        clock: FakeClock,
        log: Log,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        plain = vars(logging.makeLogRecord({})).keys() | {"message", "asctime"}
        fails(breaker)
        clock.advance(11)
        succeeds(breaker)
        breaker.force_open(who="ann")
        named = [vars(record).keys() - plain for record in caplog.records]
        assert named == 4 * [
            {
                "breaker",
                "state_from",
                "state_to",
                "reason",
                "open_for",
                "calls",
                "failures",
                "slow_calls",
                "failure_rate",
                "slow_call_rate",
                "consecutive_failures",
                "outage_began_at",
                "outage_seconds",
                "probes_failed",
                "rejected",
                "failure_type",
                "changed_by",
                "elsewhere",
                "alone",
                "generation",
            }
        ]

    def test_the_figures_of_the_trip_are_among_the_fields(
        self, clock: FakeClock, log: Log, caplog: pytest.LogCaptureFixture
    ) -> None:
        breaker = CircuitBreaker(
            name="rated",
            timeout_duration=60,
            failure_rate=0.5,
            slow_call_rate=0.9,
            slow_call_duration=1,
            minimum_calls=4,
            clock=clock,
        )
        slow = breaker.acquire()
        clock.advance(2)
        slow.success()
        fails(breaker, 3)
        fields = vars(caplog.records[0])
        assert (fields["breaker"], fields["state_from"], fields["state_to"]) == (
            "rated",
            "closed",
            "open",
        )
        assert (fields["calls"], fields["failures"], fields["slow_calls"]) == (4, 3, 1)
        assert (fields["failure_rate"], fields["slow_call_rate"]) == (0.75, 0.25)
        assert (fields["consecutive_failures"], fields["open_for"]) == (3, 60.0)
        assert fields["reason"] == "failure rate 75% of 4 calls, limit 50%: ConnectionError"
        assert (fields["changed_by"], fields["elsewhere"], fields["generation"]) == (None, False, 1)

    def test_the_outage_is_among_the_fields(
        self, breaker: CircuitBreaker, clock: FakeClock, log: Log, caplog: pytest.LogCaptureFixture
    ) -> None:
        fails(breaker)
        with pytest.raises(CircuitBreakerError):
            breaker.acquire()
        clock.advance(11)
        fails(breaker, 1)
        breaker.close()
        breaker.disable()
        names = ("outage_seconds", "probes_failed", "rejected", "failure_type")
        assert [[vars(record)[name] for name in names] for record in caplog.records] == [
            [0, 0, 0, "ConnectionError"],
            [11, 0, 1, "ConnectionError"],
            [11, 1, 1, "ConnectionError"],
            [11, 1, 1, "ConnectionError"],
            [None] * 4,
        ]
        began = [vars(record)["outage_began_at"] for record in caplog.records]
        assert (len(set(began[:-1])), began[-1]) == (1, None)

    def test_rates_are_none_without_a_rate_setting(
        self, breaker: CircuitBreaker, log: Log, caplog: pytest.LogCaptureFixture
    ) -> None:
        fails(breaker)
        fields = vars(caplog.records[0])
        assert (fields["failure_rate"], fields["slow_call_rate"]) == (None, None)
        assert fields["consecutive_failures"] == 2


@pytest.fixture
def written() -> Iterator[Callable[[logging.Formatter], Callable[[], dict[str, Any]]]]:
    """Return the last record as a formatter writes it, read as JSON."""
    logger = logging.getLogger("breaker_asgi")
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger.addHandler(handler)

    def by(formatter: logging.Formatter) -> Callable[[], dict[str, Any]]:
        handler.setFormatter(formatter)

        def last() -> dict[str, Any]:
            fields: dict[str, Any] = json.loads(stream.getvalue().splitlines()[-1])
            return fields

        return last

    yield by
    logger.removeHandler(handler)


@pytest.mark.parametrize(
    "formatter",
    [
        JsonFormatter("%(levelname)s %(message)s"),
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.EventRenamer("message"),
                structlog.processors.JSONRenderer(),
            ],
        ),
    ],
    ids=["python-json-logger", "structlog"],
)
def test_formatters_keep_the_fields(
    written: Callable[[logging.Formatter], Callable[[], dict[str, Any]]],
    formatter: logging.Formatter,
    breaker: CircuitBreaker,
) -> None:
    last = written(formatter)
    fails(breaker)
    fields = last()
    fields.pop("levelname", None)
    began_at = datetime.fromisoformat(fields.pop("outage_began_at"))
    assert began_at.tzinfo == UTC
    assert fields == {
        "message": f"breaker 'payments': closed -> open for 10 s ({REASON})",
        "breaker": "payments",
        "state_from": "closed",
        "state_to": "open",
        "reason": REASON,
        "open_for": 10.0,
        "calls": 2,
        "failures": 2,
        "slow_calls": 0,
        "failure_rate": None,
        "slow_call_rate": None,
        "consecutive_failures": 2,
        "outage_seconds": 0,
        "probes_failed": 0,
        "rejected": 0,
        "failure_type": "ConnectionError",
        "changed_by": None,
        "elsewhere": False,
        "alone": False,
        "generation": 1,
    }


class TestHurtsNothing:
    def test_a_filter_that_raises_hurts_no_call(self, breaker: CircuitBreaker) -> None:
        def broken(_record: logging.LogRecord) -> bool:
            raise RuntimeError

        logger = logging.getLogger("breaker_asgi")
        logger.addFilter(broken)
        try:
            fails(breaker)
        finally:
            logger.removeFilter(broken)
        assert breaker.state == "open"

    def test_a_handler_may_call_through_the_breaker_that_it_logs(
        self, breaker: CircuitBreaker
    ) -> None:
        class Remote(logging.Handler):
            rejected = 0

            def emit(self, record: logging.LogRecord) -> None:
                try:
                    breaker.acquire()
                except CircuitBreakerError:
                    self.rejected += 1

        remote = Remote()
        logger = logging.getLogger("breaker_asgi")
        logger.addHandler(remote)
        try:
            fails(breaker)
        finally:
            logger.removeHandler(remote)
        assert remote.rejected == 1

    def test_a_level_above_warning_silences_the_log(
        self, breaker: CircuitBreaker, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.ERROR, "breaker_asgi")
        fails(breaker)
        assert caplog.records == []


def test_the_middleware_of_an_application_logs_nothing_by_itself(log: Log) -> None:
    from breaker_asgi import BreakerMiddleware  # noqa: PLC0415

    async def app(*_: Any) -> None: ...

    BreakerMiddleware(app, registry=BreakerRegistry())
    assert log() == []


# Messages of any kind


class Unhashable:
    __hash__ = None  # type: ignore[assignment]


class UnhashableToo(Unhashable): ...


def test_objects_without_a_hash_are_logged_once_by_their_class(log: Log) -> None:
    for culprit in (Unhashable(), Unhashable(), UnhashableToo()):
        logs.log_once(culprit, "a test", ValueError())
    assert [message for _, message in log()] == [
        "Unhashable failed in a test; not logged again",
        "UnhashableToo failed in a test; not logged again",
    ]


def test_errors_that_were_raised_from_each_other_are_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    first, second = ValueError(), KeyError()
    first.__cause__, second.__cause__ = second, first
    logs.log_once(Unhashable, "a circle", first)
    assert [record.exc_info and record.exc_info[1] for record in caplog.records] == [first]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("bank", "bank"),
        (r"C:\bank's", r"C:\bank's"),
        ("a\nb\tc", r"a\nb\tc"),
        ("\x1b[2J\u2028\ud800", r"\x1b[2J\u2028\ud800"),
        (
            "Gr\N{LATIN SMALL LETTER U WITH DIAERESIS}n",
            "Gr\N{LATIN SMALL LETTER U WITH DIAERESIS}n",
        ),
    ],
)
def test_a_text_from_elsewhere_becomes_one_line(text: str, line: str) -> None:
    assert logs.one_line(text) == line
