"""Eight processes and a Redis, with a network in between that delays, drops, cuts and hangs."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

import pytest
from redis import Redis

from tests.integration.stores.conftest import Server
from tests.integration.stores.fellows import FAILED, REJECTED, Fellows, fellows
from tests.integration.stores.processes import until
from tests.integration.stores.proxy import Proxy
from tests.integration.stores.worker import FAIL_MAX

MANY = 8


@pytest.fixture(scope="module")
def proxy(common: Server) -> Iterator[tuple[Proxy, int]]:
    proxy = Proxy(common.port)
    with proxy.running() as port:
        yield proxy, port


@pytest.fixture(scope="module")
def far(
    proxy: tuple[Proxy, int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Proxy, Fellows]]:
    folder = tmp_path_factory.mktemp("far")
    with fellows(MANY, f"redis://127.0.0.1:{proxy[1]}", folder) as found:
        yield proxy[0], found


def trip(found: Fellows, name: str) -> None:
    assert [found[0].ask("call", name, "fail") for _ in range(FAIL_MAX)] == [FAILED] * FAIL_MAX
    found.all_are(name, "open")


def test_a_slow_network_is_not_felt_and_all_agree(far: tuple[Proxy, Fellows]) -> None:
    proxy, found = far
    proxy.delay = 0.025  # there, and again back
    try:
        found.call_as_ever("delayed-60")
        trip(found, "slow-60")
        assert found.ask("call", "slow-60") == [REJECTED] * MANY
        assert found.ask("is_out") == [False] * MANY
    finally:
        proxy.delay = 0.0


def test_over_a_slow_network_the_probes_are_the_fleets(far: tuple[Proxy, Fellows]) -> None:
    proxy, found = far
    proxy.delay = 0.025
    try:
        trip(found, "probes-1")
        held: Counter[str] = Counter()

        def probe() -> bool:
            held.update(found.ask("hold", "probes-1"))
            return held["held"] > 0

        until(probe, "a probe is admitted")
        held.update(found.ask("hold", "probes-1"))
        assert set(held) == {"held", REJECTED}
        assert held["held"] == 1
    finally:
        proxy.delay = 0.0


@pytest.mark.parametrize("way", ["drop", "cut", "hang"])
def test_a_network_that_fails_is_not_felt_and_all_agree_afterwards(
    far: tuple[Proxy, Fellows], way: Literal["drop", "cut", "hang"]
) -> None:
    proxy, found = far
    trip(found, f"before-{way}-60")
    proxy.way = way
    try:
        found.call_as_ever(f"well-{way}-60")
        found.all_find_the_store(out=True)
        found.call_as_ever(f"well-{way}-60")
        found.decide_alone(f"alone-{way}-60")
        found[0].ask("force_open", f"forced-{way}-60", "ann")
        assert found.ask("call", f"before-{way}-60") == [REJECTED] * MANY
    finally:
        proxy.way = "pass"
    found.all_find_the_store(out=False)
    found.all_are(f"alone-{way}-60", "open")
    found.all_are(f"forced-{way}-60", "forced_open")
    trip(found, f"after-{way}-60")


WRONG_CLOCK = """
import time
clock, monotonic = time.time, time.monotonic
time.time = lambda: clock() + {0}
time.monotonic = lambda: monotonic() + 1_000_000 + {0}
"""


def test_clocks_of_hosts_may_differ_by_hours(server: Server, tmp_path: Path) -> None:
    with ExitStack() as stack:
        found = Fellows()
        for hours in (-2, 0, 3):
            folder = tmp_path / f"{hours}"
            folder.mkdir()
            (folder / "sitecustomize.py").write_text(WRONG_CLOCK.format(hours * 3600))
            through = ["env", f"PYTHONPATH={folder}:{os.environ.get('PYTHONPATH', '')}"]
            found += stack.enter_context(fellows(1, server.url, folder, through))
        assert max(found.ask("clock")) - min(found.ask("clock")) > 4 * 3600
        for each, name in zip(found, ["late-1", "right-1", "early-1"], strict=True):
            assert [each.ask("call", name, "fail") for _ in range(FAIL_MAX)] == [FAILED] * FAIL_MAX
            found.all_are(name, "open")
            assert found.ask("call", name) == [REJECTED] * len(found)
        for name in ("late-1", "right-1", "early-1"):
            until(lambda name=name: "ok" in found.ask("call", name), "somebody probes")  # type: ignore[misc]
            found.all_are(name, "closed")


SECONDS = 4


def test_traffic_to_the_store_does_not_grow_with_the_calls(server: Server, tmp_path: Path) -> None:
    with fellows(2, server.url, tmp_path) as found, server.client() as client:
        commands, calls = zip(*(_traffic(found, client, rate) for rate in (10, 2_000)), strict=True)
    assert calls[1] > 50 * calls[0]
    assert commands[1] < 1.5 * commands[0]
    assert commands[1] < 25 * SECONDS * len(found)  # with those that scripts call


def _traffic(found: Fellows, client: Redis, rate: int) -> tuple[int, int]:
    before = _commands(client)
    made = found.ask("keep_calling", "busy-60", rate, SECONDS)
    return _commands(client) - before, sum(made)


def _commands(client: Redis) -> int:
    return int(client.info("stats")["total_commands_processed"])
