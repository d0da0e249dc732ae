"""Hears what a Redis publishes, and finds out where it has fallen silent."""

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
"""Seconds of silence after which the server is asked whether it is there; so long it may take."""


class Subscription:
    """A subscription, and when something was heard of it."""

    def __init__(self, client: Any, channel: str) -> None:
        self.process = os.getpid()
        self.is_new = True
        self._asked: float | None = None
        self._heard = time.monotonic()
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

    def hear(self, timeout: float) -> int:
        """The point of a change, or 0 after some time."""
        message = self.pubsub.get_message(timeout=min(timeout, _QUIET))
        now = time.monotonic()
        if message is not None:
            self._heard, self._asked = now, None
            return int(message["data"]) if message["type"] == "message" else 0
        if self._asked is not None and now - self._asked > _QUIET:
            raise RedisConnectionError("no answer to PING")
        if self._asked is None and now - self._heard > _QUIET:
            self.pubsub.ping()
            self._asked = now
        return 0
