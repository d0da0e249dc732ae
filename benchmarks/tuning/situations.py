"""Situations in which failures do not depend on the load: each call's fate is drawn with it."""

from __future__ import annotations

from collections.abc import Iterator
from math import exp

from benchmarks.tuning.calls import BASE, Call, Draw, Phase, Situation
from benchmarks.tuning.load import Slots

_ENDPOINTS = (0.1,) * 9 + (0.42,)
"""Seconds of ten endpoints: quantiles of Semian's log-normal distribution (mean 0.15 s)."""
_LIMIT = 10.0
"""Seconds after which Semian's experiments give a call up."""
_FAILED = 0.3
"""Share of its usual time that a failed call takes, as there."""
_SLOW_ENDPOINTS = (3, 7, 1, 3, 9, 0, 5, 7, 2, 8)
"""Endpoints that become slow, one after the other; twice the same adds up."""
_QUICK = 0.08
_SICK = 0.1
"""The failing share from which a dependency is sick."""


def _by_endpoint(situation: Situation, draw: Draw) -> tuple[bool, float]:
    failed = draw.luck < situation.phases[draw.phase].failing
    return failed, _ENDPOINTS[draw.endpoint] * (_FAILED if failed else 1.0)


def _timed(situation: Situation, draw: Draw, added: float) -> tuple[bool, float]:
    failed, seconds = _by_endpoint(situation, draw)
    seconds += added
    return failed or seconds >= _LIMIT, min(seconds, _LIMIT)


def _one_slow_service(situation: Situation, draw: Draw) -> tuple[bool, float]:
    phase = situation.phases[draw.phase]
    return _timed(situation, draw, phase.level if draw.service == 0 else 0.0)


def _slow_endpoints(situation: Situation, draw: Draw) -> tuple[bool, float]:
    slow = _SLOW_ENDPOINTS[: int(situation.phases[draw.phase].level)] if draw.service == 0 else ()
    return _timed(situation, draw, 9.5 * slow.count(draw.endpoint))


def _quick(situation: Situation, draw: Draw) -> tuple[bool, float]:
    return draw.luck < situation.phases[draw.phase].failing, _QUICK


def _hanging(situation: Situation, draw: Draw) -> tuple[bool, float]:
    phase = situation.phases[draw.phase]
    return (True, phase.level) if phase.level else _quick(situation, draw)


def _drifting(situation: Situation, draw: Draw) -> tuple[bool, float]:
    phase = situation.phases[draw.phase]
    seconds = (phase.level or _QUICK) * exp(0.4 * draw.pace)
    return draw.luck < phase.failing or seconds > 2.0, min(seconds, 2.0)


def _one_worker(situation: Situation, draw: Draw) -> tuple[bool, float]:
    phase = situation.phases[draw.phase]
    here = draw.worker % situation.workers == 0
    return draw.luck < (phase.failing if here else BASE), _QUICK


def _first_service(call: Call) -> bool:
    return call.service == 0


def _first_worker(call: Call) -> bool:
    return call.worker % 8 == 0


def _failing(seconds: float, *shares: float) -> Iterator[Phase]:
    for share in shares:
        yield Phase(seconds, share, is_sick=share >= _SICK)


def _spikes(seconds: float, *shares: float) -> list[Phase]:
    """Return three healthy phases before each spike, and three at the end."""
    story = [BASE] * 3
    for share in shares:
        story += [share, *[BASE] * 3]
    return [*_failing(seconds, *story)]


def _bursts(seconds: float, share: float) -> list[Phase]:
    """Return ten minutes with a burst of failures in each."""
    return [*_failing(30, BASE), *_minute(seconds, share) * 9, *_failing(30, BASE)]


def _minute(seconds: float, share: float) -> list[Phase]:
    return [Phase(seconds, share, is_sick=True), Phase(60 - seconds)]


def _outage(sick: Phase, healthy: float = 120) -> list[Phase]:
    return [Phase(healthy), sick._replace(is_sick=True), Phase(healthy)]


_H30 = Phase(30)
_GRADUAL = (BASE, 0.015, 0.02, 0.025, 0.03, 0.035, 0.04, 0.045, 0.05, BASE)
_UP = [Phase(20, level=0.08 + 0.4 * step, is_sick=step > 2) for step in range(7)]

ERRORS = [
    Situation(title, phases, _by_endpoint, rate=300, workers=60, has_frontier=True)
    for title, phases in {
        "spike 20": _spikes(20, 0.2),
        "spike 100": _spikes(20, 1.0),
        "sudden spikes": _spikes(20, 0.2, 0.6, 1.0),
        "sustained": [*_failing(30, *[BASE] * 4, *[0.2] * 10, *[BASE] * 4)],
        "gradual": [*_failing(60, *_GRADUAL)],
        "oscillating": [*_failing(10, BASE, BASE, *[0.02, 0.06] * 9, BASE, BASE)],
        "near target": [*_failing(30, BASE, *[0.012] * 4, BASE)],
    }.items()
]
"""Semian's seven experiments with errors; those without a sick phase are healthy throughout."""

SLOW = [
    Situation(
        "one of many slow",
        [_H30, *[Phase(30, level=9.95, is_sick=True)] * 10, *[_H30] * 3],
        _one_slow_service,
        rate=300,
        workers=60,
        services=10,
        classic_errors=2,
        is_sick_part=_first_service,
    ),
    Situation(
        "slow query",
        [_H30, *(Phase(30, level=n, is_sick=True) for n in range(1, 11)), *[_H30] * 3],
        _slow_endpoints,
        rate=300,
        workers=60,
        services=10,
        classic_errors=3,
        is_sick_part=_first_service,
        dependency=Slots,
    ),
]
"""Semian's two experiments with latency."""

HARDER = [
    Situation("hang, 2 s is slow", _outage(Phase(60, level=30)), _hanging, slow_after=2),
    Situation("latency drift", [Phase(60), *_UP, *[_UP[-1]] * 2, Phase(90)], _drifting),
    Situation("flapping 20 s", [Phase(50), *[*_failing(20, 1.0, BASE)] * 5], _quick),
    Situation("1 rps, 120 s outage", _outage(Phase(120, 1.0), 390), _quick, rate=1),
    Situation(
        "one of 8 workers sick",
        _outage(Phase(120, 1.0), 90),
        _one_worker,
        is_sick_part=_first_worker,
    ),
    Situation("poison 5 % all the time", [Phase(300, 0.06)], _quick),
    Situation("poison 40 %, .5 s a minute", _bursts(0.5, 0.4), _quick),
    Situation("60 % for 120 s", _outage(Phase(120, 0.6), 90), _quick),
    Situation("hiccup, .25 s a minute", _bursts(0.25, 1.0), _quick),
]
"""Situations that are harder, or rarer in experiments."""
