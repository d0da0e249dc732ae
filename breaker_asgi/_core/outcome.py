"""The three outcomes of a call."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """An outcome: the evidence of a call about the health of its dependency."""

    SUCCESS = "success"
    FAILURE = "failure"
    IGNORED = "ignored"
    """No evidence: cancelled, the client gone, rejected by another breaker."""


SUCCESS = Outcome.SUCCESS
FAILURE = Outcome.FAILURE
IGNORED = Outcome.IGNORED
