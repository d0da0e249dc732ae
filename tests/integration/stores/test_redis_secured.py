"""A Redis that requires TLS, a password and a user, and secrets that appear nowhere."""

from __future__ import annotations

import logging
import re
import shlex
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import trustme
from redis import Redis
from redis.exceptions import NoPermissionError, RedisError

from breaker_asgi import BreakerMiddleware, BreakerRegistry
from breaker_asgi._core.state import CLOSED, HALF_OPEN
from breaker_asgi.stores.protocol import Counts, Entry
from breaker_asgi.stores.redis import RedisStore
from breaker_asgi.testing.stores import (
    ask,
    changes,
    claim,
    opening,
    report,
    send,
    settle,
    sync,
    to,
)
from tests.integration.programs import redis_server
from tests.integration.stores.conftest import Server, free_port, running_cluster
from tests.integration.stores.processes import ROOT, until
from tests.integration.stores.worker_pool import FAILED, REJECTED, worker_pool
from tests.integration.stores.worker_process import FAIL_MAX

GUIDE = ROOT / "docs/shared-state.md"
SECRET = "s3cret"
PASSWORD = f"{SECRET}@:/%"


def let_in(server: Server, prefix: str, *more: str) -> str:
    """Create the user of docs/shared-state.md, named as its prefix, and return its login."""
    guide = GUIDE.read_text()
    match = re.search(r"redis-cli (ACL SETUSER shop on .*?)```", guide, re.DOTALL)
    assert match
    words = shlex.split(match[1].replace("\\\n", " ").replace("shop", prefix))
    words[words.index(">password")] = f">{PASSWORD}"
    with server.client() as client:
        client.execute_command(*words, *more)
    return f"{prefix}:{quote(PASSWORD, safe='')}"


# TLS


