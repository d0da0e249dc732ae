"""The errors of real SDKs, as their profiles judge them."""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import Any

import pytest

from breaker_asgi import profiles
from breaker_asgi.outcome import FAILURE, IGNORED, SUCCESS, Outcome

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # as SDKs warn of what they use
    import anthropic
    import elastic_transport
    import elasticsearch
    import httpx
    import httpx2
    import openai
    import postgrest
    from botocore import exceptions as botocore
    from google.genai import errors as genai
    from pymongo import errors as mongo
    from storage3.exceptions import StorageApiError
    from supabase_auth.errors import AuthApiError

    kafka: Any = import_module("aiokafka.errors")
    google: Any = import_module("google.api_core.exceptions")
    stripe: Any = import_module("stripe")

ANSWER, OURS = SUCCESS, IGNORED


def response(status: int) -> Any:
    return httpx2.Response(status, request=httpx2.Request("POST", "https://llm/v1"))


def of_openai(kind: Any, status: int, body: object = None) -> Exception:
    error: Exception = kind("no", response=response(status), body=body)
    return error


def event(kind: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind}}


def code_of_aws(code: str, status: int) -> Exception:
    said = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    error: Exception = botocore.ClientError(said, "GetObject")
    return error


def of_elasticsearch(status: int) -> Exception:
    meta: Any = elastic_transport.ApiResponseMeta(
        status=status,
        http_version="1.1",
        headers=elastic_transport.HttpHeaders(),
        duration=0.1,
        node=elastic_transport.NodeConfig("http", "es", 9200),
    )
    return elasticsearch.ApiError("no", meta, None)


REQUEST: Any = httpx2.Request("POST", "https://llm/v1")

