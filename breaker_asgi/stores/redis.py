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
"""Seconds after which a change in a Cluster is announced by others: who made it may have died."""
_CHANGED = ("state", "reason", "by_hand", "who", "worker", "lasts", "openings")
"""What the record takes over from a change."""


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
        """What was away at a point: so that names without a record are forgotten."""
        self._own = threading.local()
        self._closed = 0
        """How often: who was listening then is not to open it again."""

    @property
    def label(self) -> str:
        """The server, without a password."""
        return self._server.label

    def exchange(
        self, worker: str, number: int, reports: Sequence[Report], ask: Sequence[str]
    ) -> Mapping[str, Shared]:
        """Add up what a worker has seen, in one round trip."""
        commands = [(each.name, self._told(worker, number, each)) for each in reports]
        reported = {each.name for each in reports}
        commands += [(name, ()) for name in dict.fromkeys(ask) if name not in reported]
        calls = [(self._key(name), said) for name, said in commands]
        answers = self._scripts.call_all("exchange", calls)
        known = {name: _shared(said) for (name, _), said in zip(commands, answers, strict=True)}
        unsaid = [name for (name, _), said in zip(commands, answers, strict=True) if said[2]]
        self._tend_lists(known, unsaid)
        return known

    def _tend_lists(self, known: Mapping[str, Shared], unsaid: Sequence[str]) -> None:
        for name in unsaid:
            if known[name].age >= _OVERDUE:
                self._announce(name, known[name])
        point, away = self._away
        gone = [name for name in known if name in away and not known[name].generation]
        if gone:
            self._forget(point, gone)

    def change(self, change: Change) -> Shared:
        """Make a change, if the generation is the expected one."""
        wanted = {name: getattr(change, name) for name in _CHANGED}
        age = round(change.age * 1000)
        said = change.expected, encode(json.dumps(wanted, ensure_ascii=False)), age
        name = encode(change.name)
        if not self._is_cluster:
            keys = (self._key(change.name), *self._lists)
            return _shared(self._call("change", keys, *said, self._prefix, name))
        key = self._key(change.name)
        answer = self._call("change", (key,), *said)
        shared = _shared(answer)
        if answer[2]:
            self._announce(change.name, shared)
        return shared

    def _announce(self, name: str, shared: Shared) -> None:
        """Make the second half of a change in a Cluster, whoever has made the first one."""
        said = self._prefix, encode(name), shared.state.value
        point = self._call("announced", self._lists, *said)
        if _shared(self._call("said", (self._key(name),), shared.generation)).state is CLOSED:
            self._forget(point, [name])

    def _forget(self, point: int | bytes, names: Sequence[str]) -> None:
        """Those that were found closed after this point are not away."""
        self._call("forget", self._lists[1:], point, *map(encode, names))

    def claim(self, worker: str, name: str, generation: int, most: int, seconds: float) -> Claim:
        """Lend a probe."""
        said = encode(worker), generation, most, round(seconds * 1000)
        answer = self._call("claim", (self._key(name),), *said)
        return Claim(decode(answer[2]) or None, _shared(answer))

    def settle(self, name: str, generation: int, lease: str, counts: Counts | None) -> Shared:
        """Take a lease back."""
        said = generation, encode(lease), *(counts or ())
        return _shared(self._call("settle", (self._key(name),), *said))

    def changes(self, since: int) -> tuple[int, Sequence[str]]:
        """The names of breakers that have changed."""
        said, encoded = self._call("changes", self._lists, since)
        point, names = int(float(said)), [decode(name) for name in encoded]
        if not since:
            self._away = point, frozenset(names)
        return point, names

    def wait(self, since: int, timeout: float) -> None:
        """Listen. A connection that was lost is made anew, once; then it is an error."""
        until, closed = time.monotonic() + timeout, self._closed
        try:
            self._listen(since, until)
        except (RedisError, OSError, ValueError):  # the last of a connection that was closed here
            if self._closed == closed:
                self._listen(since, until)

    def publish(self, worker: str, figures: str, seconds: float) -> None:
        """Keep a worker's figures."""
        said = encode(worker), round(seconds * 1000), encode(figures)
        self._call("publish", self._workers, *said)

    def published(self) -> Mapping[str, str]:
        """The figures of each worker."""
        said = [decode(each) for each in self._call("published", self._workers)]
        return dict(zip(said[::2], said[1::2], strict=True))

    def close(self) -> None:
        """Close the connections, unless the client was given. Using the store opens them again."""
        self._closed += 1
        self._stop_listening()
        self._server.close()

    def _listen(self, since: int, until: float) -> None:
        try:
            ear = self._ear()
            if ear.is_new:
                ear.is_new = False
                if self.changes(since)[0] > since:  # before anybody listened
                    return
            while ear.hear(max(until - time.monotonic(), 0)) <= since:
                if time.monotonic() >= until:
                    return
        except BaseException:
            self._stop_listening()
            raise

    def _ear(self) -> Subscription:
        ear: Subscription | None = getattr(self._own, "ear", None)
        if ear is None or ear.process != os.getpid():
            ear = self._own.ear = Subscription(self._server.client, self._prefix)
        return ear

    def _stop_listening(self) -> None:
        ear: Subscription | None = getattr(self._own, "ear", None)
        self._own.ear = None
        if ear is not None:
            ear.pubsub.close()

    @property
    def _is_cluster(self) -> bool:
        return isinstance(self._server.client, RedisCluster)

    def _key(self, name: str) -> bytes:
        return encode(f"{{{self._prefix}:{name}}}")

    def _told(self, worker: str, number: int, report: Report) -> tuple[bytes | int, ...]:
        seen = report.streak, int(report.unbroken), report.keep
        calls = [each for age, counts in report.seconds for each in (age, *counts)]
        return encode(worker), number, report.generation, *seen, *calls


def _shared(answer: Sequence[Any]) -> Shared:
    now, record = answer[:2]
    return Record.load(record).shared(int(now))
