"""The monitor's JSON, parsed and checked: version 1."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from breaker_asgi._core.state import CircuitBreakerState
from breaker_asgi.cli.formatting import printable

VERSION = 1


class UnreadableError(ValueError):
    """An answer that is not a monitor's, or not of this version."""


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


def document(body: bytes) -> dict[str, Any]:
    """Parse a JSON object. Raise UnreadableError for anything else."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise UnreadableError("no JSON") from None
    if not isinstance(content, dict):
        raise UnreadableError("no JSON object")
    return content


def listing(body: bytes, seen_at: float) -> BreakerList:
    content = document(body)
    if content.get("version") != VERSION:
        version = printable(str(content["version"])) if "version" in content else "none"
        raise UnreadableError(f"JSON whose version is {version}, not {VERSION}")
    rows = content.get("breakers")
    if not isinstance(rows, list):
        raise UnreadableError("JSON without breakers")
    summary, after = _object(content, "summary"), content.get("next")
    return BreakerList(
        content=content,
        breakers=tuple(_breaker(row, _moment(content.get("now")), seen_at) for row in rows),
        summary={state.value: _whole(summary.get(state.value)) for state in CircuitBreakerState}
        | {"total": _whole(summary.get("total", len(rows)))},
        traffic=Traffic(
            calls_per_second=_number(summary.get("calls_per_second")),
            rejected_per_second=_number(summary.get("rejected_per_second")),
            failing_share=_number(summary.get("failing_share")),
            likely_cause=_text(summary, "likely_cause"),
        ),
        figures=content.get("figures") is not False,
        worker=_worker(content),
        next=after if isinstance(after, str) else None,
        store=_store(content),
    )


def breaker(body: bytes, seen_at: float) -> Breaker:
    content = document(body)
    return replace(_breaker(content, _moment(content.get("now")), seen_at), worker=_worker(content))


def changed(body: bytes) -> list[str]:
    """Parse the names of the breakers that a control of several has changed."""
    names = document(body).get("changed")
    if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise UnreadableError("JSON without the changed breakers")
    return names


def _worker(content: dict[str, Any]) -> WorkerInfo:
    worker = _object(content, "worker")
    return WorkerInfo(
        pid=_whole(worker.get("pid")) or None, started_at=str(worker.get("started_at"))
    )


def _store(content: dict[str, Any]) -> StoreInfo | None:
    """Return the store; None if there is none, or the monitor is older than stores."""
    store = _object(content, "store")
    if not store:
        return None
    return StoreInfo(
        label=str(store.get("label")),
        works=store.get("works") is True,
        workers=_whole(store.get("workers")) or None,
        problem=_text(store, "problem"),
    )


def _outage(row: dict[str, Any], now: datetime | None) -> OutageInfo | None:
    outage = _object(row, "outage")
    if not outage:
        return None
    return OutageInfo(
        age=_age(outage.get("began_at"), now),
        ended=_age(outage.get("ended_at"), now),
        reason=_text(outage, "reason"),
        failure_type=_text(outage, "failure_type"),
        failure_rate=_number(outage.get("failure_rate")),
        consecutive_failures=_whole(outage.get("consecutive_failures")),
        probes_failed=_whole(outage.get("probes_failed")),
        last_probe=_age(outage.get("last_probe_at"), now),
        rejected=_whole(outage.get("rejected")),
        rejected_per_second=_number(outage.get("rejected_per_second")),
    )


def _breaker(row: Any, now: datetime | None, seen_at: float) -> Breaker:
    if not (isinstance(row, dict) and isinstance(row.get("name"), str)):
        raise UnreadableError("a breaker without a name")
    try:
        state = CircuitBreakerState(str(row.get("state")))
    except ValueError:
        raise UnreadableError("a breaker in an unknown state") from None
    limits, states = _object(row, "limits"), _object(row, "states")
    outcomes = ("successes", "failures", "ignored", "rejected")
    return Breaker(
        content=row,
        seen_at=seen_at,
        name=row["name"],
        state=state,
        alone=row.get("alone") is True,
        reason=_text(row, "reason"),
        age=_age(row.get("changed_at"), now),
        retry_after=_number(row.get("retry_after")),
        admitted_share=_number(row.get("admitted_share")),
        failure_rate=_number(row.get("failure_rate")),
        slow_call_rate=_number(row.get("slow_call_rate")),
        consecutive_failures=_whole(row.get("consecutive_failures")),
        calls_per_second=_number(row.get("calls_per_second")),
        rejected_per_second=_number(row.get("rejected_per_second")),
        rejected_share=_number(row.get("rejected_share")),
        failing_share=_number(row.get("failing_share")),
        p50=_number(row.get("p50")),
        p95=_number(row.get("p95")),
        p99=_number(row.get("p99")),
        states={str(name): _whole(number) for name, number in states.items()},
        outage=_outage(row, now),
        owner=_text(row, "owner"),
        runbook=_text(row, "runbook"),
        description=_text(row, "description"),
        calls=sum(_whole(row.get(outcome)) for outcome in outcomes),
        rejected=_whole(row.get("rejected")),
        calls_under_way=_whole(row.get("calls_under_way")),
        slow_calls_under_way=_whole(row.get("slow_calls_under_way")),
        fail_max=_number(limits.get("fail_max")),
        failure_limit=_number(limits.get("failure_rate")),
        slow_limit=_number(limits.get("slow_call_rate")),
    )


def _object(content: dict[str, Any], member: str) -> dict[str, Any]:
    value = content.get(member)
    return value if isinstance(value, dict) else {}


def _text(content: dict[str, Any], member: str) -> str:
    value = content.get(member)
    return value if isinstance(value, str) else ""


def _age(value: Any, now: datetime | None) -> float | None:
    """Return the seconds from a moment to `now`; None where either is unknown."""
    since = _moment(value)
    return max(0.0, (now - since).total_seconds()) if now and since else None


def _number(value: Any) -> float | None:
    """Return a finite number, or None if the value is not one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _whole(value: Any) -> int:
    return int(_number(value) or 0)


def _moment(value: Any) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
