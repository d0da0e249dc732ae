"""Tests of the limits of logic tests: no process, no port, seconds at most."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFIGURED = """
[pytest]
markers = integration
"""
VIOLATIONS = [
    ("subprocess.run(['true'])", "a logic test starts a process (subprocess.Popen)"),
    (
        "multiprocessing.get_context('spawn').Process(target=print).start()",
        "a logic test starts a process (multiprocessing.Process.start)",
    ),
    ("os.fork() or os._exit(0)", "a logic test forks (os.fork)"),
    ("socket.create_server(('127.0.0.1', 0)).close()", "a logic test binds a port (socket.bind)"),
    ("time.sleep(5.1)", "a logic test took 5.1 s, and may take 5"),
]


@pytest.fixture(autouse=True)
def _plugin(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_XDIST_WORKER_COUNT", raising=False)
    pytester.makeini(CONFIGURED)


def report_of(pytester: pytest.Pytester, body: str, mark: str = "") -> str:
    head = "import multiprocessing, os, pytest, socket, subprocess, time"
    pytester.makepyfile(f"{head}\n{mark}\ndef test_it():\n    {body}\n")
    return pytester.runpytest_subprocess("-p", "tests.limits").stdout.str()


@pytest.mark.parametrize(("body", "message"), VIOLATIONS)
def test_a_logic_test_that_violates_a_limit_fails(
    body: str, message: str, pytester: pytest.Pytester
) -> None:
    report = report_of(pytester, body)
    assert message in report
    assert "move it to tests/integration" in report


@pytest.mark.parametrize("body", [body for body, _ in VIOLATIONS])
def test_an_integration_test_has_no_limits(body: str, pytester: pytest.Pytester) -> None:
    assert "1 passed" in report_of(pytester, body, "@pytest.mark.integration")


def test_any_other_test_passes(pytester: pytest.Pytester) -> None:
    assert "1 passed" in report_of(pytester, "assert socket.socketpair()")
