"""Responses, without a framework."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from breaker_asgi.asgi.types import Scope, Send
    from breaker_asgi.errors import CircuitBreakerError

PROBLEM_JSON = "application/problem+json"


def rejection_headers(error: CircuitBreakerError) -> dict[str, str]:
    """The headers of a 503: when to come back, in whole seconds, rounded up."""
    return {
        "Retry-After": str(max(1, math.ceil(error.retry_after))),
        "Cache-Control": "no-store",
        "Content-Type": PROBLEM_JSON,
    }


async def send_rejection(error: CircuitBreakerError, scope: Scope, send: Send) -> None:
    """Answer a rejected request: 503, and a problem document (RFC 9457) without internals."""
    headers = rejection_headers(error)
    seconds = int(headers["Retry-After"])
    problem = {
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "detail": f"Temporarily unavailable. Try again in {seconds} s.",
        "retry_after": seconds,
    }
    await send_json(problem, scope, send, status=503, headers=headers)


async def send_json(
    content: Any,
    scope: Scope,
    send: Send,
    *,
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> None:
    """Answer with JSON; with its headers alone where only those were asked for."""
    body = json.dumps(content).encode()
    fields = {"content-type": "application/json", "content-length": str(len(body))}
    fields |= {name.lower(): value for name, value in (headers or {}).items()}
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(name.encode(), value.encode()) for name, value in fields.items()],
        }
    )
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
