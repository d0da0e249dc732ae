"""The JSON of a monitor, by its contract."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

NOW = "2026-11-23T12:00:00+00:00"
STATES = ("closed", "open", "half_open", "closing", "forced_open", "disabled", "metrics_only")


def breaker(name: str, state: str = "closed", **fields: Any) -> dict[str, Any]:
    """Return the JSON of a breaker that changed its state 90 s ago."""
    return {
        "name": name,
        "state": state,
        "reason": "new",
        "changed_at": "2026-11-23T11:58:30+00:00",
        "generation": 0,
        "admitted_share": None,
        "retry_after": 0.0,
        "calls": 0,
        "failure_rate": None,
        "slow_call_rate": None,
        "consecutive_failures": 0,
        "successes": 0,
        "failures": 0,
        "ignored": 0,
        "rejected": 0,
        "excluded": 0,
        "last_failure_type": None,
        "last_failure_at": None,
        "last_failure_message": None,
        "slow_calls": 0,
        "calls_under_way": None,
        "slow_calls_under_way": None,
        "calls_per_second": 0.0,
        "p50": None,
        "p95": None,
        "limits": None,
        "alone": False,
    } | fields


def listing(*breakers: dict[str, Any], after: str | None = None, **fields: Any) -> dict[str, Any]:
    counts = Counter(row["state"] for row in breakers)
    return {
        "version": 1,
        "now": NOW,
        "worker": {"pid": os.getpid(), "started_at": NOW},
        "store": None,
        "controls": True,
        "details": False,
        "summary": {"total": len(breakers)} | {state: counts[state] for state in STATES},
        "breakers": [*breakers],
        "next": after,
    } | fields
