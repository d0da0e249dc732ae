"""Profiles of the providers of language models, by their SDKs."""

from __future__ import annotations

from typing import Any

from breaker_asgi._core.outcome import FAILURE, IGNORED, SUCCESS, Outcome
from breaker_asgi._core.profiles.http import CLIENTS, http, outcome_of_status
from breaker_asgi._core.profiles.profile import Profile, Rule, named
from breaker_asgi._core.stream_events import outcome_of_error

_ERROR = 400
_STATUSES = range(100, 600)


def _of_answer(exception: Any) -> Outcome:
    """Return the outcome by the status, or by the error event of a stream, which has none.

    Anthropic's error event has the status of the stream, 200.
    """
    status = getattr(exception, "status_code", None)
    if isinstance(status, int) and status >= _ERROR:
        return outcome_of_status(status)
    body = getattr(exception, "body", None)
    error = body.get("error", body) if isinstance(body, dict) else None
    return outcome_of_error(error) if isinstance(error, dict) else FAILURE


def _of_connection(exception: Exception) -> Outcome:
    """Return the outcome by the error of the HTTP client that an SDK has wrapped.

    An empty pool and an URL that can't be are the caller's own.
    """
    cause = exception.__cause__
    return IGNORED if cause is not None and http.judge(cause) is IGNORED else FAILURE


def _by_code(exception: Any) -> Outcome:
    """Return the outcome by the HTTP status; another code is the one a websocket closed with."""
    code = getattr(exception, "code", None)
    return outcome_of_status(code) if isinstance(code, int) and code in _STATUSES else FAILURE


_OPENAI: dict[str, Rule] = {
    **named("openai", _of_answer, "APIStatusError APIError"),
    **named("openai", _of_connection, "APIConnectionError"),
    **named("openai", SUCCESS, "LengthFinishReasonError ContentFilterFinishReasonError"),
    **named("openai", FAILURE, "SubjectTokenProviderError WebSocketConnectionClosedError"),
    **named("openai", IGNORED, "OpenAIError"),  # as of a client without a key
}

openai = Profile("openai", {**CLIENTS, **_OPENAI}, by_status=outcome_of_status)

anthropic = Profile(
    "anthropic",
    {
        **CLIENTS,  # raised as they are in the middle of a stream
        **named("anthropic", _of_answer, "APIStatusError APIError"),
        **named("anthropic", _of_connection, "APIConnectionError"),
        **named("anthropic", FAILURE, "RetryableError"),
        **named("anthropic", IGNORED, "APIWebhookValidationError AnthropicError"),
    },
    by_status=outcome_of_status,
)

google_genai = Profile(
    "google_genai",
    {
        **CLIENTS,
        **named("google.genai", _by_code, "APIError"),
        **named("google.genai", FAILURE, "UnknownApiResponseError"),
        **named("google.genai", IGNORED, "UnknownFunctionCallArgumentError"),
        **named("google.genai", IGNORED, "UnsupportedFunctionError FunctionInvocationError"),
    },
    by_status=outcome_of_status,
)

litellm = Profile(
    "litellm",
    {
        **CLIENTS,
        **_OPENAI,  # from which its own are derived
        **named("litellm", _of_answer, "APIError"),
        **named("litellm", FAILURE, "MidStreamFallbackError"),  # whose status came before
        **named("litellm", IGNORED, "BudgetExceededError GuardrailRaisedException"),
        **named("litellm", IGNORED, "BlockedPiiEntityError RejectedRequestError"),
        **named("litellm", IGNORED, "UnsupportedParamsError LiteLLMUnknownProvider"),
        **named("litellm", IGNORED, "ModelNotMappedError RouterRateLimitError"),
    },
    by_status=outcome_of_status,
)
