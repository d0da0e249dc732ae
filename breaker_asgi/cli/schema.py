"""The monitor's JSON, parsed and checked: version 1."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from breaker_asgi._core.state import CircuitBreakerState
from breaker_asgi.cli import values
from breaker_asgi.cli.formatting import printable
from breaker_asgi.cli.values import UnreadableError

if TYPE_CHECKING:
    from datetime import datetime

VERSION = 1
_OUTCOMES = 5
"""Length of a row of a history: its second, and the calls of each outcome."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutageInfo:
    """The running or last outage of a breaker. Ages are seconds, by the monitor's clock."""

    age: float | None
    ended: float | None
    """Seconds since its end; None while it lasts."""
    reason: str
    failure_type: str
    failure_rate: float | None
    consecutive_failures: int
    probes_failed: int
    last_probe: float | None
    """Seconds since the last probe; None if there was none."""
    rejected: int
    rejected_per_second: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """A breaker as the monitor reported it at `seen_at`, by this process's clock."""

    content: dict[str, Any]
    """The JSON that it was read from."""
    seen_at: float
    as_of: float
    """The monitor's clock then, in seconds since 1970; 0 if that is unknown."""
    name: str
    state: CircuitBreakerState
    alone: bool
    """True if its state is local to this worker, in spite of a store."""
    reason: str
    age: float | None
    """Seconds that it had been in its state, by the monitor's clock."""
    retry_after: float | None
    admitted_share: float | None
    failure_rate: float | None
    slow_call_rate: float | None
    consecutive_failures: int
    calls_per_second: float | None
    rejected_per_second: float | None
    rejected_share: float | None
    failing_share: float | None
    p50: float | None
    p95: float | None
    p99: float | None
    states: dict[str, int]
    """Number of workers by the state that they have it in; empty if that is unknown."""
    outage: OutageInfo | None
    history: tuple[tuple[int, int], ...]
    """Calls of the last minute: the seconds since 1970, and their numbers of calls."""
    owner: str
    runbook: str
    description: str
    calls: int
    """Calls since its start: admitted and rejected."""
    rejected: int
    calls_under_way: int
    slow_calls_under_way: int
    """0 also where calls are not timed, or the monitor is older than these figures."""
    fail_max: float | None
    failure_limit: float | None
    slow_limit: float | None
    worker: WorkerInfo | None = None
    """The process that reported it, where one breaker was requested."""
    store: StoreInfo | None = None
    """The store that shares its state, where one breaker was requested."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerInfo:
    """The process that answered."""

    pid: int | None
    started_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreInfo:
    """The store through which workers share their states."""

    label: str
    works: bool
    workers: int | None
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerList:
    """A list of breakers, or a page of one."""

    content: dict[str, Any]
    """The JSON that it was read from."""
    breakers: tuple[Breaker, ...]
    summary: dict[str, int]
    traffic: Traffic
    controls: bool
    """True if this reader may change states."""
    figures: bool
    """False if the monitor gives this reader names and states only."""
    worker: WorkerInfo
    next: str | None
    store: StoreInfo | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """The calls of all breakers, over the last ten seconds; None where that is unknown."""

    calls_per_second: float | None
    rejected_per_second: float | None
    failing_share: float | None
    likely_cause: str
    """The name of the breaker that is nearest to the cause of the outages; empty without one."""


def listing(body: bytes, seen_at: float) -> BreakerList:
    content = values.document(body)
    if content.get("version") != VERSION:
        version = printable(str(content["version"])) if "version" in content else "none"
        raise UnreadableError(f"JSON whose version is {version}, not {VERSION}")
    rows = content.get("breakers")
    if not isinstance(rows, list):
        raise UnreadableError("JSON without breakers")
    summary, after = values.object_of(content, "summary"), content.get("next")
    now = values.moment(content.get("now"))
    return BreakerList(
        content=content,
        controls=content.get("controls") is True,
        breakers=tuple(_breaker(row, now, seen_at) for row in rows),
        summary={
            state.value: values.whole(summary.get(state.value)) for state in CircuitBreakerState
        }
        | {"total": values.whole(summary.get("total", len(rows)))},
        traffic=Traffic(
            calls_per_second=values.number(summary.get("calls_per_second")),
            rejected_per_second=values.number(summary.get("rejected_per_second")),
            failing_share=values.number(summary.get("failing_share")),
            likely_cause=values.text(summary, "likely_cause"),
        ),
        figures=content.get("figures") is not False,
        worker=_worker(content),
        next=after if isinstance(after, str) else None,
        store=_store(content),
    )


def breaker(body: bytes, seen_at: float) -> Breaker:
    content = values.document(body)
    return replace(
        _breaker(content, values.moment(content.get("now")), seen_at), worker=_worker(content)
    )


def changed(body: bytes) -> list[str]:
    """Parse the names of the breakers that a control of several has changed."""
    names = values.document(body).get("changed")
    if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise UnreadableError("JSON without the changed breakers")
    return names


def _worker(content: dict[str, Any]) -> WorkerInfo:
    worker = values.object_of(content, "worker")
    return WorkerInfo(
        pid=values.whole(worker.get("pid")) or None, started_at=str(worker.get("started_at"))
    )


def _store(content: dict[str, Any]) -> StoreInfo | None:
    """Return the store; None if there is none, or the monitor is older than stores."""
    store = values.object_of(content, "store")
    if not store:
        return None
    return StoreInfo(
        label=str(store.get("label")),
        works=store.get("works") is True,
        workers=values.whole(store.get("workers")) or None,
        problem=values.text(store, "problem"),
    )


def running_outage(breaker: Breaker) -> OutageInfo | None:
    """Return the breaker's outage while it lasts."""
    outage = breaker.outage
    return outage if outage is not None and outage.ended is None else None


