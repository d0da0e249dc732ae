"""Profiles of services of the cloud, and of Kafka, by their SDKs."""

from __future__ import annotations

from typing import Any

from breaker_asgi._core.outcome import FAILURE, IGNORED, SUCCESS, Outcome
from breaker_asgi._core.profiles.databases import outcome_of_sqlstate
from breaker_asgi._core.profiles.http import (
    CLIENTS,
    by_status,
    outcome_of_full_queue,
    outcome_of_status,
)
from breaker_asgi._core.profiles.profile import Profile, named

_ERROR = 400
_CLIENT_CLOSED = 499

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
        "RequestTimeout",
        "RequestTimeoutException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
"""Codes of AWS for an overload, several with the status 400.

Those of the checkers in botocore/retries/standard.py.
"""


def _of_aws(exception: Any) -> Outcome:
    """Return the outcome by the error's code, then by the status; an event of a stream has none."""
    code = str(exception.response.get("Error", {}).get("Code") or "")
    if code[:1].upper() + code[1:] in THROTTLED:
        return FAILURE
    status = exception.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if isinstance(status, int):
        return outcome_of_full_queue(status)
    return SUCCESS if code.lower().startswith("validation") else FAILURE


def _of_aws_transfer(exception: Exception) -> Outcome:
    """Return the outcome of the error that boto3 has made a transfer's error of."""
    cause = exception.__cause__ or exception.__context__
    return (None if cause is None else botocore.judge(cause)) or FAILURE


botocore = Profile(
    "botocore",
    {
        **CLIENTS,
        **named("botocore", _of_aws, "ClientError"),
        **named("boto3", _of_aws_transfer, "S3TransferFailedError S3UploadFailedError"),
        **named("boto3", IGNORED, "DynamoDBNeedsConditionError DynamoDBNeedsKeyConditionError"),
        **named("botocore", IGNORED, "ParamValidationError ValidationError NoCredentialsError"),
        **named("botocore", IGNORED, "PartialCredentialsError NoAuthTokenError ProfileNotFound"),
        **named("botocore", IGNORED, "BaseEndpointResolverError EndpointProviderError"),
        **named("botocore", IGNORED, "UnknownServiceError UnknownRegionError InvalidConfigError"),
        **named("botocore", IGNORED, "ConfigNotFound ConfigParseError MissingParametersError"),
        **named("botocore", IGNORED, "OperationNotPageableError PaginationError"),
        **named("botocore", IGNORED, "UnknownClientMethodError UnseekableStreamError"),
        **named("botocore", IGNORED, "WaiterConfigError InvalidDNSNameError InvalidHostLabelError"),
        **named("botocore", IGNORED, "UnsupportedS3ArnError MissingDependencyException"),
        **named("botocore", IGNORED, "UnsupportedSignatureVersionError"),
        **named("botocore", FAILURE, "BotoCoreError"),
    },
    by_status=outcome_of_full_queue,
)
"""AWS, by boto3, botocore and aiobotocore."""


def _of_google(exception: Any) -> Outcome:
    """Return the outcome by the code, which is an HTTP status for calls by gRPC too."""
    code = exception.code
    if code == _CLIENT_CLOSED:  # cancelled by the caller
        return IGNORED
    return outcome_of_status(code) if isinstance(code, int) else FAILURE


google_cloud = Profile(
    "google_cloud",
    {
        **CLIENTS,
        **named("google.api_core", _of_google, "GoogleAPICallError"),
        **named("google.api_core", IGNORED, "DuplicateCredentialArgs"),
        **named("google.api_core", IGNORED, "AsyncRestUnsupportedParameterError"),
        **named("google.api_core", FAILURE, "GoogleAPIError"),
        **named("google.auth", IGNORED, "DefaultCredentialsError UserAccessTokenError"),
        **named("google.auth", IGNORED, "ClientCertError"),
        **named("google.auth", FAILURE, "GoogleAuthError"),
    },
    by_status=outcome_of_status,
)


def _of_elasticsearch(exception: Any) -> Outcome:
    return outcome_of_full_queue(int(exception.meta.status))


def _of_bulk(exception: Any) -> Outcome:
    """Return a failure if the cluster has failed by one of the documents."""
    results = (result for error in exception.errors for result in error.values())
    outcomes = {outcome_of_full_queue(int(result["status"])) for result in results}
    return FAILURE if FAILURE in outcomes else SUCCESS


