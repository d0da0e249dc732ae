"""The store in Redis: the contract of stores, and servers that die, hang, forget or refuse."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha1
from itertools import count
from typing import Any

import pytest
from redis import Redis
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import RedisError

from breaker_asgi._core.state import CLOSED, FORCED_OPEN, HALF_OPEN, OPEN
from breaker_asgi.stores.protocol import Entry, Store
from breaker_asgi.stores.redis import RedisStore
from breaker_asgi.stores.redis_scripts import _Script, _script
from breaker_asgi.testing import FakeClock
from breaker_asgi.testing.stores import (
    StoreContract,
    ask,
    changes,
    claim,
    opening,
    report,
    send,
    sync,
    to,
)
from tests.integration.stores.conftest import Server, eventually

Node: Callable[..., Any] = ClusterNode
prefixes = (f"test-{number}" for number in count())


def sha_of(text: str) -> str:
    return sha1(text.encode(), usedforsecurity=False).hexdigest()


class RedisContract(StoreContract):
    """The contract, and a record that a newer version has written."""

    url: str
    prefix: str

    def open(self) -> RedisStore:
        return RedisStore(self.url, self.prefix)

    def damage(self, store: Store, name: str) -> None:
        assert isinstance(store, RedisStore)
        with store._server.use() as client:
            client.hset(f"{{{self.prefix}:{name}}}:1", "version", "2")


class TestRedisStore(RedisContract):
    @pytest.fixture(autouse=True)
    def _server(self, common: Server) -> None:
        self.url, self.prefix = common.url, next(prefixes)


class TestRedisStoreInValkey(RedisContract):
    @pytest.fixture(autouse=True)
    def _server(self, valkey: Server) -> None:
        self.url, self.prefix = valkey.url, next(prefixes)
        with valkey.client() as client:
            assert client.info("server")["server_name"] == "valkey"


class TestRedisStoreWithAClientAndAClock(RedisContract):
    """The contract with a client that decodes replies, and scripts that read another clock."""

    advances = True

    @pytest.fixture(autouse=True)
    def _server(self, common: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        self.prefix = next(prefixes)
        self.clock = FakeClock(1_700_000_000.5)
        time_of = f"redis.call('MGET', '{self.prefix}-seconds', '{self.prefix}-microseconds')"

        def script(name: str) -> _Script:
            text = _script(name).text
            assert "redis.call('TIME')" in text
            return _Script(text := text.replace("redis.call('TIME')", time_of), sha_of(text))

        monkeypatch.setattr("breaker_asgi.stores.redis_scripts._script", script)
        with Redis(port=common.port, protocol=2, decode_responses=True) as self.client:
            self.advance(0)
            yield

    def open(self) -> RedisStore:
        return RedisStore(self.client, self.prefix)

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        whole, part = divmod(round(self.clock() * 1e6), 1_000_000)
        now = {f"{self.prefix}-seconds": whole, f"{self.prefix}-microseconds": part}
        self.client.mset(now)

    def test_a_clock_set_back_makes_no_age_smaller_and_no_lease_longer(
        self, half_open: RedisStore
    ) -> None:
        store = half_open
        self.advance(10)
        lost = claim(store, seconds=5)
        self.advance(-3600)
        assert ask(store).age == 10
        self.advance(4.9)
        assert (ask(store).age, ask(store).probes) == (14.9, 1)
        self.advance(0.2)
        assert ask(store).probes == 0
        assert claim(store, worker="v") not in {lost, None}

    def test_a_clock_set_back_loses_no_change_and_no_worker(self, store: RedisStore) -> None:
        send(store, opening())
        before, _ = changes(store)
        self.advance(-3600)
        send(store, opening("other"))
        answer = sync(store, worker="w", cursor=before)
        assert (answer.changed, answer.workers) == (["other"], 1)


class TestRedisStoreInACluster(RedisContract):
    @pytest.fixture(autouse=True)
    def _servers(self, cluster: list[Server]) -> None:
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in cluster)
        self.url, self.prefix = f"redis+cluster://{hosts}", next(prefixes)


@pytest.fixture
def store(server: Server) -> Iterator[RedisStore]:
    store = RedisStore(server.url)
    yield store
    store.close()


def generation(store: RedisStore) -> int:
    return ask(store).generation


def how_long(use: Callable[[], object]) -> float:
    started = time.monotonic()
    with pytest.raises(RedisError):
        use()
    return time.monotonic() - started


# Servers that fail


def test_a_server_that_is_gone_fails_at_once(server: Server, store: RedisStore) -> None:
    send(store, opening())
    server.kill()
    assert how_long(lambda: generation(store)) < 0.5
    assert how_long(lambda: store.wait(0, 5)) < 0.5
    server.start()
    assert generation(store) == 0, "it was restarted empty"
    assert changes(store, 10**15) == (0, [])
    assert send(store, opening()).generation == 1


def test_a_store_may_be_made_before_its_server(server: Server) -> None:
    server.kill()
    store = RedisStore(server.url)
    how_long(lambda: generation(store))
    server.start()
    assert generation(store) == 0
    store.close()


def test_a_server_that_hangs_fails_after_a_second(server: Server, store: RedisStore) -> None:
    send(store, opening())
    server.hang()
    assert how_long(lambda: generation(store)) < 2.5
    server.resume()
    assert generation(store) == 1


def test_a_report_whose_answer_was_lost_is_not_added_twice(
    server: Server, store: RedisStore
) -> None:
    send(store, opening())
    sent = report(calls=5, failures=2, generation=1)
    server.hang()
    how_long(lambda: send(store, sent, "w", 1))  # the server reads it when it resumes
    server.resume()
    assert send(store, sent, "w", 1).counts.calls == 5


def test_a_wait_outlives_its_connection(server: Server, store: RedisStore) -> None:
    send(store, opening("first"))
    point, _ = changes(store)
    waiting = threading.Thread(target=store.wait, args=(point, 30))
    waiting.start()
    with server.client() as client:
        eventually(lambda: client.pubsub_numsub("breaker-asgi")[0][1] == 1)
        client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        eventually(lambda: client.pubsub_numsub("breaker-asgi")[0][1] == 1)
    assert waiting.is_alive()
    send(store, opening())
    waiting.join(5)
    assert not waiting.is_alive()


def test_a_change_that_was_missed_between_two_waits_ends_the_next_one(
    server: Server, store: RedisStore
) -> None:
    send(store, opening("first"))
    point, _ = changes(store)
    store.wait(point, 0)
    with server.client() as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    send(store, opening())
    started = time.monotonic()
    store.wait(point, 20)
    assert time.monotonic() - started < 5


def test_a_silent_server_ends_a_wait_with_an_error(
    server: Server, store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("breaker_asgi.stores.redis_pubsub._QUIET", 0.2)
    point, _ = changes(store)
    store.wait(point, 1.2)
    server.hang()
    assert how_long(lambda: store.wait(point, 20)) < 5
    server.resume()
    for _ in range(8):  # until the unread answers are read
        store.wait(point, 0)
        time.sleep(0.1)


def test_a_flushed_server_starts_from_generation_0(server: Server, store: RedisStore) -> None:
    send(store, opening("old"))
    point, _ = changes(store)
    with server.client() as client:
        client.flushall()
        client.script_flush()
    assert send(store, report("old", generation=1)).generation == 0
    assert claim(store, "old") is None
    assert changes(store, point) == (0, [])
    send(store, opening("new"))
    later, names = changes(store, point)
    assert (later > point, names) == (True, ["new"])


def test_a_full_server_is_an_error_until_there_is_room(server: Server, store: RedisStore) -> None:
    send(store, report(calls=3), "w", 1)
    with server.client() as client:
        client.config_set("maxmemory", "1")
        how_long(lambda: send(store, report(calls=4), "w", 2))
        client.config_set("maxmemory", "0")
    assert send(store, report(calls=4), "w", 2).counts.calls == 7


def test_a_replica_is_an_error_until_it_has_taken_over(server: Server, store: RedisStore) -> None:
    send(store, opening())
    with server.client() as client:
        client.execute_command("REPLICAOF", "127.0.0.1", "1")
        how_long(lambda: send(store, opening(generation=1)))
        client.execute_command("REPLICAOF", "NO", "ONE")
    assert send(store, opening(generation=1)).generation == 2


def connections(client: Any) -> set[str]:
    """Return the ids of the connections that run the store's scripts."""
    return {
        connection["id"]
        for connection in client.client_list()
        if connection["cmd"].startswith("eval")
    }


