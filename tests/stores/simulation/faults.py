"""Faults of a world that can be switched on one by one."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Faults:
    """Faults beside those that every world has, and their rules."""

    slow: bool = False
    """The store is slow for a while: a round trip takes up to a second."""
    snapshots: bool = False
    """The store goes back to any of its earlier states, and the later command holds."""
    unreadable: bool = False
    """The record of one breaker can't be read, and all other breakers stay in step."""

    def __str__(self) -> str:
        return ",".join(name for name, is_on in asdict(self).items() if is_on)

    @classmethod
    def parse(cls, names: str) -> Faults:
        """Return the faults with these names, which commas separate."""
        return cls(**{name: True for name in names.split(",") if name})


EVERY = Faults(slow=True, snapshots=True, unreadable=True)
HELD = Faults(slow=True)
"""The faults that a fleet withstands, and that every seed has."""
# This becomes EVERY once each worker keeps the last command of a breaker through automatic changes
# and restarts, and once a store reports an error for the one breaker that it can't read. Until then
# these of the first 600 seeds fail, and every tenth, for its scenarios:
# - snapshots: 11 17 38 45 56 71 89 159 197 225 312 320 329 and others. In 11 a lifted force_open
#   comes back: its change is automatic since ("the time set by hand is over").
# - unreadable: 6 11 12 16 17 18 19 23 24 26 27 29 and 200 others: one record puts all workers out.
