"""The stream of events under a real server."""

from __future__ import annotations

import gzip
import json
import signal
import socket
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.integration.monitor.serving import DEADLINE, serving


def until(lines: Iterator[str], fits: Callable[[str], bool]) -> str:
    return next(line for line in lines if fits(line))


def test_a_change_reaches_a_reader_and_sigterm_ends_the_server() -> None:
    with serving() as (process, url), httpx.Client(trust_env=False, timeout=DEADLINE) as client:
        with (
            client.stream("GET", f"{url}/breakers/stream") as stream,
            client.stream("GET", f"{url}/breakers/stream") as other,
        ):
            lines = stream.iter_lines()
            until(lines, lambda line: line == "event: snapshot")
            client.post(f"{url}/breakers/payments/open").raise_for_status()
            until(lines, lambda line: line == "event: figures")
            until(lines, lambda line: line == "event: stories")
            assert json.loads(next(line for line in lines if "data" in line)[6:])[0]["who"] == "ann"
            process.send_signal(signal.SIGTERM)
            assert list(lines) is not None
            assert other.read().endswith(b"\n\n")
        written = process.communicate(timeout=DEADLINE)[0]
    assert process.returncode in {0, -signal.SIGTERM}
    assert "Traceback" not in written
    assert "ERROR" not in written


def test_a_blocked_reader_does_not_delay_the_shutdown() -> None:
    with serving() as (process, url), httpx.Client(trust_env=False, timeout=DEADLINE) as client:
        port = int(url.rpartition(":")[2])
        client.post(f"{url}/many").raise_for_status()
        with socket.socket() as stuck:
            stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stuck.connect(("127.0.0.1", port))
            stuck.sendall(b"GET /breakers/stream HTTP/1.1\r\nhost: shop\r\n\r\n")
            while b"snapshot" not in stuck.recv(4096):
                pass
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=DEADLINE)
    assert process.returncode in {0, -signal.SIGTERM}


def test_each_event_of_a_compressed_stream_arrives_at_once() -> None:
    with (
        serving() as (_process, url),
        httpx.Client(trust_env=False, timeout=DEADLINE) as client,
        client.stream("GET", f"{url}/breakers/stream") as stream,
    ):
        assert stream.headers["content-encoding"] == "gzip"
        lines = stream.iter_lines()
        for action in ("open", "close", "open"):
            client.post(f"{url}/breakers/payments/{action}").raise_for_status()
            until(lines, lambda line: line == "event: stories")


def test_a_stream_that_ends_with_the_server_is_complete() -> None:
    with (
        serving() as (process, url),
        httpx.Client(trust_env=False, timeout=DEADLINE) as client,
        client.stream("GET", f"{url}/breakers/stream") as stream,
    ):
        client.post(f"{url}/breakers/payments/open").raise_for_status()
        raw = stream.iter_raw()
        body = next(raw)
        process.send_signal(signal.SIGTERM)
        body += b"".join(raw)
    text = gzip.decompress(body)  # checks length and checksum
    assert text.startswith(b"retry: 2000\n\nevent: snapshot\n")
    assert text.endswith(b"\n\n")


@pytest.mark.parametrize(("encoding", "most"), [("gzip", 50_000), ("identity", 80_000)])
def test_a_thousand_busy_breakers_are_few_bytes_a_second(encoding: str, most: int) -> None:
    headers = {"accept-encoding": encoding}
    with serving() as (_process, url), httpx.Client(trust_env=False, timeout=DEADLINE) as client:
        client.post(f"{url}/busy").raise_for_status()
        with client.stream("GET", f"{url}/busy/stream", headers=headers) as stream:
            lines = stream.iter_lines()
            until(lines, lambda line: line == "event: figures")
            before, began = stream.num_bytes_downloaded, time.monotonic()
            for _ in range(7):
                until(lines, lambda line: line == "event: figures")
            size, seconds = stream.num_bytes_downloaded - before, time.monotonic() - began
    assert size / seconds < most
