"""The cost of slow calls that count while they run, beside calls that are timed at their end."""

from __future__ import annotations

from functools import partial
from statistics import median
from typing import Any

from benchmarks.calls import SUCCEED, SUCCEEDING, runner, warm
from benchmarks.guards import COUNT_SLOW, TIME_SLOW, Function, Guard, RejectedError
from benchmarks.tables import Table, mark
from benchmarks.timing import Case, Run, Timings, measure, problems
from breaker_asgi import CircuitBreaker
from breaker_asgi._core.outcome import SUCCESS

_MOST = 130
_NOTE = """\
A closed breaker whose window is full of good calls. `at its end` is what a wrapper does without
the wheel: it reads the clock twice, and asks the breaker only where something is to be recorded."""


def table(rounds: int) -> Table:
    guards = [COUNT_SLOW, TIME_SLOW]
    cases = [Case("bare", lambda: _run(SUCCEED.of(asynchronous=True)))]
    for guard in guards:
        cases += [
            Case(f"{guard.name}, at its end", partial(_timed, guard)),
            Case(guard.name, partial(_guarded, guard)),
        ]
    timings = measure(cases, rounds)
    rows = [[name, _figure(timed), "", "", ""] for name, timed in timings.items()]
    for row in rows:
        before = timings.get(f"{row[0]}, at its end")
        if before is not None and before.rounds and (measured := timings[row[0]].rounds):
            more = median(measured) - before.typical
            row[2:] = [f"{more:,.0f}", f"{_MOST}", mark(met=more <= _MOST)]
    header = ["case", "ns", "more", "aim", "is"]
    return Table("Slow calls while they run", header, rows, _NOTE, problems(timings))


def _figure(timed: Timings) -> str:
    return f"{timed.typical:,.0f}" if timed.rounds else timed.blank


def _run(function: Function) -> Run:
    return warm(runner(function, SUCCEEDING, asynchronous=True))


def _guarded(guard: Guard) -> Run:
    return _run(guard.wrap(SUCCEED.of(asynchronous=True)))


def _timed(guard: Guard) -> Run:
    assert guard.maker is not None
    breaker: CircuitBreaker = guard.maker()()
    return _run(_timed_at_its_end(breaker, SUCCEED.of(asynchronous=True)))


def _timed_at_its_end(breaker: CircuitBreaker, function: Function) -> Function:
    clock, slow_after = breaker.config.clock, breaker.config.slow_after
    counts_seconds = hasattr(breaker._fast_record, "settled_until")

    async def by_calls(x: object) -> Any:
        record: Any = breaker._fast_record
        if record is None:
            raise RejectedError
        started = clock()
        try:
            result = await function(x)
        except BaseException as error:
            breaker._fail(record, error, started, breaker.failures)
            raise
        if record.settled and clock() - started <= slow_after:
            breaker.successes += 1
        else:
            breaker._settle(record, SUCCESS, None, started)
        return result

    async def by_seconds(x: object) -> Any:
        record: Any = breaker._fast_record
        if record is None:
            raise RejectedError
        started = clock()
        try:
            result = await function(x)
        except BaseException as error:
            breaker._fail(record, error, started, breaker.failures)
            raise
        if (now := clock()) < record.settled_until and now - started <= slow_after:
            breaker.successes += 1
            record.calls += 1
        else:
            breaker._settle(record, SUCCESS, None, started)
        return result

    return by_seconds if counts_seconds else by_calls
