"""The clients of OpenAI's SDK: `guard(openai.AsyncOpenAI())`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from breaker_asgi.clients import stainless

if TYPE_CHECKING:
    import openai

__all__ = ["guard"]

AnyClient = TypeVar("AnyClient", bound="openai.OpenAI | openai.AsyncOpenAI")


def guard(client: AnyClient, **settings: Any) -> AnyClient:
    """Guard a client that exists, and those that `with_options()` makes of it; return it."""
    stainless.guard(client, "openai", settings)
    return client
