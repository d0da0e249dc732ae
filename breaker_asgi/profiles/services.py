"""Profiles of services of the cloud, and of Kafka, by their SDKs."""

from __future__ import annotations

from typing import Any

from breaker_asgi.outcome import FAILURE, IGNORED, SUCCESS, Outcome
from breaker_asgi.profiles.http import CLIENTS, by_status, outcome_of_status
from breaker_asgi.profiles.profile import Profile
from breaker_asgi.statuses import http_status

_TOO_MANY_REQUESTS, _SERVER_ERROR = 429, 500

THROTTLED = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
"""Codes of AWS that say that it can't keep up, several with the status 400.

Those of `ThrottledRetryableChecker` in botocore/retries/standard.py.
"""


def _of_aws(exception: Any) -> Outcome | None:
    response = getattr(exception, "response", None)
    if not isinstance(response, dict):
        return None
    if response.get("Error", {}).get("Code") in THROTTLED:
        return FAILURE
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", _SERVER_ERROR)
    return FAILURE if status >= _SERVER_ERROR else SUCCESS


botocore = Profile(
    "botocore",
    {
        "botocore:ClientError": _of_aws,
        "botocore:NoCredentialsError": IGNORED,
        "botocore:NoRegionError": IGNORED,
        "botocore:ParamValidationError": IGNORED,
        "botocore:PartialCredentialsError": IGNORED,
        "botocore:UnknownServiceError": IGNORED,
        "botocore:BotoCoreError": FAILURE,
    },
)
"""AWS, by boto3, botocore and aiobotocore."""

google_cloud = Profile(
    "google_cloud",
    {
        **CLIENTS,
        "google.api_core:TooManyRequests": IGNORED,
        "google.api_core:ClientError": SUCCESS,
        "google.api_core:GoogleAPIError": FAILURE,
        "google.auth:DefaultCredentialsError": IGNORED,
    },
    by_status=outcome_of_status,
)


def _of_elasticsearch(exception: Any) -> Outcome | None:
    """Judge by the status; 429 says that the queue of the cluster is full."""
    status = getattr(exception, "status_code", None) or http_status(exception)
    if status is None:
        return None
    return FAILURE if status == _TOO_MANY_REQUESTS or status >= _SERVER_ERROR else SUCCESS


elasticsearch = Profile(
    "elasticsearch",
    {
        "elasticsearch:ApiError": _of_elasticsearch,
        "elasticsearch:UnsupportedProductError": IGNORED,
        "elastic_transport:SerializationError": IGNORED,
        "elastic_transport:TransportError": FAILURE,
    },
)

stripe = Profile(
    "stripe",
    {
        **CLIENTS,
        "stripe:AuthenticationError": SUCCESS,
        "stripe:CardError": SUCCESS,
        "stripe:IdempotencyError": SUCCESS,
        "stripe:InvalidRequestError": SUCCESS,
        "stripe:PermissionError": SUCCESS,
        "stripe:SignatureVerificationError": SUCCESS,
        "stripe:RateLimitError": IGNORED,
        "stripe:StripeError": FAILURE,
    },
    by_status=outcome_of_status,
)

_POSTGREST_FAILED = ("PGRST0", "08", "53", "57", "58", "XX")
"""Beginnings of the codes of PostgREST that its database is out of reach, or out of order."""


def _of_postgrest(exception: Any) -> Outcome | None:
    code = str(getattr(exception, "code", None) or "")
    if code.isdigit() and len(code) == len("503"):
        return outcome_of_status(int(code))
    return FAILURE if code.startswith(_POSTGREST_FAILED) else SUCCESS


def _of_storage(exception: Any) -> Outcome | None:
    status = str(getattr(exception, "status", ""))
    return outcome_of_status(int(status)) if status.isdigit() else None


supabase = Profile(
    "supabase",
    {
        **CLIENTS,
        "postgrest:APIError": _of_postgrest,
        "supabase_auth:AuthApiError": by_status,
        "storage3:StorageApiError": _of_storage,
    },
    by_status=outcome_of_status,
)


def _of_kafka(exception: Any) -> Outcome:
    """Judge an answer of a broker: what it asks to be tried again has failed."""
    return FAILURE if getattr(exception, "retriable", False) else SUCCESS


def _rules_of_kafka(package: str) -> dict[str, Any]:
    return {
        f"{package}:KafkaConnectionError": FAILURE,
        f"{package}:KafkaTimeoutError": FAILURE,
        f"{package}:UnknownError": FAILURE,
        f"{package}:BrokerResponseError": _of_kafka,
        f"{package}:IllegalStateError": IGNORED,
        f"{package}:KafkaError": _of_kafka,
    }


kafka = Profile("kafka", {**_rules_of_kafka("aiokafka"), **_rules_of_kafka("kafka")})
