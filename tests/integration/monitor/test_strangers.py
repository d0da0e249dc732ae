"""The monitor of a real server: requests that spoof their origin, and a thousand streams."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest

from tests.integration.monitor.serving import DEADLINE, ROOT

SOFT_LIMIT = 256
LIMITED = f"""
import resource, sys, uvicorn
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, ({SOFT_LIMIT}, hard))
uvicorn.run("tests.integration.monitor.streaming_app:strangers", fd=int(sys.argv[1]),
    log_level="warning")
"""


@contextmanager
def running(host: str = "127.0.0.1") -> Iterator[str]:
    """Run the server with few descriptors; yield its address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, 0), family=family)
    except OSError as error:
        pytest.skip(f"{host} can't be used: {error}")
    with listener:
        process = subprocess.Popen(
            [sys.executable, "-c", LIMITED, str(listener.fileno())],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            pass_fds=[listener.fileno()],
            stderr=subprocess.PIPE,
            text=True,
        )
        address = f"[{host}]" if ":" in host else host
        try:
            yield f"http://{address}:{listener.getsockname()[1]}"
        finally:
            process.kill()
            process.communicate()


def figures(url: str, **fields: str) -> Any:
    """Return the right to figures of a request, and check that it goes with the reasons."""
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    reply = httpx.get(f"{url}/breakers", headers=headers, timeout=DEADLINE, trust_env=False)
    listing = reply.json()
    assert ("reason" in listing["breakers"][0]) == listing["figures"]
    return listing["figures"]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_this_host_gets_figures_and_what_looks_passed_on_gets_none(host: str) -> None:
    with running(host) as url:
        assert figures(url)
        assert figures(url, host="localhost")
        assert not figures(url, host="evil.example")
        for spoofed in ("127.0.0.1", "::1", "testclient", "203.0.113.5", "localhost"):
            assert not figures(url, x_forwarded_for=spoofed)
        assert not figures(url, forwarded="for=127.0.0.1")
        assert not figures(url, x_real_ip="127.0.0.1")
        assert not figures(url, via="1.1 proxy")


def test_streams_leave_descriptors_to_the_application() -> None:
    with running() as url, ExitStack() as open_streams:
        statuses = []
        address = httpx.URL(url)
        for _ in range(1_000):
            connection = socket.create_connection((address.host, address.port or 0), DEADLINE)
            connection.sendall(
                b"GET /breakers/-/stream HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            )
            status = int(connection.recv(12).split()[1])
            statuses.append(status)
            if status == 200:
                open_streams.callback(connection.close)
            else:
                connection.close()
        assert statuses.count(200) == SOFT_LIMIT // 4 // 4  # all of one address
        assert set(statuses) == {200, 503}
        assert figures(url)
        refused = httpx.get(f"{url}/breakers/-/stream", timeout=DEADLINE, trust_env=False)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "10")