class Certificates:
    """A certificate authority, and a certificate that it has signed."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.authority, self.key, self.certificate = (
            folder / name for name in ("ca.pem", "key.pem", "certificate.pem")
        )
        authority.cert_pem.write_to_path(self.authority)
        signed = authority.issue_cert("127.0.0.1", "localhost")
        signed.private_key_pem.write_to_path(self.key)
        signed.cert_chain_pems[0].write_to_path(self.certificate)


class SecureServer(Server):
    """A server that requires TLS, and a certificate of its clients."""

    def __init__(
        self, folder: Path, certificates: Certificates, configuration: Path | None = None
    ) -> None:
        super().__init__(folder, configuration=configuration)
        self._ssl = {
            "ssl_ca_certs": str(certificates.authority),
            "ssl_certfile": str(certificates.certificate),
            "ssl_keyfile": str(certificates.key),
        }
        self._command += [
            *("--port", "0", "--tls-port", str(self.port)),
            *("--tls-ca-cert-file", str(certificates.authority)),
            *("--tls-cert-file", str(certificates.certificate)),
            *("--tls-key-file", str(certificates.key)),
        ]
        self.query = "&".join(f"{name}={path}" for name, path in self._ssl.items())
        self.place = f"127.0.0.1:{self.port}/0?{self.query}"

    def client(self) -> Any:
        make: Any = Redis
        return make(port=self.port, socket_timeout=5, ssl=True, **self._ssl)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


def supports_tls() -> bool:
    nowhere = [redis_server(), "--port", "0", "--tls-port", "0"]
    output = subprocess.run(nowhere, check=False, capture_output=True, text=True).stdout
    return "not listen anywhere" in output


@pytest.fixture(scope="module")
def secure(
    tmp_path_factory: pytest.TempPathFactory, certificates: Certificates
) -> Iterator[SecureServer]:
    if not supports_tls():
        pytest.skip("a redis-server without TLS: the store was not tested over it")
    server = SecureServer(tmp_path_factory.mktemp("secure"), certificates)
    server.start()
    yield server
    server.kill()


def use_everything(store: RedisStore) -> None:
    send(store, report(calls=2, failures=1, tripped=True))
    send(store, report(failures=1, age=2))
    point, _ = changes(store)
    assert store.wait(point, 0) == point
    send(store, to(HALF_OPEN))
    assert store.wait(point, 20) > point
    assert changes(store)[1] == ["payments"]
    lease = claim(store)
    assert lease
    assert settle(store, lease, Counts(1)).settled == Counts(1)
    with store._server.use() as client:
        client.hset(store._keys("old")[-1], "record", '{"generation":2,"state":"forced_open"}')
    assert [ask(store, "old").generation for _ in range(2)] == [2, 2]
    send(store, to(CLOSED, generation=1))
    store.publish("w", "1", 60)
    assert store.published() == {"w": "1"}
    store.close()


def test_a_user_needs_no_more_than_is_documented(secure: SecureServer) -> None:
    use_everything(RedisStore(f"rediss://{let_in(secure, 'shop')}@{secure.place}", "shop"))


def let_into_all(cluster: list[Server]) -> str:
    """Create the user on each node of a Cluster, and return the URL with its login."""
    match = re.search(r"In a Cluster it is needed on each node, with\s`([^`]*)`", GUIDE.read_text())
    assert match
    (login,) = {let_in(node, "shop", *shlex.split(match[1])) for node in cluster}
    return f"redis+cluster://{login}@127.0.0.1:{cluster[0].port}"


def test_a_user_needs_no_more_than_is_documented_in_a_cluster(cluster: list[Server]) -> None:
    use_everything(RedisStore(let_into_all(cluster), "shop"))


def owners_of(slot: int, nodes: Iterable[Redis]) -> set[int]:
    """Return the ports of the nodes that own a slot, as the nodes say."""
    ranges = [owned for node in nodes for owned in node.cluster("SLOTS")]
    return {owner[1] for first, last, owner, *_replicas in ranges if first <= slot <= last}


def test_a_user_needs_no_more_than_is_documented_while_a_slot_moves(tmp_path: Path) -> None:
    with running_cluster(tmp_path) as cluster, ExitStack() as stack:
        store = RedisStore(let_into_all(cluster), "shop")
        send(store, opening("here"))
        nodes = {node.port: stack.enter_context(node.client()) for node in cluster}
        key = store._keys("new")[0]
        source = store._server.client.get_node_from_key(key).port
        target = next(port for port in nodes if port != source)
        slot = nodes[source].cluster("KEYSLOT", key)
        names = {port: node.cluster("MYID") for port, node in nodes.items()}
        nodes[target].cluster("SETSLOT", slot, "IMPORTING", names[source])
        nodes[source].cluster("SETSLOT", slot, "MIGRATING", names[target])
        answer = sync(store, opening("new"), Entry(name="here"))
        assert answer.replies["here"].shared.generation == 1
        assert "is moving" in answer.unreadable["new"]

        def agree() -> bool:
            """Move the slot, again where gossip of the former owner has undone it."""
            for port in sorted(nodes, key=lambda port: port != target):  # first to the new owner
                nodes[port].cluster("SETSLOT", slot, "NODE", names[target])
            return owners_of(slot, nodes.values()) == {target}

        until(agree, "the nodes agree")
        answer = sync(store, opening("new"), Entry(name="here"))
        assert [reply.shared.generation for reply in answer.replies.values()] == [1, 1]
        assert nodes[target].exists(key)
        store.close()


def test_the_store_connects_to_sentinels_by_tls_too(
    secure: SecureServer, certificates: Certificates, tmp_path: Path
) -> None:
    configuration = tmp_path / "sentinel.conf"
    configuration.write_text(
        "tls-replication yes\n"
        f"requirepass {SECRET}\n"
        f"sentinel monitor main 127.0.0.1 {secure.port} 1\n"
    )
    sentinel = SecureServer(tmp_path, certificates, configuration)
    sentinel._ssl["password"] = SECRET
    sentinel.start()
    try:
        more = f"{secure.query}&sentinel_password={SECRET}"
        login, host = let_in(secure, "watched"), f"127.0.0.1:{sentinel.port}"
        use_everything(RedisStore(f"rediss+sentinel://{login}@{host}/main?{more}", "watched"))
    finally:
        sentinel.kill()


def test_processes_agree_over_tls_and_another_service_is_unaffected(
    secure: SecureServer, tmp_path: Path
) -> None:
    url = "rediss://{}@{}&prefix={}"
    with ExitStack() as stack:
        shops, banks = (
            stack.enter_context(
                worker_pool(2, url.format(let_in(secure, name), secure.place, name), tmp_path)
            )
            for name in ("shop", "bank")
        )
        for _ in range(FAIL_MAX):
            assert shops[0].ask("call", "payments-60", "fail") == FAILED
        shops.all_are("payments-60", "open")
        assert shops.ask("call", "payments-60") == [REJECTED] * 2
        banks[0].ask("force_open", "other-60", "ann")
        banks.all_are("other-60", "forced_open")  # so the other change would have come, too
        assert banks.ask("call", "payments-60") == ["ok"] * 2
        assert shops.ask("call", "other-60") == ["ok"] * 2
        assert shops.ask("is_out") + banks.ask("is_out") == [False] * 4
        assert not any(worker.logged("does not work") for worker in [*shops, *banks])


def test_a_user_has_no_access_to_another_service(secure: SecureServer) -> None:
    let_in(secure, "bank")
    store = RedisStore(f"rediss://{let_in(secure, 'shop')}@{secure.place}", "bank")
    for use in (
        lambda: ask(store),
        lambda: changes(store),
        lambda: store.wait(0, 0),
        store.published,
    ):
        with pytest.raises(NoPermissionError):
            use()
    store.close()


def test_an_untrusted_certificate_is_an_error(secure: SecureServer, tmp_path: Path) -> None:
    stranger = Certificates(tmp_path)
    place = secure.place.replace(secure._ssl["ssl_ca_certs"], str(stranger.authority))
    store = RedisStore(f"rediss://{let_in(secure, 'shop')}@{place}", "shop")
    with pytest.raises(RedisError, match="CERTIFICATE_VERIFY_FAILED"):
        changes(store)
    store.close()


# Secrets


def nowhere(kind: str) -> str:
    """Return a URL that leads to no server, with secrets in every possible place."""
    host = f"127.0.0.1:{free_port()}"
    return {
        "one": f"redis://user:{SECRET}@{host}/0",
        "TLS": f"rediss://user:{SECRET}@{host}/0?ssl_password={SECRET}",
        "sentinel": f"redis+sentinel://u:{SECRET}@{host}/main?sentinel_password={SECRET}",
        "cluster": f"redis+cluster://user:{SECRET}@{host}",
    }[kind]


async def monitor_text(registry: BreakerRegistry) -> str:
    """Return the page and the listing of the monitor for an authorized reader."""

    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    guarded = BreakerMiddleware(app, registry=registry, authorize=lambda _: True)
    transport = httpx.ASGITransport(app=guarded)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        page = await client.get("/breakers", headers={"accept": "text/html"})
        listing = await client.get("/breakers", headers={"accept": "application/json"})
    assert "does not work" in page.text
    assert listing.json()["store"]["problem"]
    return page.text + listing.text


async def all_texts(url: str, caplog: pytest.LogCaptureFixture) -> str:
    """Return all texts about a store that does not work: monitor, log, errors, labels."""
    caplog.set_level(logging.DEBUG)
    registry = BreakerRegistry(store=url)
    fleet = registry.fleet
    assert fleet
    try:
        registry.get("payments")
        until(lambda: fleet.trouble and caplog.text, "the problem is logged")
        objects = registry, fleet, fleet.store, fleet.store.__dict__
        everything = [await monitor_text(registry), caplog.text, fleet.trouble, fleet.store.label]
        everything += [repr(thing) for thing in objects]
    finally:
        fleet.stop()
    return "\n".join(str(text) for text in everything)


@pytest.mark.parametrize("kind", ["one", "TLS", "sentinel", "cluster"])
async def test_no_text_about_a_missing_server_has_a_secret(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    text = await all_texts(nowhere(kind), caplog)
    assert "does not work" in text
    assert SECRET not in text


async def test_no_text_about_a_wrong_password_has_a_secret(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    text = await all_texts(f"redis://user:{SECRET}@127.0.0.1:{server.port}/0", caplog)
    assert "AuthenticationError" in text
    assert SECRET not in text
