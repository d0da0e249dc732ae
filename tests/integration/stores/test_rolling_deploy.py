"""Processes of the release before the one exchange beside those of this one, on one store.

`tests/data/before_one_exchange.zip` is that release, without what has nothing to do with stores.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.integration.stores.conftest import Server
from tests.integration.stores.processes import ROOT, until
from tests.integration.stores.worker_pool import FAILED, REJECTED, WorkerPool, worker_pool
from tests.integration.stores.worker_process import FAIL_MAX

RELEASE = ROOT / "tests" / "data" / "before_one_exchange.zip"
EARLIER = ["env", "PYTHONSAFEPATH=1", f"PYTHONPATH={RELEASE}:{ROOT}"]
"""The command that runs another with that release."""


@pytest.fixture(params=["redis", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "redis":
        server: Server = request.getfixturevalue("server")
        yield server.url
    else:
        yield f"sqlite:///{tmp_path}/breakers.db"


def earlier(url: str, folder: Path) -> AbstractContextManager[WorkerPool]:
    """Start two workers of the earlier release."""
    return worker_pool(2, url, folder, EARLIER)


def test_a_force_open_of_the_earlier_release_holds_in_this_one(url: str, tmp_path: Path) -> None:
    with earlier(url, tmp_path) as old:
        old[0].ask("force_open", "bank-60", "anna")
        old.all_are("bank-60", "forced_open")
        with worker_pool(2, url, tmp_path) as new:
            new.all_are("bank-60", "forced_open")
            assert new.ask("who", "bank-60") == ["anna", "anna"]
            assert new.ask("call", "bank-60") == [REJECTED, REJECTED]
    with worker_pool(1, url, tmp_path) as later:
        later.all_are("bank-60", "forced_open")


def test_a_force_open_in_the_earlier_release_reaches_this_one_during_the_deploy(
    url: str, tmp_path: Path
) -> None:
    with earlier(url, tmp_path) as old, worker_pool(2, url, tmp_path) as new:
        assert [new[0].ask("call", "bank-60", "fail") for _ in range(FAIL_MAX)] == [FAILED] * 3
        new.all_are("bank-60", "open")
        old[0].ask("force_open", "bank-60", "anna")
        new.all_are("bank-60", "forced_open")
    with worker_pool(1, url, tmp_path) as later:
        later.all_are("bank-60", "forced_open")


def test_the_workers_of_this_release_agree_while_earlier_ones_call(
    url: str, tmp_path: Path
) -> None:
    with earlier(url, tmp_path) as old, worker_pool(2, url, tmp_path) as new:
        new[0].ask("force_open", "bank-60", "bert")
        new.all_are("bank-60", "forced_open")
        for worker in old:
            worker.ask("call", "bank-60", "fail")
        until(lambda: old.ask("is_out") == [False, False], "the earlier ones have a store")
        new.all_find_the_store(out=False)
        new.all_are("bank-60", "forced_open")
        assert new.ask("who", "bank-60") == ["bert", "bert"]
