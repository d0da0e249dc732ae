"""The middleware under real servers, around the applications of every framework."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

ROOT = Path(__file__).parent.parent.parent.parent
DEADLINE = 120.0

FRAMEWORKS = ["starlette", "fastapi", "litestar", "quart", "django"]
SERVERS = {
    "uvicorn, httptools": "-m uvicorn --http httptools --port {port} --log-level warning {app}",
    "uvicorn, h11": "-m uvicorn --http h11 --port {port} --log-level warning {app}",
    "hypercorn": "-m hypercorn --bind 127.0.0.1:{port} {app}",
    "granian": "-m granian --interface asgi --host 127.0.0.1 --port {port} --workers 1 {app}",
}
DAPHNE = {"daphne": "-m daphne --bind 127.0.0.1 --port {port} {app}"}
"""A server that supports no lifespan, and answers no handshake."""


class Server:
    """A server in a process of its own, and its output."""

    def __init__(self, name: str, framework: str) -> None:
        self.framework = framework
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        words = (SERVERS | DAPHNE)[name].format(
            port=self.port, app=f"tests.integration.asgi.apps.{framework}_app:app"
        )
        self.process = subprocess.Popen(
            [sys.executable, *words.split()],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        url = f"http://127.0.0.1:{self.port}"
        limits = httpx.Limits(max_keepalive_connections=0)  # servers close after an exception
        self.client = httpx.Client(base_url=url, timeout=DEADLINE, trust_env=False, limits=limits)

    def wait(self) -> None:
        deadline = time.monotonic() + DEADLINE
        while self.process.poll() is None and time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        self.process.kill()
        raise AssertionError(f"it does not start: {self.process.communicate()[0]}")

    def end(self) -> str:
        """End the server, and return its output."""
        self.client.close()
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.communicate(timeout=DEADLINE)[0]
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise


@contextmanager
def serving(name: str, framework: str) -> Iterator[Server]:
    server = Server(name, framework)
    try:
        server.wait()
        yield server
    finally:
        if server.process.returncode is None:
            server.end()


COMBINATIONS = [(name, framework) for framework in FRAMEWORKS for name in SERVERS]
COMBINATIONS += [("uvicorn, h11", framework) for framework in ["falcon", "blacksheep"]]


@pytest.fixture(scope="module", params=COMBINATIONS, ids=lambda pair: f"{pair[1]} on {pair[0]}")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serving(*request.param) as server:
        yield server


def opened(server: Server) -> None:
    """Let `/boom` fail until its breaker is open."""
    statuses = {server.client.get("/boom").status_code for _ in range(4)}
    assert statuses <= {500, 503}


def test_a_good_answer_passes_unchanged(server: Server) -> None:
    response = server.client.get("/items/7")
    assert (response.status_code, response.text) == (200, "item 7")


def test_a_stream_passes_unchanged(server: Server) -> None:
    assert server.client.get("/stream").text == "one two three"


def test_a_large_body_passes_both_ways(server: Server) -> None:
    body = os.urandom(200_000)
    assert server.client.post("/echo", content=body).content == body


def test_the_application_was_started(server: Server) -> None:
    if server.framework != "django":  # which knows no lifespan
        assert server.client.get("/started").text == "started"


def test_a_route_that_fails_is_cut_off_by_a_503_and_others_are_not(server: Server) -> None:
    opened(server)
    response = server.client.get("/boom")
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) >= 1
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    assert response.json()["status"] == 503
    assert server.client.get("/items/7").status_code == 200


def test_a_rejected_head_has_no_body(server: Server) -> None:
    opened(server)
    response = server.client.head("/boom")
    assert (response.status_code, response.content) == (503, b"")


def test_the_rejection_of_an_inner_breaker_is_the_same_503_and_not_held_against_the_route(
    server: Server,
) -> None:
    for _ in range(6):
        response = server.client.get("/inner")
        assert response.status_code == 503
        assert response.headers["content-type"] == "application/problem+json"
        assert "retry-after" in response.headers
    listed = {
        breaker["name"]: breaker for breaker in server.client.get("/breakers").json()["breakers"]
    }
    assert listed["GET /inner"]["state"] == "closed"
    assert listed["GET /inner"]["failures"] == 0


def test_the_monitor_lists_the_breakers(server: Server) -> None:
    opened(server)
    listed = server.client.get("/breakers").json()["breakers"]
    states = {breaker["name"]: breaker["state"] for breaker in listed}
    assert states["bank"] == "open"
    assert states["GET /boom"] == "open"


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_shuts_down_without_a_traceback_of_the_middleware(name: str) -> None:
    with serving(name, "starlette") as server:
        server.client.get("/items/7")
        server.client.get("/inner")
        written = server.end()
    assert "ended" in written
    assert "Traceback" not in written
    assert "breaker_asgi" not in written


@pytest.mark.parametrize("name", SERVERS)
def test_a_rejected_websocket_gets_a_503_or_the_close_code_1013(name: str) -> None:
    with serving(name, "fastapi") as server:
        url = f"ws://127.0.0.1:{server.port}"
        with connect(f"{url}/talk", open_timeout=DEADLINE) as talk:
            assert talk.recv(DEADLINE) == "hello"
        for _ in range(4):
            with pytest.raises((InvalidStatus, ConnectionClosed)):
                receive(f"{url}/dumb")
        with pytest.raises((InvalidStatus, ConnectionClosed)) as rejection:
            receive(f"{url}/dumb")
    refused = rejection.value
    if isinstance(refused, InvalidStatus):
        assert refused.response.status_code == 503
        assert int(refused.response.headers["retry-after"]) >= 1
        assert json.loads(refused.response.body)["status"] == 503
    else:
        assert isinstance(refused, ConnectionClosed)
        assert refused.rcvd is not None
        assert refused.rcvd.code == 1013


def test_a_rejected_websocket_under_daphne_gets_a_code_that_daphne_takes() -> None:
    with serving("daphne", "fastapi") as server:
        url = f"ws://127.0.0.1:{server.port}/dumb"
        for _ in range(4):
            with pytest.raises((InvalidStatus, ConnectionClosed)):
                receive(url)
        with pytest.raises(ConnectionClosed) as rejection:
            receive(url)
        written = server.end()
    assert rejection.value.rcvd is not None
    assert rejection.value.rcvd.code == 4503
    assert "invalid close code" not in written


def receive(url: str) -> None:
    with connect(url, open_timeout=DEADLINE) as websocket:
        websocket.recv(DEADLINE)
