"""Stores: state that processes share."""

from breaker_asgi.stores.memory import MemoryStore
from breaker_asgi.stores.protocol import (
    Answer,
    Board,
    Change,
    Claim,
    Command,
    Counts,
    Entry,
    Reply,
    Report,
    Second,
    Settled,
    Shared,
    SharedOutage,
    Store,
)
from breaker_asgi.stores.sqlite import SQLiteStore
from breaker_asgi.stores.urls import store_of

__all__ = [
    "Answer",
    "Board",
    "Change",
    "Claim",
    "Command",
    "Counts",
    "Entry",
    "MemoryStore",
    "Reply",
    "Report",
    "SQLiteStore",
    "Second",
    "Settled",
    "Shared",
    "SharedOutage",
    "Store",
    "store_of",
]
