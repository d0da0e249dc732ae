"""A store in Redis or Valkey, for many hosts: one server, Sentinel, or a Cluster.

A user with an ACL needs the keys `{<prefix>:*` and `{<prefix>}:*`, the channel `<prefix>`, and
these commands: evalsha eval time hget hmget hset hdel hlen hgetall del pexpire pttl zadd zrem
zscore zcard zcount zrange zrangebyscore zrevrange zremrangebyrank zremrangebyscore publish
subscribe unsubscribe ping; in a Cluster asking, cluster|slots, cluster|shards and command too.
"""

from __future__ import annotations

import os
import re
import threading
import time
from math import inf
from typing import TYPE_CHECKING, Any

from breaker_asgi._core.extras import needs

with needs(__name__, "redis"):
    from redis.cluster import RedisCluster
    from redis.exceptions import RedisError

from breaker_asgi._core import validation
from breaker_asgi._core.state import CLOSED
from breaker_asgi.stores.protocol import Answer
from breaker_asgi.stores.record import UnreadableError, decode, encode
from breaker_asgi.stores.redis_clients import Server
from breaker_asgi.stores.redis_entries import Earlier, Kept, arguments, parse
from breaker_asgi.stores.redis_pubsub import Subscription
from breaker_asgi.stores.redis_scripts import Call, Scripts, refusal_of_one_record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from redis import Redis

    from breaker_asgi.stores.protocol import Entry, Shared

__all__ = ["RedisStore"]

_OVERDUE = 1.0
"""Seconds after which any worker announces a change in a Cluster: its own may have died."""
_PARTS = [f":1{part}".encode() for part in ("", ":s", ":f", ":t", ":p", ":w")] + [b""]
"""Ends of the keys of a breaker, as lua/record.lua names them; the last one is of version 0."""

