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

from breaker_asgi._core.state import CLOSED, FORCED_OPEN, OPEN
from breaker_asgi.stores.protocol import Change
from breaker_asgi.stores.redis import RedisStore
from breaker_asgi.stores.redis_scripts import _Script, _script
from breaker_asgi.testing import FakeClock
from breaker_asgi.testing.stores import StoreContract, opening, report, to
from tests.integration.stores.conftest import Server, eventually

Node: Callable[..., Any] = ClusterNode
prefixes = (f"test-{number}" for number in count())


def sha_of(text: str) -> str:
    return sha1(text.encode(), usedforsecurity=False).hexdigest()


class TestRedisStore(StoreContract):
    @pytest.fixture(autouse=True)
    def _server(self, common: Server) -> None:
        self.url, self.prefix = common.url, next(prefixes)

    def open(self) -> RedisStore:
        return RedisStore(self.url, self.prefix)


class TestRedisStoreInValkey(StoreContract):
    @pytest.fixture(autouse=True)
    def _server(self, valkey: Server) -> None:
        self.url, self.prefix = valkey.url, next(prefixes)
        with valkey.client() as client:
            assert client.info("server")["server_name"] == "valkey"

    def open(self) -> RedisStore:
        return RedisStore(self.url, self.prefix)


class TestRedisStoreWithAClientAndAClock(StoreContract):
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
        self, store: RedisStore
    ) -> None:
        store.change(opening())
        self.advance(10)
        store.claim("w", "payments", 1, 1, 5)
        self.advance(-3600)
        assert store.claim("v", "payments", 1, 1, 5).shared.age == 10
        self.advance(4.9)
        assert (self.ask(store).age, self.ask(store).probes) == (14.9, 1)
        self.advance(0.2)
        assert self.ask(store).probes == 0
        assert store.claim("v", "payments", 1, 1, 5).lease
        before, _ = store.changes(0)
        store.change(opening("other"))
        assert store.changes(before)[1] == ["other"]


class TestRedisStoreInACluster(StoreContract):
    @pytest.fixture(autouse=True)
    def _servers(self, cluster: list[Server]) -> None:
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in cluster)
        self.url, self.prefix = f"redis+cluster://{hosts}", next(prefixes)

    def open(self) -> RedisStore:
        return RedisStore(self.url, self.prefix)


@pytest.fixture
def store(server: Server) -> Iterator[RedisStore]:
    store = RedisStore(server.url)
    yield store
    store.close()


def generation(store: RedisStore) -> int:
    return store.exchange("w", 1, [], ["payments"])["payments"].generation


def how_long(use: Callable[[], object]) -> float:
    started = time.monotonic()
    with pytest.raises(RedisError):
        use()
    return time.monotonic() - started


# Servers that fail


def test_a_server_that_is_gone_fails_at_once(server: Server, store: RedisStore) -> None:
    store.change(opening())
    server.kill()
    assert how_long(lambda: generation(store)) < 0.5
    assert how_long(lambda: store.wait(0, 5)) < 0.5
    server.start()
    assert generation(store) == 0, "it was restarted empty"
    assert store.changes(10**15) == (0, [])
    assert store.change(opening()).generation == 1


def test_a_store_may_be_made_before_its_server(server: Server) -> None:
    server.kill()
    store = RedisStore(server.url)
    how_long(lambda: generation(store))
    server.start()
    assert generation(store) == 0
    store.close()


def test_a_server_that_hangs_fails_after_a_second(server: Server, store: RedisStore) -> None:
    store.change(opening())
    server.hang()
    assert how_long(lambda: generation(store)) < 2.5
    server.resume()
    assert generation(store) == 1


def test_a_report_whose_answer_was_lost_is_not_added_twice(
    server: Server, store: RedisStore
) -> None:
    store.change(opening())
    reports = [report(calls=5, failures=2, generation=1)]
    server.hang()
    how_long(lambda: store.exchange("w", 1, reports, []))  # the server reads it when it resumes
    server.resume()
    shared = store.exchange("w", 1, reports, [])["payments"]
    assert sum(second.counts.calls for second in shared.seconds) == 5


