"""Stores: state that processes share."""

from breaker_asgi.stores.memory import MemoryStore
from breaker_asgi.stores.protocol import Change, Claim, Counts, Report, Second, Shared, Store
from breaker_asgi.stores.sqlite import SQLiteStore
from breaker_asgi.stores.urls import store_of

__all__ = [
    "Change",
    "Claim",
    "Counts",
    "MemoryStore",
    "Report",
    "SQLiteStore",
    "Second",
    "Shared",
    "Store",
    "store_of",
]
