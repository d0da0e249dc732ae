"""The settings of a breaker as JSON."""

from __future__ import annotations

from dataclasses import fields
from math import isfinite
from typing import Any, TypeAlias

from breaker_asgi._core.config import BreakerConfig
from breaker_asgi._core.windows import CountWindow
from breaker_asgi.monitor.event_log import name_of

Json: TypeAlias = dict[str, Any]

_SETTINGS = [field.name for field in fields(BreakerConfig) if field.init]


def _slow_after(config: BreakerConfig) -> float | None:
    return None if config.slow_call_duration is None else config.slow_after


def limits(config: BreakerConfig) -> Json:
    """Return what trips a breaker."""
    return {
        "fail_max": config.effective_fail_max,
        "failure_rate": config.failure_rate,
        "slow_call_rate": config.slow_call_rate,
        "slow_call_duration": _slow_after(config),
    }


def settings(config: BreakerConfig) -> Json:
    """Return the settings in force: numbers in SI units; functions, types and others by name."""
    in_force = {name: _setting(getattr(config, name)) for name in _SETTINGS}
    window = config.window
    size = f"{window.calls} calls" if isinstance(window, CountWindow) else f"{window.seconds} s"
    return in_force | {
        "fail_max": config.effective_fail_max,
        "timeout_duration": config.timeout,
        "backoff": config.effective_backoff,
        "jitter": config.effective_jitter,
        "ramp": config.ramp_time or None,
        "ramp_aggression": config.effective_ramp_aggression if config.ramp_time else None,
        "slow_call_duration": _slow_after(config),
        "window": size if config.rated else None,
        "minimum_calls": config.effective_minimum_calls if config.rated else None,
        "half_open_timeout": config.probe_timeout,
        "max_timeout_duration": config.longest_timeout,
        "profile": config.judgement.profile and config.judgement.profile.name,
        "owner": config.owner,
        "runbook": config.runbook,
        "description": config.description,
        "stream": config.stream,
        "stream_idle_timeout": config.stream_idle if isfinite(config.stream_idle) else None,
    }


def _setting(value: Any) -> Any:
    if value is None or isinstance(value, int) or (isinstance(value, float) and isfinite(value)):
        return value
    if isinstance(value, tuple):
        return ", ".join(map(name_of, value)) or None
    return name_of(value)
