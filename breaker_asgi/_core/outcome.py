"""The three outcomes of a call."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """An outcome: what a call said about the health of what it called."""

    SUCCESS = "success"
    FAILURE = "failure"
    IGNORED = "ignored"
    """Nothing: cancelled, the client gone, rejected by another breaker."""


SUCCESS = Outcome.SUCCESS
FAILURE = Outcome.FAILURE
IGNORED = Outcome.IGNORED
