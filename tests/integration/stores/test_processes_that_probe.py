"""Probers that are killed, hung, stopped or cancelled, while other workers make healthy calls."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from tests.integration.stores.processes import until
from tests.integration.stores.worker_pool import (
    FAILED,
    REJECTED,
    WorkerPool,
    WorkerProcess,
    worker_pool,
)
from tests.integration.stores.worker_process import FAIL_MAX, LEASE

FATES = ["killed", "hung", "stopped", "cancelled"]


def all_probe(probers: dict[str, WorkerProcess]) -> None:
    """Let each prober hold a probe of its breaker; all begin at once, as leases are short."""
    left = dict(probers)

    def probe() -> bool:
        for name, prober in left.items():
            prober.begin("hold", name)
        for name in [name for name, prober in left.items() if prober.answer() == "held"]:
            del left[name]
        return not left

    until(probe, "all probes are under way")


def suffer(prober: WorkerProcess, fate: str, name: str) -> None:
    if fate == "killed":
        prober.kill()
    elif fate == "stopped":
        prober.process.send_signal(signal.SIGSTOP)
    elif fate == "cancelled":
        prober.ask("cancel", name)


def seconds_until_admitted(callers: WorkerPool, names: list[str]) -> dict[str, float]:
    """Keep calling, and return the seconds until each breaker has admitted a call."""
    began, after, refused = time.monotonic(), dict[str, float](), set[str]()

    def call() -> bool:
        for name in names:
            if name not in after:
                outcomes = callers.ask("call", name)
                refused.update({name} if set(outcomes) == {REJECTED} else ())
                if "ok" in outcomes:
                    after[name] = time.monotonic() - began
        return len(after) == len(names)

    until(call, "each has admitted a call")
    assert refused >= {name for name in names if not name.startswith("cancelled")}
    return after


def test_the_first_call_is_admitted_when_the_lease_of_a_lost_probe_has_ended(
    url: str, tmp_path: Path
) -> None:
    names = [f"{fate}-0.5" for fate in FATES]
    with worker_pool(len(names) + 2, url, tmp_path) as pool:
        probers, callers = dict(zip(names, pool, strict=False)), WorkerPool(pool[len(names) :])
        for name in names:
            for _ in range(FAIL_MAX):
                assert callers[0].ask("call", name, "fail") == FAILED
            pool.all_are(name, "open")
        all_probe(probers)
        try:
            for fate, (name, prober) in zip(FATES, probers.items(), strict=True):
                suffer(prober, fate, name)
            after = seconds_until_admitted(callers, names)
        finally:
            probers["stopped-0.5"].process.send_signal(signal.SIGCONT)
        assert after.pop("cancelled-0.5") < LEASE / 2
        assert max(after.values()) < LEASE + 1
        for name in names:
            callers.all_are(name, "closed")