@pytest.mark.parametrize("how", ["by URL", "by client"])
def test_after_a_refusal_the_store_connects_anew(server: Server, how: str) -> None:
    """Refuse, as an old primary does whose name leads to another server now."""
    store = RedisStore(server.url if how == "by URL" else server.client())
    send(store, opening())
    with server.client() as client:
        before = connections(client)
        client.execute_command("REPLICAOF", "127.0.0.1", "1")
        how_long(lambda: send(store, opening(generation=1)))
        client.execute_command("REPLICAOF", "NO", "ONE")
        assert generation(store) == 1
        assert before
        assert not before & connections(client)
    store.close()


# Expiry, and costs


def test_every_key_expires(server: Server, store: RedisStore) -> None:
    send(store, report("closed", failures=1, tripped=True))
    send(store, to(HALF_OPEN, "probed"))
    claim(store, "probed")
    send(store, report("probed", failures=1, generation=1))
    send(store, to(FORCED_OPEN, "forced"))
    store.publish("w", "1", 60)
    with server.client() as client:
        left: dict[bytes, Any] = {key: client.ttl(key) for key in client.scan_iter()}
    days = {key.decode(): round(seconds / DAY) for key, seconds in left.items()}
    assert days == {
        **{f"{{breaker-asgi:closed}}:1{part}": 1 for part in ("", ":s", ":f", ":t", ":w")},
        **{f"{{breaker-asgi:probed}}:1{part}": 30 for part in ("", ":s", ":f", ":p", ":w")},
        "{breaker-asgi:forced}:1": 30,
        "{breaker-asgi}:alive": 0,
        "{breaker-asgi}:workers": 1,
        "{breaker-asgi}:1:changes": 30,
        "{breaker-asgi}:1:away": 30,
    }


