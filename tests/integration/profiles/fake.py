"""A fake service on loopback, which answers every request as a test has set."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

EVENTS = {"Content-Type": "text/event-stream"}


class Service:
    """The answer to every request, and the address."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.status = 200
        self.headers: dict[str, str] = {}
        self.body = b"{}"
        self.cuts = False

    def answers(self, status: int, body: Any = None, headers: dict[str, str] | None = None) -> None:
        self.status, self.headers, self.cuts = status, headers or {}, False
        self.body = body if isinstance(body, bytes) else json.dumps(body or {}).encode()

    def cuts_off(self, begun: bytes, headers: dict[str, str]) -> None:
        """Break the connection after the beginning of a body."""
        self.answers(200, begun, headers)
        self.cuts = True


@contextmanager
def service() -> Iterator[Service]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(fake.status)
            for name, value in ({"Content-Type": "application/json"} | fake.headers).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(fake.body) + 100 * fake.cuts))
            self.send_header("Connection", "close")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(fake.body)
            self.close_connection = True

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = answer  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        fake = Service(server.server_port)
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield fake
        finally:
            server.shutdown()
            thread.join()
