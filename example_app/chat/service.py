"""The chat: one route, which streams the answer of the first provider that is well.

Each provider has a breaker, in the transport of its client. `first_of` asks the first whose breaker
admits, and moves on until a token has come; never after, as half an answer can't be taken back. If
all of them reject, so does the chat: a 503 with Retry-After.
"""

import json
import os
from collections.abc import AsyncIterator, Callable

import httpx
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from breaker_asgi import BreakerMiddleware, first_of
from breaker_asgi.clients import guard
from breaker_asgi.clients.downstream import ORIGIN_CONFIG
from breaker_asgi.monitor import this_host

PATIENCE = 1.0
"""Seconds until the first token, and between any two."""

CONFIG = ORIGIN_CONFIG.replace(
    fail_max=3,
    timeout_duration=float(os.environ.get("CHAT_OPEN_SECONDS", "5")),
    stream="end",  # an answer that is cut, or that stalls, is a failure
    stream_idle_timeout=5,
)


def provider(name: str, url: str) -> Callable[[str], AsyncIterator[str]]:
    """Return a function that asks a provider, and yields the tokens of its answer."""
    client = guard(httpx.AsyncClient(base_url=url, timeout=PATIENCE), name=name, config=CONFIG)

    async def tokens(question: str) -> AsyncIterator[str]:
        message = {"role": "user", "content": question}
        body = {"model": name, "messages": [message], "stream": True}
        async with client.stream("POST", "/v1/chat/completions", json=body) as response:
            response.raise_for_status()
            async for line in response.aiter_lines():
                if line.startswith("data: {"):
                    yield json.loads(line[6:])["choices"][0]["delta"]["content"]

    return tokens


tokens = first_of(
    provider("first", os.environ.get("CHAT_FIRST_URL", "http://127.0.0.1:8001")),
    provider("second", os.environ.get("CHAT_SECOND_URL", "http://127.0.0.1:8002")),
    also_on=[httpx.HTTPError],
)

app = FastAPI(title="Chat")
app.add_middleware(BreakerMiddleware, authorize=this_host, authorize_control=this_host)


@app.get("/chat")
async def chat(q: str) -> StreamingResponse:
    return StreamingResponse(events(q), media_type="text/event-stream")


async def events(question: str) -> AsyncIterator[str]:
    """Yield an event for each token, and one that says so if the answer is cut."""
    answer = tokens(question)
    yield f"data: {await anext(answer)}\n\n"  # or none has answered, and this raises
    try:
        async for token in answer:
            yield f"data: {token}\n\n"
    except httpx.HTTPError:
        yield "event: error\ndata: The answer was cut.\n\n"