DAY = 86_400


def test_reading_extends_only_permanent_manual_states(server: Server, store: RedisStore) -> None:
    send(store, report("closed"))
    send(store, opening("open"))
    send(store, to(FORCED_OPEN, "forced"))
    forced = to(FORCED_OPEN, "forced for a while")
    assert forced.change
    send(store, replace(forced, change=replace(forced.change, lasts=600)))
    names = ["closed", "open", "forced", "forced for a while"]
    with server.client() as client:
        for key in client.scan_iter("{breaker-asgi:*"):
            client.expire(key, 60)
        sync(store, *(Entry(name=name) for name in names))
        left = {name: client.ttl(f"{{breaker-asgi:{name}}}:1") for name in names}
    assert [name for name, seconds in left.items() if seconds > 60] == ["forced"]
    assert round(left["forced"] / DAY) == 30


def test_a_breaker_whose_record_is_gone_is_not_away_any_more(
    server: Server, store: RedisStore
) -> None:
    for name in ("gone", "kept"):
        send(store, opening(name))
    with server.client() as client:
        client.delete("{breaker-asgi:gone}:1")
    assert changes(store)[1] == ["gone", "kept"]
    replies = sync(store, Entry(name="gone"), Entry(name="kept")).replies
    assert [reply.shared.generation for reply in replies.values()] == [0, 1]
    assert changes(store)[1] == ["kept"]


def test_a_breaker_that_is_put_back_meanwhile_stays_away(server: Server, store: RedisStore) -> None:
    send(store, opening())
    with server.client() as client:
        client.delete("{breaker-asgi:payments}:1")
        changes(store)
        other = RedisStore(server.url)
        send(other, opening())
        kept = client.dump("{breaker-asgi:payments}:1")
        client.delete("{breaker-asgi:payments}:1")
        ask(store)  # as if this read had come before that change
        client.restore("{breaker-asgi:payments}:1", 0, kept)
    assert changes(store)[1] == ["payments"]
    other.close()


