"""Receives messages that Redis publishes, and detects a dead connection."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from breaker_asgi._core.extras import needs

with needs(__name__, "redis"):
    from redis.exceptions import ConnectionError as RedisConnectionError

if TYPE_CHECKING:
    from redis.client import PubSub

_QUIET = 5.0
"""Seconds without a message after which the server is pinged; and seconds for its reply."""


class Subscription:
    """A subscription, with the time of its last message."""

    def __init__(self, client: Any, channel: str) -> None:
        self.process = os.getpid()
        self.point: int | None = None
        """The point of the last message; None before the first one is known."""
        self._pinged_at: float | None = None
        self._received_at = time.monotonic()
        self.pubsub: PubSub = client.pubsub()
        try:
            self.pubsub.subscribe(channel)
            self._confirm()
        except BaseException:
            self.pubsub.close()
            raise

    def _confirm(self) -> None:
        if self.pubsub.get_message(timeout=1.0) is None:
            raise RedisConnectionError("no answer to SUBSCRIBE")

    def receive(self, timeout: float) -> int:
        """Wait for a change, and return its point; 0 after some time."""
        message = self.pubsub.get_message(timeout=min(timeout, _QUIET))
        now = time.monotonic()
        if message is not None:
            self._received_at, self._pinged_at = now, None
            return int(message["data"]) if message["type"] == "message" else 0
        if self._pinged_at is not None and now - self._pinged_at > _QUIET:
            raise RedisConnectionError("no answer to PING")
        if self._pinged_at is None and now - self._received_at > _QUIET:
            self.pubsub.ping()
            self._pinged_at = now
        return 0
