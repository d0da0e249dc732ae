"""Windows and states behave as resilience4j 2.3.0 was recorded to behave.

Each trace holds random settings and random calls under a fake clock; every step has to come out
equal. The rules in words are in docs/reference.md. There a call is slow when it has ended, and not
before: so these calls are not under way.
"""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from breaker_asgi import CircuitBreaker, CircuitBreakerError, CountWindow, Permit, TimeWindow
from breaker_asgi._core.permit import TimedPermit
from breaker_asgi.testing import FakeClock

TRACES = Path(__file__).parent.parent / "data" / "traces.jsonl.gz"


@cache
def load() -> list[dict[str, Any]]:
    with gzip.open(TRACES, "rt") as lines:
        return [json.loads(line) for line in lines]


def breaker_of(config: dict[str, Any], clock: FakeClock) -> CircuitBreaker:
    window = CountWindow if config["window"] == "count" else TimeWindow
    return CircuitBreaker(
        failure_rate=config["failure_rate"] / 100,
        slow_call_rate=config["slow_rate"] / 100,
        slow_call_duration=config["slow_ms"] / 1000,
        window=window(config["size"]),
        minimum_calls=config["minimum_calls"],
        half_open_calls=config["half_open_calls"],
        half_open_timeout=3600,
        timeout_duration=config["open_ms"] / 1000,
        backoff=config["backoff"],
        max_timeout_duration=config["max_open_ms"] / 1000,
        clock=clock,
    )


def acquire(breaker: CircuitBreaker) -> Permit | None:
    try:
        permit = breaker.acquire()
    except CircuitBreakerError:
        return None
    if isinstance(permit, TimedPermit):
        permit._leave()
    return permit


def percent(rate: float | None) -> Any:
    return None if rate is None else pytest.approx(rate * 100, abs=1e-4)


def replay(trace: dict[str, Any]) -> None:
    clock = FakeClock()
    breaker = breaker_of(trace["config"], clock)
    for number, step in enumerate(trace["steps"]):
        clock.now = step["at"] / 1000
        where = f"trace {trace['id']}, step {number}: {step}"
        if step["op"] == "calls":
            permits = [acquire(breaker) for _ in step["admitted"]]
            assert [permit is not None for permit in permits] == step["admitted"], where
            admitted = [permit for permit in permits if permit]
            for index, outcome, duration, state in step["outcomes"]:
                clock.now = (step["at"] + duration) / 1000
                settle = {"ok": "success", "fail": "failure", "ignore": "ignore"}[outcome]
                getattr(admitted[index], settle)()
                assert breaker.state.value == state, where
        else:
            getattr(breaker, step["op"])()
        assert breaker.state.value == step["state"], where
        if "calls" in step:
            snapshot = breaker.snapshot()
            assert snapshot.calls == step["calls"], where
            assert step["failure_rate"] == percent(snapshot.failure_rate), where
            assert step["slow_rate"] == percent(snapshot.slow_call_rate), where


PACK = 20


@pytest.mark.parametrize("first", range(0, 400, PACK))
def test_every_step_of_the_traces_comes_out_equal(first: int) -> None:
    traces = load()
    assert len(traces) == 400
    for trace in traces[first : first + PACK]:
        replay(trace)