_Result = Kept | Earlier | str
"""The answer to an entry; or the reason why the record can't be read."""


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
        lists = ":1:changes", ":1:away", ":alive", ":away"
        self._lists = tuple(f"{{{prefix}}}{part}" for part in lists)
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

    def sync(self, worker: str, number: int, cursor: int, batch: Sequence[Entry]) -> Answer:
        """Apply a batch of entries: in one round trip, unless a Cluster has to announce changes."""
        results: dict[str, _Result] = {}

        def run(calls: Sequence[tuple[str, Call]]) -> tuple[bytes, int, list[bytes]]:
            """Run the calls for entries, note their results, and return what has changed."""
            asks = Call("changes", self._lists, (cursor, encode(worker)))
            *answers, changes = self._scripts.call_all([*(call for _, call in calls), asks])
            for (name, _), answer in zip(calls, answers, strict=True):
                results[name] = _result(answer)
            return changes[0], changes[1], changes[2]

        head = encode(worker), number
        calls = [(entry.name, self._call_of(head, entry, _look(entry, cursor))) for entry in batch]
        changes = run(calls)
        if more := self._calls_that_take_over(head, batch, results):
            changes = run(more)
        if self._announce_due(batch, results):
            changes = run([])
        top, workers, named = changes
        changed = self._changed(cursor, int(float(top)), named, results)
        replies = {name: kept.reply for name, kept in results.items() if isinstance(kept, Kept)}
        unreadable = {name: why for name, why in results.items() if isinstance(why, str)}
        return Answer(int(float(top)), changed, replies, unreadable, workers)

    def _call_of(
        self, head: tuple[bytes, int], entry: Entry, look: str, begins: int | None = None
    ) -> Call:
        keys = self._keys(entry.name)
        lists = () if self._is_cluster else self._lists[:2]
        place = look, self._prefix, encode(entry.name)
        args = *head, entry.generation, entry.window, *place, *arguments(entry, begins)
        return Call("sync", (*keys, *lists), args)

    def _keys(self, name: str) -> list[bytes]:
        key = encode(f"{{{self._prefix}:{name}}}")
        return [key + part for part in _PARTS]

    def _calls_that_take_over(
        self, head: tuple[bytes, int], batch: Sequence[Entry], results: dict[str, _Result]
    ) -> list[tuple[str, Call]]:
        """Return calls that take records of version 0 over, each before its entry."""
        calls = []
        for entry in batch:
            earlier = results[entry.name]
            if isinstance(earlier, Earlier):
                try:
                    taking, begins = earlier.change(entry.name)
                except UnreadableError as error:
                    results[entry.name] = str(error)
                else:
                    calls.append((entry.name, self._call_of(head, taking, "never", begins)))
                    calls.append((entry.name, self._call_of(head, entry, "never")))
        return calls

    def _announce_due(self, batch: Sequence[Entry], results: dict[str, _Result]) -> bool:
        """Announce changes, in a Cluster: those of this batch, and overdue ones."""
        is_due = False
        for entry in batch:
            kept = results[entry.name]
            if isinstance(kept, Kept) and kept.is_unsaid:
                shared = kept.reply.shared
                if entry.change is not None or shared.age >= _OVERDUE:
                    point = self._announce(entry.name, shared)
                    results[entry.name] = kept._replace(point=point)
                    is_due = True
        return is_due

    def _announce(self, name: str, shared: Shared) -> int:
        """Make the second half of a change in a Cluster, which any worker may have begun."""
        args = self._prefix, encode(name), shared.state.value
        point: bytes = self._call("announced", self._lists[:2], *args)
        key = self._keys(name)[:1]
        if decode(self._call("said", key, shared.generation, point)) == CLOSED.value:
            self._forget(int(point), [name])
        return int(point)

    def _changed(
        self, cursor: int, top: int, named: Sequence[bytes], results: Mapping[str, _Result]
    ) -> list[str]:
        """Return the names that have changed, and forget those without a record.

        A breaker of the batch is among them if it has changed after its entry was applied.
        """
        point, away = self._away
        gone = [name for name in results if name in away and _is_gone(results[name])]
        if gone:
            self._forget(point, gone)
        names = map(decode, named[::2])
        points = dict(zip(names, (int(float(point)) for point in named[1::2]), strict=True))
        if not 0 < cursor <= top:
            self._away = top, frozenset(name for name, point in points.items() if point)
        return [name for name, point in points.items() if point > _covered(results.get(name))]

    def _forget(self, point: int, names: Sequence[str]) -> None:
        """Remove names from the list that were closed after this point."""
        self._call("forget", self._lists[1:2], point, *map(encode, names))

    def wait(self, cursor: int, timeout: float) -> int:
        """Listen. A lost connection is made anew once; then it is an error."""
        until, closed = time.monotonic() + timeout, self._closed
        try:
            return self._listen(cursor, until)
        except (RedisError, OSError, ValueError):  # ValueError: the connection was closed here
            if self._closed != closed:
                return cursor
            return self._listen(cursor, until)

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

    def _listen(self, cursor: int, until: float) -> int:
        try:
            subscription = self._subscription()
            if subscription.point is None:  # changes before the subscription
                subscription.point = int(float(self._call("latest", self._lists[:1])))
            while subscription.point <= cursor:
                left = until - time.monotonic()
                subscription.point = subscription.receive(max(left, 0)) or subscription.point
                if left <= 0:
                    break
        except BaseException:
            self._stop_listening()
            raise
        return subscription.point

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


def _look(entry: Entry, cursor: int) -> str:
    """Return when to look for a record of version 0: rarely where an old worker may still run."""
    only_asks = not (entry.settled or entry.report or entry.change or entry.claims)
    return "always" if only_asks or not cursor else "if new"


def _result(answer: Any) -> _Result:
    """Return the answer to an entry, or the reason why its record can't be read."""
    try:
        return refusal_of_one_record(answer) or parse(answer)
    except UnreadableError as error:
        return str(error)


def _is_gone(result: _Result) -> bool:
    return isinstance(result, Kept) and not result.reply.shared.generation


def _covered(result: _Result | None) -> float:
    """Return the point up to which a breaker's changes are in its answer."""
    if result is None:
        return -1
    return result.point if isinstance(result, Kept) else inf
