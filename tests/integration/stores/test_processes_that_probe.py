"""Probers that die, hang, stand still or are cancelled, while healthy calls go on elsewhere."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from tests.integration.stores.fellows import FAILED, REJECTED, Fellow, Fellows, fellows
from tests.integration.stores.processes import until
from tests.integration.stores.worker import FAIL_MAX, LEASE

FATES = ["killed", "hung", "stopped", "cancelled"]


def all_probe(probers: dict[str, Fellow]) -> None:
    """Each holds a probe of another breaker; they begin at once, as leases do not last long."""
    left = dict(probers)

    def probe() -> bool:
        for name, each in left.items():
            each.begin("hold", name)
        for name in [name for name, each in left.items() if each.answer() == "held"]:
            del left[name]
        return not left

    until(probe, "all probes are under way")


def suffer(prober: Fellow, fate: str, name: str) -> None:
    if fate == "killed":
        prober.kill()
    elif fate == "stopped":
        prober.process.send_signal(signal.SIGSTOP)
    elif fate == "cancelled":
        prober.ask("cancel", name)


def when_admitted(callers: Fellows, names: list[str]) -> dict[str, float]:
    """All are called all the time: after how many seconds each has first been called."""
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
    with fellows(len(names) + 2, url, tmp_path) as found:
        probers, callers = dict(zip(names, found, strict=False)), Fellows(found[len(names) :])
        for name in names:
            for _ in range(FAIL_MAX):
                assert callers[0].ask("call", name, "fail") == FAILED
            found.all_are(name, "open")
        all_probe(probers)
        try:
            for fate, (name, prober) in zip(FATES, probers.items(), strict=True):
                suffer(prober, fate, name)
            after = when_admitted(callers, names)
        finally:
            probers["stopped-0.5"].process.send_signal(signal.SIGCONT)
        assert after.pop("cancelled-0.5") < LEASE / 2
        assert max(after.values()) < LEASE + 1
        for name in names:
            callers.all_are(name, "closed")
