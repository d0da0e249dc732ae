"""Streams under real servers: no stream delays the shutdown, and nothing is logged."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parent.parent.parent.parent
DEADLINE = 120.0
APP = "tests.integration.monitor.streaming_app:app"
STREAMS = 5

SERVERS = {
    "uvicorn": "-m uvicorn --port {port}",
    "uvicorn, h11": "-m uvicorn --port {port} --http h11",
    "uvicorn, 2 workers": "-m uvicorn --port {port} --workers 2",
    "hypercorn": "-m hypercorn --bind 127.0.0.1:{port} --workers 0 --graceful-timeout 20",
    "hypercorn, 1 worker": "-m hypercorn --bind 127.0.0.1:{port} --graceful-timeout 1",
    "hypercorn, 2 workers": "-m hypercorn --bind 127.0.0.1:{port} --workers 2",
    "granian": "-m granian --interface asgi --host 127.0.0.1 --port {port}",
    "granian, 2 workers": "-m granian --interface asgi --host 127.0.0.1 --port {port} --workers 2",
}
UNSIGNALLED = {"hypercorn, 1 worker", "hypercorn, 2 workers"}
"""Their workers are shut down by other means than a signal, and wait for open responses: until the
grace is over, or, from Python 3.12 on, until the clients leave."""
READY = {"uvicorn, 2 workers": "startup complete", "granian, 2 workers": "Started worker-"}
"""The log line of each worker. granian hangs if it is stopped before one of them is ready."""
EXPECTED = re.compile(r"breaker '.*': |INFO: |\[INFO\]|\[[^]]+\] \[\d+\] \[INFO\]|\s*$")


@contextmanager
def serving(name: str, log: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [*SERVERS[name].format(port=port).split(), APP]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *words],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_ready(process, url, log, READY.get(name, ""), 2 * (name in READY))
        yield process, url
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def complaints(output: str) -> list[str]:
    return [line for line in output.splitlines() if not EXPECTED.match(line)]


def wait_until_ready(
    process: subprocess.Popen[bytes], url: str, log: Path, line: str = "", times: int = 0
) -> None:
    end = time.monotonic() + DEADLINE
    while process.poll() is None and time.monotonic() < end:
        try:
            httpx.get(f"{url}/breakers", trust_env=False).raise_for_status()
            if log.read_text().count(line) >= times:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    pytest.fail(f"the server does not start: {log.read_text()}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("name", SERVERS)
def test_open_streams_end_with_the_server(
    name: str, number: signal.Signals, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with serving(name, log) as (process, url), ExitStack() as stack:
        client = stack.enter_context(httpx.Client(base_url=url, timeout=DEADLINE, trust_env=False))
        streams = [
            stack.enter_context(client.stream("GET", "/breakers/stream")).iter_lines()
            for _ in range(STREAMS)
        ]
        for lines in streams:
            assert "event: snapshot" in lines
        before = log.read_text()
        process.send_signal(number)
        if name not in UNSIGNALLED:
            for lines in streams:
                for _ in lines:
                    pass
        client.close()
        assert process.wait(DEADLINE) in {0, -number, 128 + number}
    output = log.read_text().removeprefix(before)
    assert "breaker_asgi" not in output
    if name not in UNSIGNALLED:
        assert complaints(output) == []


@pytest.mark.parametrize("name", SERVERS)
def test_a_client_that_leaves_is_not_logged(name: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with serving(name, log) as (process, url):
        for number in range(2 * STREAMS):
            with httpx.Client(base_url=url, timeout=DEADLINE, trust_env=False) as client:
                with client.stream("GET", "/breakers/stream") as stream:
                    assert "event: snapshot" in stream.iter_lines()
                client.post(f"/breakers/payments/{('open', 'close')[number % 2]}")
        process.terminate()
        assert process.wait(DEADLINE) in {0, -signal.SIGTERM}
    assert complaints(log.read_text()) == []