CASES: dict[str, list[tuple[BaseException, Outcome]]] = {
    "openai": [
        (of_openai(openai.BadRequestError, 400), ANSWER),
        (of_openai(openai.AuthenticationError, 401), ANSWER),
        (of_openai(openai.NotFoundError, 404), ANSWER),
        (of_openai(openai.APIStatusError, 408), FAILURE),
        (of_openai(openai.RateLimitError, 429), OURS),
        (of_openai(openai.InternalServerError, 500), FAILURE),
        (of_openai(openai.InternalServerError, 529), FAILURE),
        (openai.APIConnectionError(request=REQUEST), FAILURE),
        (openai.APITimeoutError(request=REQUEST), FAILURE),
        (openai.APIError("overloaded", REQUEST, body={"type": "server_error"}), FAILURE),
        (openai.APIError("long", REQUEST, body={"type": "invalid_request_error"}), ANSWER),
        (openai.OpenAIError("no key"), OURS),
    ],
    "anthropic": [
        (of_openai(anthropic.BadRequestError, 400), ANSWER),
        (of_openai(anthropic.RateLimitError, 429), OURS),
        (of_openai(anthropic.InternalServerError, 529), FAILURE),
        (of_openai(anthropic.APIStatusError, 200, event("overloaded_error")), FAILURE),
        (of_openai(anthropic.APIStatusError, 200, event("rate_limit_error")), OURS),
        (of_openai(anthropic.APIStatusError, 200, event("invalid_request_error")), ANSWER),
        (anthropic.APITimeoutError(request=REQUEST), FAILURE),
        (httpx2.RemoteProtocolError("cut in the middle of a stream"), FAILURE),
        (anthropic.AnthropicError("no key"), OURS),
    ],
    "google_genai": [
        (genai.ClientError(400, {}), ANSWER),
        (genai.ClientError(429, {}), OURS),
        (genai.ServerError(503, {}), FAILURE),
        (httpx.ReadTimeout("slow"), FAILURE),
    ],
    "botocore": [
        (code_of_aws("NoSuchKey", 404), ANSWER),
        (code_of_aws("AccessDenied", 403), ANSWER),
        (code_of_aws("ThrottlingException", 400), FAILURE),
        (code_of_aws("SlowDown", 503), FAILURE),
        (code_of_aws("InternalError", 500), FAILURE),
        (botocore.EndpointConnectionError(endpoint_url="http://s3"), FAILURE),
        (botocore.ReadTimeoutError(endpoint_url="http://s3"), FAILURE),
        (botocore.ConnectionClosedError(endpoint_url="http://s3"), FAILURE),
        (botocore.ParamValidationError(report="no"), OURS),
        (botocore.NoCredentialsError(), OURS),
        (botocore.NoRegionError(), OURS),
    ],
    "google_cloud": [
        (google.NotFound("no"), ANSWER),
        (google.Forbidden("no"), ANSWER),
        (google.TooManyRequests("no"), OURS),
        (google.ServiceUnavailable("no"), FAILURE),
        (google.RetryError("no", None), FAILURE),
    ],
    "elasticsearch": [
        (of_elasticsearch(404), ANSWER),
        (of_elasticsearch(409), ANSWER),
        (of_elasticsearch(429), FAILURE),
        (of_elasticsearch(503), FAILURE),
        (elastic_transport.ConnectionError("down"), FAILURE),
        (elastic_transport.ConnectionTimeout("slow"), FAILURE),
        (elastic_transport.SerializationError("odd"), OURS),
    ],
    "stripe": [
        (stripe.CardError("declined", "number", "declined"), ANSWER),
        (stripe.InvalidRequestError("no", "amount"), ANSWER),
        (stripe.AuthenticationError("no"), ANSWER),
        (stripe.RateLimitError("no"), OURS),
        (stripe.APIConnectionError("down"), FAILURE),
        (stripe.APIError("no"), FAILURE),
    ],
    "supabase": [
        (postgrest.APIError({"code": "23505", "message": "twice"}), ANSWER),
        (postgrest.APIError({"code": "PGRST116", "message": "no row"}), ANSWER),
        (postgrest.APIError({"code": "PGRST000", "message": "no database"}), FAILURE),
        (postgrest.APIError({"code": "57014", "message": "too long"}), FAILURE),
        (postgrest.APIError({"code": "503", "message": "down"}), FAILURE),
        (AuthApiError("no", 400, None), ANSWER),
        (AuthApiError("no", 503, None), FAILURE),
        (StorageApiError("no", "NoSuchKey", "404"), ANSWER),
        (StorageApiError("no", "Internal", 500), FAILURE),
        (httpx.ConnectError("down"), FAILURE),
    ],
    "mongodb": [
        (mongo.DuplicateKeyError("twice", 11000), ANSWER),
        (mongo.OperationFailure("no such command", 59), ANSWER),
        (mongo.OperationFailure("shutting down", 91), FAILURE),
        (mongo.OperationFailure("no primary", 10107), FAILURE),
        (mongo.OperationFailure("x", 1, {"errorLabels": ["RetryableWriteError"]}), FAILURE),
        (mongo.ExecutionTimeout("slow", 50), FAILURE),
        (mongo.ServerSelectionTimeoutError("none"), FAILURE),
        (mongo.AutoReconnect("gone"), FAILURE),
        (mongo.NetworkTimeout("slow"), FAILURE),
        (mongo.NotPrimaryError("moved"), FAILURE),
        (mongo.WaitQueueTimeoutError("full"), OURS),
        (mongo.ConfigurationError("odd"), OURS),
        (mongo.InvalidOperation("no"), ANSWER),
    ],
    "kafka": [
        (kafka.MessageSizeTooLargeError(), ANSWER),
        (kafka.TopicAuthorizationFailedError(), ANSWER),
        (kafka.KafkaConnectionError(), FAILURE),
        (kafka.KafkaTimeoutError(), FAILURE),
        (kafka.NotLeaderForPartitionError(), FAILURE),
        (kafka.LeaderNotAvailableError(), FAILURE),
        (kafka.IllegalStateError(), OURS),
    ],
}


@pytest.mark.parametrize(
    ("name", "error", "outcome"),
    [
        pytest.param(name, error, outcome, id=f"{name}-{type(error).__name__}-{number}")
        for name, cases in CASES.items()
        for number, (error, outcome) in enumerate(cases)
    ],
)
def test_an_error_of_an_sdk_is_judged_by_its_profile(
    name: str, error: BaseException, outcome: Outcome
) -> None:
    assert profiles.PROFILES[name].outcome_of(error) is outcome


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        ("BadRequestError", ANSWER),
        ("ContextWindowExceededError", ANSWER),
        ("RateLimitError", OURS),
        ("ServiceUnavailableError", FAILURE),
        ("APIConnectionError", FAILURE),
        ("Timeout", FAILURE),
    ],
)
def test_an_error_of_litellm_is_judged_by_its_profile(
    kind: str, outcome: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    import litellm  # noqa: PLC0415 - it looks for its prices

    error = getattr(litellm.exceptions, kind)("no", model="m", llm_provider="openai")
    assert profiles.litellm.outcome_of(error) is outcome
    budget = litellm.exceptions.BudgetExceededError(2.0, 1.0)
    assert profiles.litellm.outcome_of(budget) is OURS