def test_a_wait_outlives_its_connection(server: Server, store: RedisStore) -> None:
    store.change(opening("first"))
    point, _ = store.changes(0)
    waiting = threading.Thread(target=store.wait, args=(point, 30))
    waiting.start()
    with server.client() as client:
        eventually(lambda: client.pubsub_numsub("breaker-asgi")[0][1] == 1)
        client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        eventually(lambda: client.pubsub_numsub("breaker-asgi")[0][1] == 1)
    assert waiting.is_alive()
    store.change(opening())
    waiting.join(5)
    assert not waiting.is_alive()


def test_a_change_that_was_missed_between_two_waits_ends_the_next_one(
    server: Server, store: RedisStore
) -> None:
    store.change(opening("first"))
    point, _ = store.changes(0)
    store.wait(point, 0)
    with server.client() as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    store.change(opening())
    started = time.monotonic()
    store.wait(point, 20)
    assert time.monotonic() - started < 5


def test_a_silent_server_ends_a_wait_with_an_error(
    server: Server, store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("breaker_asgi.stores.redis_pubsub._QUIET", 0.2)
    point, _ = store.changes(0)
    store.wait(point, 1.2)
    server.hang()
    assert how_long(lambda: store.wait(point, 20)) < 5
    server.resume()
    for _ in range(8):  # until the unread answers are read
        store.wait(point, 0)
        time.sleep(0.1)


def test_a_flushed_server_starts_from_generation_0(server: Server, store: RedisStore) -> None:
    store.change(opening("old"))
    point, _ = store.changes(0)
    with server.client() as client:
        client.flushall()
        client.script_flush()
    assert store.exchange("w", 9, [report("old", generation=1)], [])["old"].generation == 0
    assert store.claim("w", "old", 1, 1, 5).lease is None
    assert store.changes(point) == (0, [])
    store.change(opening("new"))
    later, names = store.changes(point)
    assert (later > point, names) == (True, ["new"])


def test_a_full_server_is_an_error_until_there_is_room(server: Server, store: RedisStore) -> None:
    store.exchange("w", 1, [report(calls=3)], [])
    with server.client() as client:
        client.config_set("maxmemory", "1")
        how_long(lambda: store.exchange("w", 2, [report(calls=4)], []))
        assert generation(store) == 0
        client.config_set("maxmemory", "0")
    shared = store.exchange("w", 2, [report(calls=4)], [])["payments"]
    assert sum(second.counts.calls for second in shared.seconds) == 7


def test_a_replica_is_an_error_until_it_has_taken_over(server: Server, store: RedisStore) -> None:
    store.change(opening())
    with server.client() as client:
        client.execute_command("REPLICAOF", "127.0.0.1", "1")
        how_long(lambda: store.change(opening(expected=1)))
        client.execute_command("REPLICAOF", "NO", "ONE")
    assert store.change(opening(expected=1)).generation == 2


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
    store.change(opening())
    with server.client() as client:
        before = connections(client)
        client.execute_command("REPLICAOF", "127.0.0.1", "1")
        how_long(lambda: store.change(opening(expected=1)))
        client.execute_command("REPLICAOF", "NO", "ONE")
        assert generation(store) == 1
        assert before
        assert not before & connections(client)
    store.close()


# Expiry, and costs


def test_every_key_expires(server: Server, store: RedisStore) -> None:
    store.exchange("w", 1, [report("closed")], [])
    store.claim("w", "probed", 0, 1, 5)
    store.change(to(FORCED_OPEN, "forced"))
    store.publish("w", "1", 60)
    with server.client() as client:
        left: dict[bytes, Any] = {key: client.ttl(key) for key in client.scan_iter()}
    assert {key.decode(): round(seconds / DAY) for key, seconds in left.items()} == {
        "{breaker-asgi:closed}": 1,
        "{breaker-asgi:probed}": 1,
        "{breaker-asgi:forced}": 30,
        "{breaker-asgi}:workers": 1,
        "{breaker-asgi}:changes": 30,
        "{breaker-asgi}:away": 30,
    }


DAY = 86_400


def test_reading_extends_only_permanent_manual_states(server: Server, store: RedisStore) -> None:
    store.exchange("w", 1, [report("closed")], [])
    store.change(opening("open"))
    store.change(to(FORCED_OPEN, "forced"))
    store.change(replace(to(FORCED_OPEN, "forced for a while"), lasts=600))
    names = ["closed", "open", "forced", "forced for a while"]
    with server.client() as client:
        for key in client.scan_iter("{breaker-asgi:*"):
            client.expire(key, 60)
        store.exchange("w", 0, [], names)
        left = {name: client.ttl(f"{{breaker-asgi:{name}}}") for name in names}
    assert [name for name, seconds in left.items() if seconds > 60] == ["forced"]
    assert round(left["forced"] / DAY) == 30


def test_a_breaker_whose_record_is_gone_is_not_away_any_more(
    server: Server, store: RedisStore
) -> None:
    for name in ("gone", "kept"):
        store.change(opening(name))
    with server.client() as client:
        client.delete("{breaker-asgi:gone}")
    assert store.changes(0)[1] == ["gone", "kept"]
    assert store.exchange("w", 0, [], ["gone", "kept"])["gone"].generation == 0
    assert store.changes(0)[1] == ["kept"]


def test_a_breaker_that_is_put_back_meanwhile_stays_away(server: Server, store: RedisStore) -> None:
    store.change(opening())
    with server.client() as client:
        client.delete("{breaker-asgi:payments}")
        store.changes(0)
        other = RedisStore(server.url)
        other.change(opening())
        kept = client.dump("{breaker-asgi:payments}")
        client.delete("{breaker-asgi:payments}")
        store.exchange("w", 0, [], ["payments"])  # as if this read had come before that change
        client.restore("{breaker-asgi:payments}", 0, kept)
    assert store.changes(0)[1] == ["payments"]
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
        store.exchange("w", 1, [report(name) for name in names], names)
        after: Any = client.info("stats")
    assert after["total_reads_processed"] - before["total_reads_processed"] < 40


def test_a_batch_is_one_round_trip_to_each_node_of_a_cluster(cluster: list[Server]) -> None:
    hosts = ",".join(f"127.0.0.1:{node.port}" for node in cluster)
    store = RedisStore(f"redis+cluster://{hosts}", next(prefixes))
    names = [f"{number}" for number in range(1000)]
    store.exchange("w", 0, [], names)

    def reads() -> int:
        total = 0
        for node in cluster:
            with node.client() as client:
                total += client.info("stats")["total_reads_processed"]
        return total

    before = reads()
    store.exchange("w", 1, [report(name) for name in names], names)
    assert reads() - before < 200  # the nodes talk to each other meanwhile
    store.close()


def test_the_lists_of_changes_are_bounded(
    server: Server, store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server.client() as client:
        client.zadd("{breaker-asgi}:changes", {f"{number}": number for number in range(100_000)})
        client.zadd("{breaker-asgi}:away", {f"{number}": number for number in range(100_000)})
        store.change(opening())
        assert client.zcard("{breaker-asgi}:changes") == 100_000
        assert client.zcard("{breaker-asgi}:away") == 100_000
    assert store.changes(99_999)[1] == ["payments"]


def test_counts_of_workers_that_were_silent_for_a_day_are_removed(
    server: Server, store: RedisStore
) -> None:
    store.exchange("v", 1, [report(failures=1)], [])
    with server.client() as client:
        silent: dict[Any, Any] = {f"w:{number}": "7 1000" for number in range(1200)}
        client.hset("{breaker-asgi:payments}", mapping=silent)
        store.exchange("w", 1, [report(failures=1)], [])
        fields: Any = client.hkeys("{breaker-asgi:payments}")
        assert sorted(fields) == [b"record", b"w:v", b"w:w"]


def test_services_with_different_prefixes_share_nothing(server: Server) -> None:
    shop, bank = RedisStore(server.url, "shop"), RedisStore(server.url, "bank")
    shop.change(opening())
    assert (generation(shop), generation(bank)) == (1, 0)
    assert bank.changes(0) == (0, [])
    shop.close()
    bank.close()


def test_a_forked_child_has_its_own_connections(server: Server, store: RedisStore) -> None:
    store.change(opening())
    point, _ = store.changes(0)
    store.wait(point, 0)
    child = os.fork()
    if not child:
        try:
            store.wait(point, 0)
            store.change(opening(expected=1))
            store.close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    store.wait(point, 20)
    assert store.changes(point)[1] == ["payments"]
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
            store.change(opening())
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
            store.change(opening(odd, reason=odd))
            assert store.changes(0)[1] == [odd]
            assert store.exchange("w", 1, [], [odd])[odd].reason == odd


def test_a_client_of_the_user_keeps_its_connections_in_use(server: Server) -> None:
    with (
        server.client() as users_client,
        server.client() as client,
        users_client.pubsub() as pubsub,
    ):
        pubsub.subscribe("theirs")
        client.execute_command("REPLICAOF", "127.0.0.1", "1")
        how_long(lambda: RedisStore(users_client).change(opening()))
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
        point, _ = store.changes(0)
        store.wait(point, 0)
        assert store.change(opening()).state is OPEN
        store.wait(point, 20)
        with server.client() as client:
            assert client.exists("{shop:payments}")
        store.close()
    finally:
        sentinel.kill()


# A Cluster


def test_the_error_for_a_url_of_one_node_names_the_scheme_of_clusters(
    cluster: list[Server],
) -> None:
    store = RedisStore(cluster[0].url, next(prefixes))
    names = [f"{number}" for number in range(20)]
    for use in lambda: store.exchange("w", 1, [], names), lambda: store.change(opening()):
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
        store.exchange("w", 1, [], [f"{number}" for number in range(20)])
        before = connections()
        client.set(f"{{{prefix}}}:changes", "no list")
        how_long(lambda: store.changes(0))
        store.exchange("w", 1, [], [f"{number}" for number in range(20)])
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

    def change(self, change: Change) -> None:
        with pytest.raises(RedisError, match="cut off"):
            self.store.change(change)

    def announce(self) -> None:
        self._call("announced", *self._arguments)


def test_a_repeated_change_in_a_cluster_announces_the_one_that_was_cut_off(
    clustered: Callable[[], RedisStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = clustered()
    with monkeypatch.context() as patched:
        Halting(store, patched).change(opening())
    assert store.changes(0) == (0, [])
    assert store.change(opening()).generation == 1
    assert store.changes(0)[1] == ["payments"]


def overdue(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    monkeypatch.setattr("breaker_asgi.stores.redis._OVERDUE", seconds)


def test_another_worker_announces_the_change_of_a_dead_worker_in_a_cluster(
    clustered: Callable[[], RedisStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    dying, other = clustered(), clustered()
    Halting(dying, monkeypatch).change(to(FORCED_OPEN))
    overdue(monkeypatch, 60)
    other.exchange("w", 1, [report()], [])
    assert other.changes(0) == (0, []), "its worker may still announce it"
    overdue(monkeypatch, 0)
    other.exchange("w", 2, [report()], [])
    point, names = other.changes(0)
    assert names == ["payments"]
    other.exchange("w", 3, [report()], [])
    assert other.changes(0)[0] == point, "once is enough"


def test_a_late_announcement_of_a_close_does_not_hide_a_later_opening_in_a_cluster(
    clustered: Callable[[], RedisStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, other = clustered(), clustered()
    slow.change(opening())
    halting = Halting(slow, monkeypatch)
    halting.change(to(CLOSED, expected=1))
    other.change(to(FORCED_OPEN, expected=2))
    halting.announce()
    assert other.changes(0)[1] == ["payments"]


def test_a_late_announcement_does_not_stand_for_a_later_change(
    clustered: Callable[[], RedisStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, dying, other = clustered(), clustered(), clustered()
    call = slow._call

    def overtaken(name: str, *args: Any) -> Any:
        answer = call(name, *args)
        if name == "announced":
            Halting(dying, monkeypatch).change(to(FORCED_OPEN, expected=1))
        return answer

    overdue(monkeypatch, 0)
    monkeypatch.setattr(slow, "_call", overtaken)
    slow.change(opening())
    point, _ = other.changes(0)
    other.exchange("w", 1, [report()], [])
    assert other.changes(point)[1] == ["payments"]
