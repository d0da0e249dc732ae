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
HELD = EVERY
"""The faults that a fleet withstands, and that every seed has."""
