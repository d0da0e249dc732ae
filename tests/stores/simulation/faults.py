"""Faults of a world that can be switched on one by one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Faults:
    """Faults beside those that every world has, and their rules."""

    slow: bool = False
    """The store is slow for a while: a round trip takes up to a second."""
    snapshots: bool = False
    """The store goes back to any of its earlier states, and the later command holds."""
    unreadable: bool = False
    """The record of one breaker can't be read, and all other breakers stay in step."""


EVERY = Faults(slow=True, snapshots=True, unreadable=True)
HELD = Faults(slow=True)
"""The faults that a fleet withstands, and that every seed has."""