def test_figures_that_have_expired_are_dropped(server: Server, store: RedisStore) -> None:
    store.publish("silent", "1", 0)
    store.publish("v", "1", 60)
    with server.client() as client:
        assert client.hkeys("{breaker-asgi}:workers") == [b"v"]
        client.hset("{breaker-asgi}:workers", "old", "1 2 figures")
        assert store.published() == {"v": "1"}
        assert client.hkeys("{breaker-asgi}:workers") == [b"v"]


def test_figures_from_before_a_clock_was_set_back_are_dropped(
    server: Server, store: RedisStore
) -> None:
    later = 10**14
    with server.client() as client:
        client.hset("{breaker-asgi}:workers", "w", f"{later} {later + 1} figures")
    assert store.published() == {}


def test_a_batch_is_one_round_trip(server: Server, store: RedisStore) -> None:
    generation(store)
    names = [f"{number}" for number in range(1000)]
    with server.client() as client:
        before: Any = client.info("stats")
        sync(store, *map(report, names))
        after: Any = client.info("stats")
    assert after["total_reads_processed"] - before["total_reads_processed"] < 40


def test_a_batch_is_one_round_trip_to_each_node_of_a_cluster(cluster: list[Server]) -> None:
    hosts = ",".join(f"127.0.0.1:{node.port}" for node in cluster)
    store = RedisStore(f"redis+cluster://{hosts}", next(prefixes))
    names = [f"{number}" for number in range(1000)]
    sync(store, *(Entry(name=name) for name in names))

    def reads() -> int:
        total = 0
        for node in cluster:
            with node.client() as client:
                total += client.info("stats")["total_reads_processed"]
        return total

    before = reads()
    sync(store, *map(report, names))
    assert reads() - before < 200  # the nodes talk to each other meanwhile
    store.close()


def test_the_lists_of_changes_are_bounded(server: Server) -> None:
    store = RedisStore(f"{server.url}?socket_timeout=60")  # the first answer has all the names
    with contextlib.closing(store), server.client() as client:
        for start in range(0, 100_000, 10_000):
            scores = {f"{number}": number for number in range(start, start + 10_000)}
            client.zadd("{breaker-asgi}:1:changes", scores)
            client.zadd("{breaker-asgi}:1:away", scores)
        send(store, opening())
        assert client.zcard("{breaker-asgi}:1:changes") == 100_000
        assert client.zcard("{breaker-asgi}:1:away") == 100_000
        assert changes(store, 99_999)[1] == ["payments"]


def test_workers_that_were_silent_for_a_day_are_forgotten(
    server: Server, store: RedisStore
) -> None:
    send(store, report(failures=1), "v")
    with server.client() as client:
        silent: dict[Any, Any] = {f"{number}": "7 1000" for number in range(1199)}
        client.hset("{breaker-asgi:payments}:1:w", mapping=silent)
        send(store, report(failures=1), "w")
        assert sorted(client.hkeys("{breaker-asgi:payments}:1:w")) == [b"v", b"w"]


def test_services_with_different_prefixes_share_nothing(server: Server) -> None:
    shop, bank = RedisStore(server.url, "shop"), RedisStore(server.url, "bank")
    send(shop, opening())
    assert (generation(shop), generation(bank)) == (1, 0)
    assert changes(bank) == (0, [])
    shop.close()
    bank.close()


