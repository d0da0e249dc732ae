"""The stream of events under a real server."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Callable, Iterator

import httpx

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
            until(lines, lambda line: line == "event: change")
            assert json.loads(next(line for line in lines if "data" in line)[6:])["who"] == "ann"
            until(lines, lambda line: line == "event: breakers")
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
