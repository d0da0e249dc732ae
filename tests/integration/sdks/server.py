"""A fake server on loopback that plays the APIs of all SDKs, and counts what reaches it."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

CHAT = {
    "id": "1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Because."},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}
MESSAGE = {
    "id": "1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "Because."}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 1, "output_tokens": 1},
}
GEMINI = {
    "candidates": [
        {"content": {"role": "model", "parts": [{"text": "Because."}]}, "finishReason": "STOP"}
    ]
}
DOCUMENT = {"_index": "photos", "_id": "1", "found": True, "_source": {"name": "cat"}}
INTENT = {"id": "pi_1", "object": "payment_intent", "status": "succeeded"}

ANSWERS: tuple[tuple[str, Any], ...] = (
    ("/chat/completions", CHAT),
    ("/messages", MESSAGE),
    (":generateContent", GEMINI),
    ("/_doc/1", DOCUMENT),
    ("/payment_intents", INTENT),
    ("/rest/v1/", [{"name": "cat"}]),
)
"""Parts of paths, and their answers; any other path gets a photo."""
PHOTO = b"a photo of a cat"


class Provider:
    """The server: `status` is the status of all answers, `body` replaces their bodies."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.status = 200
        self.body: bytes | None = None
        self.kind: str | None = None
        """The content type of all answers, unless the body has its own."""
        self.headers: dict[str, str] = {}
        handler = type("Handler", (_Handler,), {"provider": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def hits(self) -> int:
        return len(self.requests)

    def answer(self, path: str) -> bytes:
        if self.body is not None:
            return self.body
        if self.status >= 300:
            return b"{}"
        for part, answer in ANSWERS:
            if part in path:
                return json.dumps(answer).encode()
        return PHOTO

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    provider: ClassVar[Provider]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Log nothing."""

    def _answer(self) -> None:
        provider = self.provider
        provider.requests.append(f"{self.command} {self.path}")
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = provider.answer(self.path)
        self.send_response(provider.status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Elastic-Product", "Elasticsearch")
        is_json = body[:1] in {b"{", b"["}
        kind = provider.kind or ("application/json" if is_json else "image/jpeg")
        self.send_header("Content-Type", kind)
        for name, value in provider.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815