def test_a_forked_child_has_its_own_connections(server: Server, store: RedisStore) -> None:
    send(store, opening())
    point, _ = changes(store)
    store.wait(point, 0)
    child = os.fork()
    if not child:
        try:
            store.wait(point, 0)
            send(store, opening(generation=1))
            store.close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    store.wait(point, 20)
    assert changes(store, point)[1] == ["payments"]
    assert generation(store) == 2


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_forked_while_its_parent_waits_for_a_cluster_does_not_wait(
    cluster: list[Server],
) -> None:
    hosts = ",".join(f"127.0.0.1:{node.port}" for node in cluster)
    store = RedisStore(f"redis+cluster://{hosts}", next(prefixes))
    for node in cluster:
        node.hang()

    def wait_for_it() -> None:
        with contextlib.suppress(RedisError):
            generation(store)

    parents = threading.Thread(target=wait_for_it)
    parents.start()
    eventually(store._server._own.lock.locked)
    child = os.fork()
    if not child:
        try:
            signal.alarm(10)
            for node in cluster:
                os.kill(node.process.pid, signal.SIGCONT)
            send(store, opening())
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    parents.join()
    assert generation(store) == 1
    store.close()


# Clients and URLs


def test_a_label_shows_no_password(common: Server, cluster: list[Server]) -> None:
    secret = "s3cret"
    assert RedisStore(f"rediss://u:{secret}@h:1/2?client_name=y").label == "rediss://h:1/2"
    sentinels = f"redis+sentinel://u:{secret}@a:1,b/main?sentinel_password={secret}"
    assert RedisStore(sentinels).label == "redis+sentinel://a:1,b/main"
    with Redis(port=common.port, password=secret) as client:
        assert RedisStore(client).label == f"redis://localhost:{common.port}"
    nodes = [Node("127.0.0.1", cluster[0].port)]
    with RedisCluster(startup_nodes=nodes) as clustered:
        assert RedisStore(clustered).label.startswith("redis+cluster://127.0.0.1:")


def test_a_client_of_the_user_is_not_closed(common: Server) -> None:
    with Redis(port=common.port) as client:
        store = RedisStore(client)
        generation(store)
        store.close()
        assert client.ping()


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_names_do_not_depend_on_the_encoding_of_a_client(
    common: Server, cluster: list[Server], encoding: str
) -> None:
    odd = "\udc80 \xe4"
    reads: Any = {"decode_responses": True, "encoding": encoding}
    nodes = [Node("127.0.0.1", cluster[0].port)]
    one, all_nodes = Redis(port=common.port, **reads), RedisCluster(startup_nodes=nodes, **reads)
    for client in (one, all_nodes):
        with client:
            store = RedisStore(client, next(prefixes))
            send(store, opening(odd, reason=odd))
            assert changes(store)[1] == [odd]
            assert ask(store, odd).reason == odd


def test_a_client_of_the_user_keeps_its_connections_in_use(server: Server) -> None:
    with (
        server.client() as users_client,
        server.client() as client,
        users_client.pubsub() as pubsub,
    ):
        pubsub.subscribe("theirs")
        client.execute_command("REPLICAOF", "127.0.0.1", "1")
        how_long(lambda: send(RedisStore(users_client), opening()))
        assert client.pubsub_numsub("theirs")[0][1] == 1


