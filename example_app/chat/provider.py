"""A fake LLM provider: streams an answer as OpenAI's API does, with faults that can be set."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from typing import Annotated, Literal

from fastapi import FastAPI, HTTPException
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

NAME = os.environ.get("PROVIDER_NAME", "provider")
PACE = 0.02
"""Seconds between two tokens."""


class Behaviour(BaseModel):
    """The faults of the provider; one that is left out is healed."""

    model_config = ConfigDict(extra="forbid")

    status: Annotated[int, Field(ge=200, le=599)] = 200
    """The status of each answer."""
    slow: Annotated[float, Field(ge=0, le=60)] = 0
    """Seconds before an answer begins."""
    cut_after: int | None = None
    """Tokens before the connection breaks."""
    stall_after: int | None = None
    """Tokens before the stream stalls."""


class Message(BaseModel):
    role: str
    content: str


class Question(BaseModel):
    model: str
    messages: Annotated[list[Message], Field(min_length=1)]
    stream: Literal[True]


class Provider:
    behaviour = Behaviour()


app = FastAPI(title=NAME)


@app.post("/v1/chat/completions")
async def complete(question: Question) -> StreamingResponse:
    behaviour = Provider.behaviour
    await asyncio.sleep(behaviour.slow)
    if behaviour.status >= 400:
        raise HTTPException(behaviour.status, f"{NAME} is told to answer so.")
    tokens = f"{NAME} thinks about {question.messages[-1].content!r} and finds it good".split()
    return StreamingResponse(events(tokens, behaviour), media_type="text/event-stream")


async def events(tokens: list[str], behaviour: Behaviour) -> AsyncIterator[str]:
    for number, token in enumerate(tokens):
        if number == behaviour.cut_after:
            raise ConnectionAbortedError
        if number == behaviour.stall_after:
            await asyncio.Event().wait()
        choice = {"index": 0, "delta": {"content": token}}
        chunk = {"object": "chat.completion.chunk", "model": NAME, "choices": [choice]}
        yield f"data: {json.dumps(chunk)}\n\n"
        await asyncio.sleep(PACE)
    yield "data: [DONE]\n\n"


@app.get("/behaviour")
async def get_behaviour() -> Behaviour:
    return Provider.behaviour


@app.post("/behaviour")
async def set_behaviour(behaviour: Behaviour) -> Behaviour:
    Provider.behaviour = behaviour
    return behaviour


@app.post("/kill")
async def kill() -> None:
    """End this process at once."""
    os._exit(1)
