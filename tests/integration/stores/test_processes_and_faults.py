"""A store that is down, hung, full, read-only or empty is never felt: real faults."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.stores.conftest import Server
from tests.integration.stores.fellows import FAILED, REJECTED, Fellows, fellows
from tests.integration.stores.processes import until
from tests.integration.stores.worker import FAIL_MAX


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


@pytest.fixture
def on_file(tmp_path: Path, folder: Path) -> Iterator[Fellows]:
    with fellows(3, f"sqlite:///{folder}/breakers.db", tmp_path) as found:
        yield found


@pytest.fixture
def on_redis(tmp_path: Path, server: Server) -> Iterator[Fellows]:
    with fellows(3, server.url, tmp_path) as found:
        yield found


def agree(found: Fellows, name: str = "agreed-60") -> None:
    """What one learns, all know."""
    assert [found[0].ask("call", name, "fail") for _ in range(FAIL_MAX)] == [FAILED] * FAIL_MAX
    found.all_are(name, "open")
    assert found.ask("call", name) == [REJECTED] * len(found)


def forced(found: Fellows) -> None:
    found[0].ask("force_open", "forced-60", "ann")
    found.all_are("forced-60", "forced_open")


def go_through(found: Fellows) -> None:
    """A time without a store."""
    found.call_as_ever("well-60")
    found.all_find_the_store(out=True)
    found.call_as_ever("well-60")
    found.decide_alone("alone-60")
    assert found[0].ask("force_open", "meanwhile-60", "ann") == "forced_open"


def heal(found: Fellows) -> None:
    """It is back."""
    found.all_find_the_store(out=False)
    found.all_are("forced-60", "forced_open")
    found.all_are("meanwhile-60", "forced_open")
    assert set(found.ask("who", "meanwhile-60")) == {"ann"}
    found.all_are("alone-60", "open")
    agree(found)
    found.have_said_it_once()


def test_a_redis_that_is_killed_and_starts_empty(on_redis: Fellows, server: Server) -> None:
    forced(on_redis)
    server.kill()
    go_through(on_redis)
    server.start()
    heal(on_redis)


def test_a_redis_that_hangs(on_redis: Fellows, server: Server) -> None:
    forced(on_redis)
    server.hang()
    go_through(on_redis)
    on_redis.wait_until_logged("does not work")
    server.go_on()
    heal(on_redis)


def test_a_redis_that_forgets_is_told_again(
    on_redis: Fellows, server: Server, tmp_path: Path
) -> None:
    forced(on_redis)
    with server.client() as client:
        client.flushall()
        on_redis.call_as_ever("well-60")
        until(lambda: client.exists("{breaker-asgi:forced-60}"), "it knows again")
    with fellows(1, server.url, tmp_path) as newcomers:
        newcomers.all_are("forced-60", "forced_open")
    agree(on_redis)
    assert not any(each.logged("does not work") for each in on_redis)


def test_a_process_that_stands_still_holds_nobody_up(on_redis: Fellows) -> None:
    first, *others = on_redis
    rest = Fellows(others)
    for _ in range(FAIL_MAX):
        first.ask("call", "held-0.5", "fail")
    until(lambda: first.ask("hold", "held-0.5") == "held", "a probe is under way")
    rest.all_are("held-0.5", "half_open")
    assert set(rest.ask("call", "held-0.5")) == {REJECTED}
    first.process.send_signal(signal.SIGSTOP)
    try:
        until(lambda: "ok" in rest.ask("call", "held-0.5"), "another one probes")
        rest.all_are("held-0.5", "closed")
    finally:
        first.process.send_signal(signal.SIGCONT)
    on_redis.all_are("held-0.5", "closed")


def test_a_file_that_is_taken_away(on_file: Fellows, folder: Path) -> None:
    forced(on_file)
    shutil.rmtree(folder)
    on_file.call_as_ever("well-60")
    until((folder / "breakers.db").exists, "it is made anew")
    agree(on_file)
    on_file.all_are("forced-60", "forced_open")


def test_a_file_that_is_replaced_by_garbage(on_file: Fellows, folder: Path) -> None:
    forced(on_file)
    garbage = folder / "garbage"
    garbage.write_bytes(b"garbage" * 1000)
    for each in folder.glob("breakers.db-*"):  # from which SQLite would restore it
        each.unlink(missing_ok=True)
    garbage.replace(folder / "breakers.db")
    go_through(on_file)
    for each in folder.iterdir():
        each.unlink()
    heal(on_file)


def test_a_disk_that_is_full(on_file: Fellows) -> None:
    forced(on_file)
    on_file.ask("limit_files", 20_000)  # enough for a log
    go_through(on_file)
    on_file.ask("limit_files", -1)
    heal(on_file)


def test_a_disk_that_really_is_full(tmp_path: Path, folder: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    if (
        shutil.which("mount") is None
        or subprocess.run(mount, check=False, capture_output=True).returncode
    ):
        pytest.skip("no file system can be mounted here: only a limit of files was tested")
    try:
        with fellows(2, f"sqlite:///{folder}/breakers.db", tmp_path) as found:
            forced(found)
            filling = folder / "filling"
            with pytest.raises(OSError, match="No space"):
                filling.write_bytes(bytes(1024 * 1024))
            found.call_as_ever("well-60")
            found.decide_alone("alone-60")
            filling.unlink()
            found.all_find_the_store(out=False)
            found.all_are("alone-60", "open")
            agree(found)
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.skipif(
    os.getuid() == 0 and not shutil.which("setpriv"),
    reason="permissions do not bind root: a read-only folder was not tested",
)
def test_a_folder_that_is_read_only(tmp_path: Path, folder: Path) -> None:
    bound = ["setpriv", "--bounding-set", "-dac_override"] if os.getuid() == 0 else []
    folder.chmod(0o555)
    with fellows(3, f"sqlite:///{folder}/breakers.db", tmp_path, through=bound) as found:
        go_through(found)
        folder.chmod(0o755)
        found.all_find_the_store(out=False)
        found.all_are("meanwhile-60", "forced_open")
        found.all_are("alone-60", "open")
        agree(found)
        found.have_said_it_once()
