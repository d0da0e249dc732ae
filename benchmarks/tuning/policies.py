"""Policies: settings of our breakers, and rules of other libraries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from benchmarks.tuning import rules
from benchmarks.tuning.calls import Situation
from benchmarks.tuning.guards import Guard, Never
from breaker_asgi import BreakerConfig, CountWindow, TimeWindow
from breaker_asgi.clients.downstream import ORIGIN_CONFIG
from breaker_asgi.middleware.middleware import ROUTE_CONFIG
from breaker_asgi.testing import FakeClock

Make = Callable[[Situation, FakeClock, Random], Guard]


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy: settings of ours, or a guard of its own."""

    name: str
    settings: Mapping[str, Any] | None = None
    make: Make | None = None

    def config(self, situation: Situation, clock: FakeClock) -> BreakerConfig:
        return BreakerConfig(**(self.settings or {}), **situation.settings, clock=clock)


SHORT_OPEN = {"timeout_duration": 1, "backoff": 1.5, "max_timeout_duration": 5}
LONG_OPEN = {"timeout_duration": 1, "backoff": 2, "max_timeout_duration": 60, "jitter": 0.1}
STEADY_OPEN = {"timeout_duration": 1, "backoff": 1.5, "max_timeout_duration": 60, "jitter": 0.1}
_FIVE = {"timeout_duration": 5, "backoff": 2, "max_timeout_duration": 60, "jitter": 0.1}
_OPEN_TIMES = {
    "1 x1.5 to 5": SHORT_OPEN,
    "1 x1.5 to 60": STEADY_OPEN,
    "1 x2 to 60": LONG_OPEN,
    "5 x2 to 60": _FIVE,
}
_WINDOWS = {
    f"{window} {least}": {"failure_rate": 0.5, "window": window, "minimum_calls": least}
    for window in (CountWindow(20), CountWindow(50), TimeWindow(10), TimeWindow(30))
    for least in (10, 20)
}

AIOBREAKER = "aiobreaker's"
DEFAULT = "default"
STEADY = "default, x1.5"
GUIDE = "guide"
RAMP = "guide, ramp 30 s"
ROUTES = "routes"
CLIENTS = "clients"
NEVER = "never"
CLASSIC = "Semian classic"
ADAPTIVE = "Semian adaptive"

_GUIDE = {**ROUTE_CONFIG.given(), "window": CountWindow(20)}
OURS = [
    Policy(AIOBREAKER, {"fail_max": 5, "timeout_duration": 60}),
    Policy(DEFAULT, {"fail_max": 5}),
    Policy(GUIDE, _GUIDE),
    Policy(RAMP, {**_GUIDE, "ramp": 30, "ramp_aggression": 2}),
    Policy(ROUTES, ROUTE_CONFIG.given()),
    Policy(CLIENTS, ORIGIN_CONFIG.given()),
    Policy(STEADY, {"fail_max": 5, **STEADY_OPEN}),
]
"""Settings of ours: those that are in use, that of aiobreaker, and one near the default."""

PEERS = [
    Policy(NEVER, make=lambda *_: Never()),
    Policy(CLASSIC, make=rules.SemianClassic.make),
    Policy(ADAPTIVE, make=rules.SemianAdaptive.make),
    Policy("failsafe-go", make=rules.FailsafeGo.make),
    Policy("Envoy", make=rules.Envoy.make),
    Policy("SRE throttling", make=rules.Throttling.make),
]

CANDIDATES = [
    Policy(f"{window}, {wait}, {probes}", settings | times | {"half_open_calls": probes})
    for window, settings in _WINDOWS.items()
    for wait, times in _OPEN_TIMES.items()
    for probes in (1, 3)
]
"""Settings to search among, by `--policies candidates`; part of a name is enough for some."""


def chosen(names: list[str]) -> list[Policy]:
    """Return the policies whose names contain one of `names`; the usual ones without any."""
    if not names:
        return [*OURS, *PEERS]
    every = [*OURS, *PEERS, *CANDIDATES]
    return [
        policy
        for policy in every
        if any(name in policy.name for name in names)
        or ("candidates" in names and policy in CANDIDATES)
    ]