elasticsearch = Profile(
    "elasticsearch",
    {
        **CLIENTS,
        **named("elastic_transport", _of_elasticsearch, "ApiError"),
        **named("elasticsearch", _of_bulk, "BulkIndexError"),
        **named("elasticsearch", IGNORED, "UnsupportedProductError"),
        **named("elastic_transport", IGNORED, "SerializationError"),
        **named("elastic_transport", FAILURE, "TransportError"),
    },
    by_status=outcome_of_full_queue,
)


def _of_stripe(exception: Any) -> Outcome:
    """Return the outcome by the status; below 400, the answer could not be understood."""
    status = exception.http_status
    is_error = isinstance(status, int) and status >= _ERROR
    return outcome_of_status(status) if is_error else FAILURE


stripe = Profile(
    "stripe",
    {
        **CLIENTS,
        **named("stripe", SUCCESS, "CardError InvalidRequestError AuthenticationError"),
        **named("stripe", SUCCESS, "PermissionError IdempotencyError SignatureVerificationError"),
        **named("stripe", IGNORED, "RateLimitError"),
        **named("stripe", FAILURE, "APIConnectionError"),
        **named("stripe", _of_stripe, "StripeError"),
    },
    by_status=outcome_of_status,
)


def _of_postgrest(exception: Any) -> Outcome:
    """Return the outcome by the code: PostgREST's own, a SQLSTATE, or a gateway's HTTP status.

    PGRST0.. are of its connection to the database, PGRSTX.. faults of its own
    (https://postgrest.org/en/stable/references/errors.html).
    """
    code = str(exception.code or "")
    if code.startswith("PGRST"):
        return FAILURE if code.startswith(("PGRST0", "PGRSTX")) else SUCCESS
    if code.isdigit() and len(code) == len("503"):
        return outcome_of_status(int(code))
    return outcome_of_sqlstate(code)


def _of_supabase(exception: Any) -> Outcome | None:
    """Return the outcome by the status, which some of Supabase's errors have as a text."""
    status = exception.status
    if isinstance(status, str) and status.isdigit():
        return outcome_of_status(int(status))
    return by_status(exception)


supabase = Profile(
    "supabase",
    {
        **CLIENTS,
        **named("postgrest", _of_postgrest, "APIError"),
        **named("storage3", _of_supabase, "StorageApiError"),
        **named("supabase_auth", FAILURE, "AuthRetryableError AuthUnknownError"),
        **named("supabase_auth", _of_supabase, "AuthApiError CustomAuthError"),
        **named("supabase_functions", FAILURE, "FunctionsRelayError"),
        **named("supabase_functions", _of_supabase, "FunctionsError"),
    },
    by_status=outcome_of_status,
)


def _by_retry(exception: Any) -> Outcome:
    """Return a failure for a retriable error: it is of the brokers, not of the message."""
    return FAILURE if exception.retriable else SUCCESS


_KAFKA = "aiokafka kafka"

kafka = Profile(
    "kafka",
    {
        **named(_KAFKA, FAILURE, "AuthenticationFailedError AuthenticationMethodNotSupported"),
        **named(_KAFKA, FAILURE, "BrokerNotAvailableError CorruptRecordException"),
        **named(_KAFKA, FAILURE, "IncompatibleBrokerVersion KafkaTimeoutError"),
        **named(_KAFKA, FAILURE, "KafkaUnavailableError NotEnoughReplicasError"),
        **named(_KAFKA, FAILURE, "NotEnoughReplicasAfterAppendError QuotaViolationError"),
        **named(_KAFKA, FAILURE, "ReplicaNotAvailableError SaslAuthenticationFailed"),
        **named(_KAFKA, FAILURE, "StaleControllerEpochError StaleLeaderEpochCodeError"),
        **named(_KAFKA, FAILURE, "UnknownError UnrecognizedBrokerVersion"),
        **named(_KAFKA, IGNORED, "IllegalStateError IllegalArgumentError UnsupportedCodecError"),
        **named(_KAFKA, IGNORED, "KafkaConfigurationError ConsumerStoppedError"),
        **named(_KAFKA, IGNORED, "IllegalOperation ProducerClosed Cancelled"),
        **named(_KAFKA, _by_retry, "KafkaError"),
    },
)
