"""Profiles of the providers of language models, by their SDKs."""

from __future__ import annotations

from typing import Any

from breaker_asgi.outcome import FAILURE, IGNORED, SUCCESS, Outcome
from breaker_asgi.profiles.http import CLIENTS, outcome_of_status
from breaker_asgi.profiles.profile import Profile, Rule
from breaker_asgi.stream_events import outcome_of_error

_ERROR = 400


def _by_body(exception: Any) -> Outcome | None:
    """Return the outcome by an error event of a stream, whose status is 200, or by the status."""
    status = getattr(exception, "status_code", None)
    if isinstance(status, int) and status >= _ERROR:
        return outcome_of_status(status)
    body = getattr(exception, "body", None)
    error = body.get("error", body) if isinstance(body, dict) else None
    return outcome_of_error(error) if isinstance(error, dict) else FAILURE


def _by_code(exception: Any) -> Outcome | None:
    code = getattr(exception, "code", None)
    return outcome_of_status(code) if isinstance(code, int) else None


_OPENAI: dict[str, Rule] = {
    "openai:APIStatusError": _by_body,
    "openai:APIConnectionError": FAILURE,
    "openai:APIError": _by_body,
    "openai:LengthFinishReasonError": SUCCESS,
    "openai:ContentFilterFinishReasonError": SUCCESS,
    "openai:OpenAIError": IGNORED,  # as of a client without a key
}

openai = Profile("openai", {**CLIENTS, **_OPENAI}, by_status=outcome_of_status)

anthropic = Profile(
    "anthropic",
    {
        **CLIENTS,  # raised as they are in the middle of a stream
        "anthropic:APIStatusError": _by_body,
        "anthropic:APIConnectionError": FAILURE,
        "anthropic:APIError": _by_body,
        "anthropic:AnthropicError": IGNORED,
    },
    by_status=outcome_of_status,
)

google_genai = Profile(
    "google_genai", {**CLIENTS, "google.genai:APIError": _by_code}, by_status=outcome_of_status
)

litellm = Profile(
    "litellm",
    {**CLIENTS, **_OPENAI, "litellm:BudgetExceededError": IGNORED, "litellm:Timeout": FAILURE},
    by_status=outcome_of_status,
)
"""litellm's errors are derived from openai's; each carries a status."""
