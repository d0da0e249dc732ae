"""A fake monitor with the contract of the real one, controlled by tests."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from tests.cli.listings import NOW, STATES, listing

BECOMES = {
    "open": "open",
    "force-open": "forced_open",
    "close": "closed",
    "half-open": "half_open",
    "disable": "disabled",
    "metrics-only": "metrics_only",
    "reset": "closed",
}


@dataclass
class Answer:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class Monitor:
    """A server of `breakers` at `/breakers`; `answer`, if set, replaces every answer."""

    def __init__(self, *breakers: dict[str, Any]) -> None:
        self.breakers = {row["name"]: row for row in breakers}
        self.token: str | None = None
        self.page_size = 1000
        self.answer: Answer | None = None
        self.redirects: dict[str, str] = {}
        self.answers = Event()
        """An event; requests wait while it is not set."""
        self.answers.set()
        self.requests: list[str] = []
        self.forms: list[str] = []
        self.statuses: list[int] = []
        self.connections: set[Any] = set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.origin = f"http://127.0.0.1:{self._server.server_port}"
        self.url = f"{self.origin}/breakers"

    def respond(self, method: str, target: str, headers: Any) -> Answer:
        parts = urlsplit(target)
        if parts.path in self.redirects:
            return Answer(307, headers={"Location": self.redirects[parts.path]})
        if self.answer:
            return self.answer
        if self.token and headers["authorization"] != self.token:
            return problem(403, "Forbidden", "Say who you are.")
        path = parts.path.removeprefix("/breakers").strip("/")
        if method == "POST":
            name, slash, action = path.rpartition("/")
            return self._change(name, action) if slash else self._change_all(action)
        if path:
            return self._details(unquote(path))
        return self._list(parse_qs(parts.query), headers["if-none-match"])

    def _details(self, name: str) -> Answer:
        if (row := self.breakers.get(name)) is None:
            return problem(404, "Not Found", "There is no such page.")
        return Answer(body=json.dumps({"version": 1, "now": NOW, **row}).encode())

    def _change(self, name: str, action: str) -> Answer:
        row = self.breakers.get(unquote(name))
        if row is None or action not in BECOMES:
            return problem(404, "Not Found", "There is no such breaker.")
        row |= {"state": BECOMES[action], "reason": f"{action} by hand"}
        return Answer(body=json.dumps(row).encode())

    def _change_all(self, action: str) -> Answer:
        patterns = parse_qs(self.forms[-1])["name"]
        names = [
            name
            for name in sorted(self.breakers)
            if any(fnmatchcase(name, pattern) for pattern in patterns)
        ]
        if not names:
            return problem(404, "Not Found", "No breaker has such a name and state.")
        for name in names:
            self.breakers[name]["state"] = BECOMES[action]
        return Answer(body=json.dumps({"changed": names}).encode())

    def _list(self, query: dict[str, list[str]], etag: str | None) -> Answer:
        states, pattern = query.get("state", STATES), query.get("name", ["*"])[0]
        rows = [
            self.breakers[name]
            for name in sorted(self.breakers)
            if name > query.get("after", [""])[0]
            and self.breakers[name]["state"] in states
            and fnmatchcase(name, pattern)
        ]
        page = rows[: self.page_size]
        after = page[-1]["name"] if len(rows) > len(page) else None
        content = listing(*self.breakers.values(), after=after) | {"breakers": page}
        body = json.dumps(content).encode()
        tag = f'"{hash(body)}"'
        return Answer(304 if etag == tag else 200, b"" if etag == tag else body, {"ETag": tag})

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        monitor = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                monitor.requests.append(f"{self.command} {self.path}")
                if self.command == "POST":
                    length = int(self.headers["content-length"])
                    monitor.forms.append(self.rfile.read(length).decode())
                monitor.connections.add(self.client_address)
                monitor.answers.wait()
                answer = monitor.respond(self.command, self.path, self.headers)
                monitor.statuses.append(answer.status)
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            do_POST = do_GET  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        return Handler

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.answers.set()
        self._server.shutdown()
        self._server.server_close()


def problem(status: int, title: str, detail: str) -> Answer:
    content = {"title": title, "status": status, "detail": detail}
    kind = {"Content-Type": "application/problem+json"}
    return Answer(status, json.dumps(content).encode(), kind)
