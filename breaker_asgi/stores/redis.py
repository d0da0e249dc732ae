"""A store in Redis or Valkey, for many hosts: one server, Sentinel, or a Cluster.

A user with an ACL needs the keys `{<prefix>:*` and `{<prefix>}:*`, the channel `<prefix>`, and
these commands: evalsha eval time hmget hset hdel hlen hgetall del pexpire zadd zrem zscore zrange
zrangebyscore zrevrange zremrangebyrank publish subscribe unsubscribe ping; in a Cluster
asking, cluster|slots, cluster|shards and command too.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from typing import TYPE_CHECKING, Any

from breaker_asgi._core.extras import needs

with needs(__name__, "redis"):
    from redis.cluster import RedisCluster
    from redis.exceptions import RedisError

from breaker_asgi._core import validation
from breaker_asgi._core.state import CLOSED
from breaker_asgi.stores.protocol import Claim
from breaker_asgi.stores.record import Record, decode, encode
from breaker_asgi.stores.redis_clients import Server
from breaker_asgi.stores.redis_pubsub import Subscription
from breaker_asgi.stores.redis_scripts import Scripts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from redis import Redis

    from breaker_asgi.stores.protocol import Change, Counts, Report, Shared

__all__ = ["RedisStore"]

_OVERDUE = 1.0
"""Seconds after which any worker announces a change in a Cluster: its own may have died."""
_CHANGED = ("state", "reason", "by_hand", "who", "worker", "lasts", "openings")
"""Fields of a change that the record takes over."""


class RedisStore:
    """Shares state between hosts.

    `server` is a URL, or a client of redis-py (not of `redis.asyncio`) with its own timeouts. With
    a URL no connection is made before it is needed, and a server that is gone costs a second.
    """

    def __init__(self, server: str | Redis | RedisCluster, prefix: str = "breaker-asgi") -> None:
        if not isinstance(prefix, str) or not re.fullmatch(r"[\w./-]+", prefix, re.ASCII):
            allowed = "letters, digits and . _ - /"
            raise validation.not_allowed(
                "prefix", prefix, allowed, 'Leave it out for "breaker-asgi"'
            )
        self._server = Server(server)
        self._scripts = Scripts(self._server)
        self._call = self._scripts.call
        self._prefix = prefix
        self._lists = f"{{{prefix}}}:changes", f"{{{prefix}}}:away"
        self._workers = (f"{{{prefix}}}:workers",)
        self._away: tuple[int, frozenset[str]] = 0, frozenset()
        """Names that were not closed at a point: those without a record are forgotten."""
        self._own = threading.local()
        self._closed = 0
        """Number of closes, so that an older listener does not reconnect."""

    @property
    def label(self) -> str:
        """The server, without a password."""
        return self._server.label

    def exchange(
        self, worker: str, number: int, reports: Sequence[Report], ask: Sequence[str]
    ) -> Mapping[str, Shared]:
        """Add up the counts of a worker, in one round trip."""
        commands = [(report.name, self._args_of(worker, number, report)) for report in reports]
        reported = {report.name for report in reports}
        commands += [(name, ()) for name in dict.fromkeys(ask) if name not in reported]
        calls = [(self._key(name), args) for name, args in commands]
        answers = self._scripts.call_all("exchange", calls)
        records = {name: _shared(reply) for (name, _), reply in zip(commands, answers, strict=True)}
        unannounced = [name for (name, _), reply in zip(commands, answers, strict=True) if reply[2]]
        self._sync_lists(records, unannounced)
        return records

    def _sync_lists(self, records: Mapping[str, Shared], unannounced: Sequence[str]) -> None:
        for name in unannounced:
            if records[name].age >= _OVERDUE:
                self._announce(name, records[name])
        point, away = self._away
        gone = [name for name in records if name in away and not records[name].generation]
        if gone:
            self._forget(point, gone)

    def change(self, change: Change) -> Shared:
        """Make a change, if the generation is the expected one."""
        wanted = {name: getattr(change, name) for name in _CHANGED}
        age = round(change.age * 1000)
        args = change.expected, encode(json.dumps(wanted, ensure_ascii=False)), age
        name = encode(change.name)
        if not self._is_cluster:
            keys = (self._key(change.name), *self._lists)
            return _shared(self._call("change", keys, *args, self._prefix, name))
        key = self._key(change.name)
        answer = self._call("change", (key,), *args)
        shared = _shared(answer)
        if answer[2]:
            self._announce(change.name, shared)
        return shared

    def _announce(self, name: str, shared: Shared) -> None:
        """Make the second half of a change in a Cluster, which any worker may have begun."""
        args = self._prefix, encode(name), shared.state.value
        point = self._call("announced", self._lists, *args)
        if _shared(self._call("said", (self._key(name),), shared.generation)).state is CLOSED:
            self._forget(point, [name])

    def _forget(self, point: int | bytes, names: Sequence[str]) -> None:
        """Remove names from the list that were closed after this point."""
        self._call("forget", self._lists[1:], point, *map(encode, names))

    def claim(self, worker: str, name: str, generation: int, most: int, seconds: float) -> Claim:
        """Lend a probe."""
        args = encode(worker), generation, most, round(seconds * 1000)
        answer = self._call("claim", (self._key(name),), *args)
        return Claim(decode(answer[2]) or None, _shared(answer))

    def settle(self, name: str, generation: int, lease: str, counts: Counts | None) -> Shared:
        """Take a lease back."""
        args = generation, encode(lease), *(counts or ())
        return _shared(self._call("settle", (self._key(name),), *args))

    def changes(self, since: int) -> tuple[int, Sequence[str]]:
        """Return the names of breakers that have changed."""
        top, encoded = self._call("changes", self._lists, since)
        point, names = int(float(top)), [decode(name) for name in encoded]
        if not since:
            self._away = point, frozenset(names)
        return point, names

    def wait(self, since: int, timeout: float) -> None:
        """Listen. A lost connection is made anew once; then it is an error."""
        until, closed = time.monotonic() + timeout, self._closed
        try:
            self._listen(since, until)
        except (RedisError, OSError, ValueError):  # ValueError: the connection was closed here
            if self._closed == closed:
                self._listen(since, until)

    def publish(self, worker: str, figures: str, seconds: float) -> None:
        """Keep a worker's figures."""
        args = encode(worker), round(seconds * 1000), encode(figures)
        self._call("publish", self._workers, *args)

    def published(self) -> Mapping[str, str]:
        """Return the figures of each worker."""
        fields = [decode(field) for field in self._call("published", self._workers)]
        return dict(zip(fields[::2], fields[1::2], strict=True))

    def close(self) -> None:
        """Close the connections, unless they are of a given client. Any use opens them again."""
        self._closed += 1
        self._stop_listening()
        self._server.close()

    def _listen(self, since: int, until: float) -> None:
        try:
            subscription = self._subscription()
            if subscription.is_new:
                subscription.is_new = False
                if self.changes(since)[0] > since:  # before the subscription
                    return
            while subscription.receive(max(until - time.monotonic(), 0)) <= since:
                if time.monotonic() >= until:
                    return
        except BaseException:
            self._stop_listening()
            raise

    def _subscription(self) -> Subscription:
        subscription: Subscription | None = getattr(self._own, "subscription", None)
        if subscription is None or subscription.process != os.getpid():
            subscription = Subscription(self._server.client, self._prefix)
            self._own.subscription = subscription
        return subscription

    def _stop_listening(self) -> None:
        subscription: Subscription | None = getattr(self._own, "subscription", None)
        self._own.subscription = None
        if subscription is not None:
            subscription.pubsub.close()

    @property
    def _is_cluster(self) -> bool:
        return isinstance(self._server.client, RedisCluster)

    def _key(self, name: str) -> bytes:
        return encode(f"{{{self._prefix}:{name}}}")

    def _args_of(self, worker: str, number: int, report: Report) -> tuple[bytes | int, ...]:
        streak = report.streak, int(report.unbroken), report.keep
        calls = [value for age, counts in report.seconds for value in (age, *counts)]
        return encode(worker), number, report.generation, *streak, *calls


def _shared(answer: Sequence[Any]) -> Shared:
    now, record = answer[:2]
    return Record.load(record).shared(int(now))