def reason_of(breaker: Breaker) -> str:
    """Return why the running outage began; without one why the breaker went to its state."""
    outage = running_outage(breaker)
    if outage is None:
        return breaker.reason
    kind = outage.failure_type
    is_named = kind.rpartition(".")[2] in outage.reason
    return outage.reason if is_named else f"{outage.reason}, mostly {kind}"


def calls_of(value: Any) -> tuple[tuple[int, int], ...]:
    """Return the second and the number of calls of each row of a history."""
    rows = (
        [row[:_OUTCOMES] for row in value if isinstance(row, list)]
        if isinstance(value, list)
        else []
    )
    pairs = ([*map(values.whole, row)] for row in rows if len(row) > 1)
    return tuple((second, sum(calls)) for second, *calls in pairs)


def _outage(row: dict[str, Any], now: datetime | None) -> OutageInfo | None:
    outage = values.object_of(row, "outage")
    if not outage:
        return None
    return OutageInfo(
        age=values.age(outage.get("began_at"), now),
        ended=values.age(outage.get("ended_at"), now),
        reason=values.text(outage, "reason"),
        failure_type=values.text(outage, "failure_type"),
        failure_rate=values.number(outage.get("failure_rate")),
        consecutive_failures=values.whole(outage.get("consecutive_failures")),
        probes_failed=values.whole(outage.get("probes_failed")),
        last_probe=values.age(outage.get("last_probe_at"), now),
        rejected=values.whole(outage.get("rejected")),
        rejected_per_second=values.number(outage.get("rejected_per_second")),
    )


def _breaker(row: Any, now: datetime | None, seen_at: float) -> Breaker:
    if not (isinstance(row, dict) and isinstance(row.get("name"), str)):
        raise UnreadableError("a breaker without a name")
    try:
        state = CircuitBreakerState(str(row.get("state")))
    except ValueError:
        raise UnreadableError("a breaker in an unknown state") from None
    limits, states = values.object_of(row, "limits"), values.object_of(row, "states")
    outcomes = ("successes", "failures", "ignored", "rejected")
    return Breaker(
        content=row,
        seen_at=seen_at,
        as_of=now.timestamp() if now else 0.0,
        name=row["name"],
        state=state,
        alone=row.get("alone") is True,
        reason=values.text(row, "reason"),
        age=values.age(row.get("changed_at"), now),
        retry_after=values.number(row.get("retry_after")),
        admitted_share=values.number(row.get("admitted_share")),
        failure_rate=values.number(row.get("failure_rate")),
        slow_call_rate=values.number(row.get("slow_call_rate")),
        consecutive_failures=values.whole(row.get("consecutive_failures")),
        calls_per_second=values.number(row.get("calls_per_second")),
        rejected_per_second=values.number(row.get("rejected_per_second")),
        rejected_share=values.number(row.get("rejected_share")),
        failing_share=values.number(row.get("failing_share")),
        p50=values.number(row.get("p50")),
        p95=values.number(row.get("p95")),
        p99=values.number(row.get("p99")),
        states={str(name): values.whole(number) for name, number in states.items()},
        outage=_outage(row, now),
        history=calls_of(row.get("history")),
        owner=values.text(row, "owner"),
        runbook=values.text(row, "runbook"),
        description=values.text(row, "description"),
        calls=sum(values.whole(row.get(outcome)) for outcome in outcomes),
        rejected=values.whole(row.get("rejected")),
        calls_under_way=values.whole(row.get("calls_under_way")),
        slow_calls_under_way=values.whole(row.get("slow_calls_under_way")),
        fail_max=values.number(limits.get("fail_max")),
        failure_limit=values.number(limits.get("failure_rate")),
        slow_limit=values.number(limits.get("slow_call_rate")),
    )