def test_a_store_finds_its_server_by_a_sentinel(
    server: Server, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("sentinel")
    configuration = folder / "sentinel.conf"
    configuration.write_text(f"sentinel monitor main 127.0.0.1 {server.port} 1\n")
    sentinel = Server(folder, configuration=configuration)
    sentinel.start()
    try:
        store = RedisStore(f"redis+sentinel://127.0.0.1:{sentinel.port}/main", "shop")
        point, _ = changes(store)
        store.wait(point, 0)
        assert send(store, opening()).state is OPEN
        store.wait(point, 20)
        with server.client() as client:
            assert client.exists("{shop:payments}:1")
        store.close()
    finally:
        sentinel.kill()


# A Cluster


def test_the_error_for_a_url_of_one_node_names_the_scheme_of_clusters(
    cluster: list[Server],
) -> None:
    store = RedisStore(cluster[0].url, next(prefixes))
    names = [f"{number}" for number in range(20)]
    entries = [Entry(name=name) for name in names]
    for use in lambda: sync(store, *entries), lambda: send(store, opening()):
        with pytest.raises(RedisError, match=r"use redis\+cluster://"):
            use()
    store.close()


def test_after_a_refusal_the_store_connects_to_each_node_anew(cluster: list[Server]) -> None:
    prefix = next(prefixes)

    def connections() -> set[tuple[int, str]]:
        addresses = set()
        for node in cluster:
            with node.client() as client:
                own = [entry for entry in client.client_list() if entry["name"] == prefix]
                addresses |= {(node.port, entry["id"]) for entry in own}
        return addresses

    nodes = [Node("127.0.0.1", cluster[0].port)]
    with RedisCluster(startup_nodes=nodes, client_name=prefix) as client:
        store = RedisStore(client, prefix)
        entries = [Entry(name=f"{number}") for number in range(20)]
        sync(store, *entries)
        before = connections()
        client.set(f"{{{prefix}}}:1:changes", "no list")
        how_long(lambda: changes(store))
        client.delete(f"{{{prefix}}}:1:changes")
        sync(store, *entries)
        assert len(before) >= 3
        assert not before & connections()


@pytest.fixture
def clustered(cluster: list[Server]) -> Iterator[Callable[[], RedisStore]]:
    """A function that opens stores in a Cluster with one prefix."""
    hosts = ",".join(f"127.0.0.1:{node.port}" for node in cluster)
    prefix, opened = next(prefixes), []

    def one_more() -> RedisStore:
        opened.append(RedisStore(f"redis+cluster://{hosts}", prefix))
        return opened[-1]

    yield one_more
    for store in opened:
        store.close()


class Halting:
    """A store whose process stops before it has announced its change."""

    def __init__(self, store: RedisStore, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store = store
        self._call = store._call
        monkeypatch.setattr(store, "_call", self._until_announced)

    def _until_announced(self, name: str, *args: Any) -> Any:
        if name == "announced":
            self._arguments = args
            raise RedisError("cut off")
        return self._call(name, *args)

    def change(self, entry: Entry) -> None:
        with pytest.raises(RedisError, match="cut off"):
            send(self.store, entry)

    def announce(self) -> None:
        self._call("announced", *self._arguments)


def test_a_repeated_change_in_a_cluster_announces_the_one_that_was_cut_off(
    clustered: Callable[[], RedisStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = clustered()
    with monkeypatch.context() as patched:
        Halting(store, patched).change(opening())
    assert changes(store) == (0, [])
    assert send(store, opening()).generation == 1
    assert changes(store)[1] == ["payments"]


def overdue(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    monkeypatch.setattr("breaker_asgi.stores.redis._OVERDUE", seconds)


def test_another_worker_announces_the_change_of_a_dead_worker_in_a_cluster(
    clustered: Callable[[], RedisStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    dying, other = clustered(), clustered()
    Halting(dying, monkeypatch).change(to(FORCED_OPEN))
    overdue(monkeypatch, 60)
    send(other, report(generation=1))
    assert changes(other) == (0, []), "its worker may still announce it"
    overdue(monkeypatch, 0)
    send(other, report(generation=1))
    point, names = changes(other)
    assert names == ["payments"]
    send(other, report(generation=1))
    assert changes(other)[0] == point, "once is enough"


def test_a_late_announcement_of_a_close_does_not_hide_a_later_opening_in_a_cluster(
    clustered: Callable[[], RedisStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, other = clustered(), clustered()
    send(slow, opening())
    halting = Halting(slow, monkeypatch)
    halting.change(to(CLOSED, generation=1))
    send(other, to(FORCED_OPEN, generation=2))
    halting.announce()
    assert changes(other)[1] == ["payments"]


def test_a_late_announcement_does_not_stand_for_a_later_change(
    clustered: Callable[[], RedisStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, dying, other = clustered(), clustered(), clustered()
    call = slow._call

    def overtaken(name: str, *args: Any) -> Any:
        answer = call(name, *args)
        if name == "announced":
            Halting(dying, monkeypatch).change(to(FORCED_OPEN, generation=1))
        return answer

    overdue(monkeypatch, 0)
    monkeypatch.setattr(slow, "_call", overtaken)
    send(slow, opening())
    point, _ = changes(other)
    send(other, report(generation=1))
    assert changes(other, point)[1] == ["payments"]
