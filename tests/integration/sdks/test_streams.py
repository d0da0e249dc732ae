"""Streams of tokens, as the SDKs of their providers read them."""

from __future__ import annotations

import importlib
import json
import re
from typing import Any

import pytest

from breaker_asgi import BreakerRegistry
from breaker_asgi.clients import guard
from breaker_asgi.clients.downstream import ORIGIN_CONFIG
from tests.integration.sdks.server import Provider
from tests.integration.sdks.test_sections import DOCUMENT, called, finish, only

Counts = tuple[int, int, int]


def sent(*events: Any) -> bytes:
    return b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in events)


def token(text: str) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"} | {
        "choices": [choice]
    }


DONE = b"data: [DONE]\n\n"
FAILED = sent({"error": {"message": "overloaded", "type": "server_error"}})


def example() -> dict[str, Any]:
    text = DOCUMENT.read_text().partition("\n## Streams of tokens\n")[2]
    code = re.search(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert code is not None
    names: dict[str, Any] = {}
    exec(compile(code[1], str(DOCUMENT), "exec", dont_inherit=True), names)
    return names


@pytest.mark.parametrize(
    ("body", "counts"),
    [
        (sent(token("Be"), token("cause.")) + DONE, (1, 0, 0)),
        (sent(token("Be")) + FAILED, (0, 1, 0)),
        (FAILED, (0, 1, 0)),
    ],
    ids=["whole", "an error after a token", "an error"],
)
async def test_the_example_is_judged_by_its_end(
    body: bytes, counts: Counts, provider: Provider, registry: BreakerRegistry
) -> None:
    provider.kind, provider.body = "text/event-stream", body
    names = example()
    try:
        assert await called(names) == "Because."
    except importlib.import_module("openai").APIError:
        assert counts[1] == 1
    breaker = only(registry)
    assert (breaker.successes, breaker.failures, breaker.ignored) == counts
    await finish(names)


async def test_a_stream_of_anthropic_is_judged_by_its_error_event(
    provider: Provider, registry: BreakerRegistry
) -> None:
    anthropic = importlib.import_module("anthropic")
    provider.kind = "text/event-stream"
    provider.body = (
        b'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error", '
        b'"message": "Overloaded"}}\n\n'
    )
    config = ORIGIN_CONFIG.replace(profile="anthropic", stream="end", fail_max=1)
    client = guard(anthropic.AsyncAnthropic(), config=config)
    messages = [{"role": "user", "content": "Why?"}]
    with pytest.raises(anthropic.APIError):
        async with client.messages.stream(model="m", max_tokens=9, messages=messages) as stream:
            await stream.get_final_text()
    assert only(registry).snapshot().reason.endswith(": error event overloaded_error")
    await client.close()
