"""Who has made a change: of workers that make the same one at the same time, one warns of it."""

from __future__ import annotations

from zlib import crc32

_SECOND = 10_000_000
_LONGEST = 1e6
"""Seconds beyond which a store may have no digits left for it."""


def signed(lasts: float | None, worker: str) -> float | None:
    """Seconds that a state lasts, in whose digits behind the milliseconds stands who says so.

    Nothing but the log depends on it.
    """
    if lasts is None or lasts >= _LONGEST:
        return lasts
    return round(lasts, 3) + (1 + crc32(worker.encode(errors="replace")) % 4998) / _SECOND


def is_by_another(made: float | None, kept: float | None) -> bool:
    """Whether what a store has kept was signed by another worker than what was made here.

    A store that does not keep so many digits leaves that open: then it was not.
    """
    return _signature(kept) not in {0, _signature(made)}


def _signature(lasts: float | None) -> int:
    if lasts is None or lasts >= _LONGEST:
        return 0
    return round(lasts * _SECOND) % (_SECOND // 1000)
