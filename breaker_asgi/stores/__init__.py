"""State that processes share: what one worker learns, all know."""

from breaker_asgi.stores.memory import MemoryStore
from breaker_asgi.stores.protocol import Change, Claim, Counts, Report, Second, Shared, Store

__all__ = ["Change", "Claim", "Counts", "MemoryStore", "Report", "Second", "Shared", "Store"]
