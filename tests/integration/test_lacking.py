"""Features and messages on a system that lacks POSIX."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.integration.lacking", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def lines(*arguments: str) -> list[str]:
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("package", ["breaker_asgi", "example_app"])
def test_each_module_is_imported(package: str) -> None:
    assert lines("modules", package) == ["imported"]


def test_a_service_its_monitor_its_store_and_the_command_line_work(tmp_path: Path) -> None:
    statuses, states, is_page, status, code, changed = lines("service", str(tmp_path))
    assert statuses == "500 503"
    assert states == "open"
    assert is_page == "True"
    assert re.fullmatch(r"GET /pay: open for \d s \(.+\), .*next probe in \S+( s)?", status)
    assert code == "1"
    assert changed == "['GET /pay']"


def test_the_error_of_a_malformed_file_names_the_remedy_and_keeps_the_file(tmp_path: Path) -> None:
    path = tmp_path / "breakers.db"
    (message,) = lines("malformed", str(tmp_path))
    remedy = "End all processes that use it, and move it away: this system has no fcntl"
    assert message == f"{path} is malformed. {remedy}"
    assert path.exists()


def test_the_error_of_an_unwritable_folder_has_no_user_id(
    tmp_path: Path,
) -> None:
    (message,) = lines("readonly", str(tmp_path))
    assert message.endswith(f"the folder {tmp_path} can't be written by this user")


def test_a_redis_behind_a_unix_socket_is_refused() -> None:
    (message,) = lines("unix_socket")
    assert message.endswith("This system has no sockets of Unix: name a host.")


def test_the_help_is_printed() -> None:
    assert lines("command", "status", "--help")[0].startswith("usage: breaker-asgi status")


def test_the_live_table_is_ended_by_ctrl_c() -> None:
    assert lines("keys") == ["Ctrl-C ''"]
