"""The profiles of SDKs, by the errors that the SDKs raise at a fake service."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from breaker_asgi import CircuitBreaker, Outcome
from breaker_asgi._core import profiles
from breaker_asgi._core.outcome import FAILURE, IGNORED, SUCCESS
from tests.integration.profiles.fake import EVENTS, Service, service
from tests.integration.stores.conftest import free_port

ASKED: Any = {"model": "m", "messages": [{"role": "user", "content": "x"}]}


def sdk(name: str) -> Any:
    """Return a module of an SDK; importing some of them warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, reason=f"no {name}: its profile was not tested")


@pytest.fixture
def fake() -> Iterator[Service]:
    with service() as made:
        yield made


def by_openai(url: str, *, stream: bool = False) -> None:
    openai = sdk("openai")
    with openai.OpenAI(api_key="k", base_url=url, max_retries=0, timeout=5) as client:
        for _ in client.chat.completions.create(**ASKED, stream=stream):
            pass


def by_anthropic(url: str, *, stream: bool = False) -> None:
    anthropic = sdk("anthropic")
    with anthropic.Anthropic(api_key="k", base_url=url, max_retries=0, timeout=5) as client:
        for _ in client.messages.create(**ASKED, max_tokens=5, stream=stream):
            pass


def by_google_genai(url: str) -> None:
    genai = sdk("google.genai")
    options = genai.types.HttpOptions(base_url=url, timeout=5000)
    with genai.Client(api_key="k", http_options=options) as client:
        client.models.generate_content(model="m", contents="x")


@contextmanager
def event_loop() -> Iterator[None]:
    """Set an event loop that is closed again: litellm would leave one open."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        yield
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def by_litellm(url: str) -> None:
    with event_loop(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        litellm = sdk("litellm")
        litellm.suppress_debug_info = True
        request = ASKED | {"model": "openai/m"}
        litellm.completion(**request, api_key="k", api_base=url, max_retries=0, num_retries=0)


def by_botocore(url: str) -> None:
    session = sdk("botocore.session").Session()
    config = sdk("botocore.config").Config(retries={"total_max_attempts": 1}, read_timeout=5)
    keys = {"aws_access_key_id": "k", "aws_secret_access_key": "s"}
    client = session.create_client(
        "dynamodb", region_name="eu-west-1", endpoint_url=url, config=config, **keys
    )
    try:
        client.describe_table(TableName="pets")
    finally:
        client.close()


def by_google_cloud(url: str) -> None:
    storage, auth = sdk("google.cloud.storage"), sdk("google.auth.credentials")
    client = storage.Client(
        project="p",
        credentials=auth.AnonymousCredentials(),
        client_options={"api_endpoint": url},
    )
    try:
        client.get_bucket("pets", retry=None, timeout=5)
    finally:
        client.close()


def by_elasticsearch(url: str) -> None:
    elasticsearch = sdk("elasticsearch")
    with elasticsearch.Elasticsearch(url, max_retries=0, request_timeout=5) as client:
        client.get(index="pets", id="1")


def by_stripe(url: str) -> None:
    stripe = sdk("stripe")
    client = stripe.StripeClient("k", base_addresses={"api": url}, max_network_retries=0)
    client.v1.customers.retrieve("c")


def by_supabase(url: str) -> None:
    postgrest = sdk("postgrest")
    with postgrest.SyncPostgrestClient(url, retry_enabled=False) as client:
        client.from_("pets").select("*").execute()


EVERY_SDK = {
    profiles.openai: by_openai,
    profiles.anthropic: by_anthropic,
    profiles.google_genai: by_google_genai,
    profiles.litellm: by_litellm,
    profiles.botocore: by_botocore,
    profiles.google_cloud: by_google_cloud,
    profiles.elasticsearch: by_elasticsearch,
    profiles.stripe: by_stripe,
    profiles.supabase: by_supabase,
}
COUNTS_429 = {profiles.botocore, profiles.elasticsearch}
PER_SDK = pytest.mark.parametrize("profile", EVERY_SDK, ids=lambda profile: profile.name)


def error_of(call: Any, *args: Any, **kwargs: Any) -> Exception:
    try:
        call(*args, **kwargs)
    except Exception as error:  # noqa: BLE001
        return error
    raise AssertionError("nothing was raised")


@PER_SDK
@pytest.mark.parametrize("status", [400, 403, 404, 409, 422, 408, 429, 500, 502, 503, 529])
def test_a_status_is_judged_through_every_sdk(
    profile: profiles.Profile, status: int, fake: Service
) -> None:
    body = {"error": {"message": "no", "code": status}, "message": "no", "code": str(status)}
    fake.answers(status, body, {"x-elastic-product": "Elasticsearch"})
    error = error_of(EVERY_SDK[profile], fake.url)
    usual = SUCCESS if status < 500 else FAILURE
    limited = FAILURE if profile in COUNTS_429 else IGNORED
    expected = {408: FAILURE, 429: limited}.get(status, usual)
    assert profile.outcome_of(error) is expected, repr(error)
    assert profile.outcome_of_status(status) is expected


@PER_SDK
def test_a_service_that_is_gone_is_a_failure_through_every_sdk(profile: profiles.Profile) -> None:
    error = error_of(EVERY_SDK[profile], f"http://127.0.0.1:{free_port()}")
    assert profile.judge(error) is FAILURE, repr(error)


@PER_SDK
def test_five_answers_do_not_open_a_breaker_and_a_service_that_is_gone_does(
    profile: profiles.Profile, fake: Service
) -> None:
    guarded = CircuitBreaker(5, profile=profile)
    fake.answers(404, {"code": "404", "message": "no"}, {"x-elastic-product": "Elasticsearch"})
    for _ in range(5):
        error_of(guarded.call, EVERY_SDK[profile], fake.url)
    assert (guarded.state, guarded.successes) == ("closed", 5)
    for _ in range(5):
        error_of(guarded.call, EVERY_SDK[profile], f"http://127.0.0.1:{free_port()}")
    assert guarded.state == "open"


# Streams of language models


def test_an_error_event_in_a_stream_of_openai_is_a_failure(fake: Service) -> None:
    fake.answers(200, b'data: {"error": {"message": "no", "type": "server_error"}}\n\n', EVENTS)
    error = error_of(by_openai, fake.url, stream=True)
    assert type(error).__name__ == "APIError"
    assert profiles.openai.outcome_of(error) is FAILURE


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        ("overloaded_error", FAILURE),
        ("api_error", FAILURE),
        ("invalid_request_error", SUCCESS),
        ("rate_limit_error", IGNORED),
    ],
)
def test_an_error_event_in_a_stream_of_anthropic_is_judged_by_its_type(
    kind: str, outcome: Outcome, fake: Service
) -> None:
    data = f'{{"type": "error", "error": {{"type": "{kind}", "message": "no"}}}}'
    fake.answers(200, f"event: error\ndata: {data}\n\n".encode(), EVENTS)
    error = error_of(by_anthropic, fake.url, stream=True)
    assert profiles.anthropic.outcome_of(error) is outcome, repr(error)


@pytest.mark.parametrize(
    ("profile", "call"), [(profiles.openai, by_openai), (profiles.anthropic, by_anthropic)]
)
def test_a_stream_that_is_cut_is_a_failure(
    profile: profiles.Profile, call: Any, fake: Service
) -> None:
    fake.cuts_off(b": ping\n\n", EVENTS)
    error = error_of(call, fake.url, stream=True)
    assert profile.outcome_of(error) is FAILURE, repr(error)


@pytest.mark.parametrize("profile", [profiles.openai, profiles.anthropic])
def test_an_address_that_can_not_be_is_the_callers_own_fault(profile: profiles.Profile) -> None:
    error = error_of(EVERY_SDK[profile], "ftp://127.0.0.1")
    assert profile.outcome_of(error) is IGNORED, repr(error)


def test_an_api_key_that_is_missing_is_the_callers_own_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    error = error_of(sdk("openai").OpenAI)
    assert profiles.openai.outcome_of(error) is IGNORED


def test_errors_of_litellms_own_are_judged() -> None:
    with event_loop():
        errors = sdk("litellm.exceptions")
    budget = errors.BudgetExceededError(current_cost=2, max_budget=1)
    cut = errors.MidStreamFallbackError("cut", "m", "openai")
    too_long = errors.ContextWindowExceededError("too long", "m", "openai")
    assert profiles.litellm.outcome_of(budget) is IGNORED
    assert profiles.litellm.outcome_of(cut) is FAILURE
    assert profiles.litellm.outcome_of(too_long) is SUCCESS


# AWS


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("ResourceNotFoundException", SUCCESS),
        ("ValidationException", SUCCESS),
        ("ConditionalCheckFailedException", SUCCESS),
        ("ProvisionedThroughputExceededException", FAILURE),
        ("ThrottlingException", FAILURE),
        ("RequestLimitExceeded", FAILURE),
    ],
)
def test_an_error_of_aws_with_the_status_400_is_judged_by_its_code(
    code: str, outcome: Outcome, fake: Service
) -> None:
    fake.answers(400, {"__type": f"com.amazonaws#{code}", "message": "no"})
    assert profiles.botocore.outcome_of(error_of(by_botocore, fake.url)) is outcome


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("throttlingException", FAILURE),
        ("internalServerException", FAILURE),
        ("modelStreamErrorException", FAILURE),
        ("validationException", SUCCESS),
    ],
)
def test_an_error_event_in_a_stream_of_aws_is_judged_by_its_code(
    code: str, outcome: Outcome
) -> None:
    event = {"Error": {"Code": code, "Message": "no"}}
    error = sdk("botocore.exceptions").EventStreamError(event, "InvokeModel")
    assert profiles.botocore.outcome_of(error) is outcome


def test_a_call_of_aws_that_can_not_be_made_is_the_callers_own_fault() -> None:
    errors = sdk("botocore.exceptions")
    for error in (
        errors.ParamValidationError(report="x"),
        errors.NoCredentialsError(),
        errors.PartialCredentialsError(provider="env", cred_var="x"),
        errors.NoRegionError(),
    ):
        assert profiles.botocore.outcome_of(error) is IGNORED


# Google Cloud, Elasticsearch, Stripe, Supabase


def test_errors_of_google_cloud_are_judged_by_their_codes() -> None:
    errors = sdk("google.api_core.exceptions")
    assert profiles.google_cloud.outcome_of(errors.RetryError("late", None)) is FAILURE
    assert profiles.google_cloud.outcome_of(errors.DeadlineExceeded("late")) is FAILURE
    assert profiles.google_cloud.outcome_of(errors.ResourceExhausted("quota")) is IGNORED
    assert profiles.google_cloud.outcome_of(errors.Cancelled("by us")) is IGNORED
    assert profiles.google_cloud.outcome_of(errors.PreconditionFailed("changed")) is SUCCESS
    missing = sdk("google.auth.exceptions").DefaultCredentialsError()
    assert profiles.google_cloud.outcome_of(missing) is IGNORED


@pytest.mark.parametrize(("status", "outcome"), [(409, SUCCESS), (429, FAILURE), (503, FAILURE)])
def test_documents_that_elasticsearch_refuses_are_judged_by_their_status(
    status: int, outcome: Outcome
) -> None:
    error = sdk("elasticsearch.helpers").BulkIndexError("1", [{"index": {"status": status}}])
    assert profiles.elasticsearch.outcome_of(error) is outcome


@pytest.mark.parametrize(
    ("status", "kind", "error_type"),
    [
        (402, "card_error", "CardError"),
        (400, "idempotency_error", "IdempotencyError"),
        (400, "invalid_request_error", "InvalidRequestError"),
    ],
)
def test_a_refusal_of_stripe_is_a_success(
    status: int, kind: str, error_type: str, fake: Service
) -> None:
    fake.answers(status, {"error": {"type": kind, "message": "no", "code": "x"}})
    error = error_of(by_stripe, fake.url)
    assert type(error).__name__ == error_type
    assert profiles.stripe.outcome_of(error) is SUCCESS


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("PGRST116", SUCCESS),
        ("PGRST301", SUCCESS),
        ("PGRST000", FAILURE),
        ("PGRST003", FAILURE),
        ("23505", SUCCESS),
        ("42501", SUCCESS),
        ("57014", FAILURE),
        ("53300", FAILURE),
        ("404", SUCCESS),
        ("503", FAILURE),
    ],
)
def test_an_error_of_supabase_is_judged_by_its_code(
    code: str, outcome: Outcome, fake: Service
) -> None:
    fake.answers(406, {"code": code, "message": "no", "hint": None, "details": None})
    error = error_of(by_supabase, fake.url)
    assert profiles.supabase.outcome_of(error) is outcome, repr(error)


def test_the_other_services_of_supabase_are_judged_by_their_status() -> None:
    storage, auth = sdk("storage3.exceptions"), sdk("supabase_auth.errors")
    functions = sdk("supabase_functions.errors")
    judged = [
        profiles.supabase.outcome_of(error)
        for error in (
            storage.StorageApiError("no", "not_found", "404"),
            storage.StorageApiError("no", "internal", 500),
            auth.AuthApiError("no", 400, None),
            auth.AuthApiError("slow down", 429, None),
            auth.AuthRetryableError("gateway", 0),
            auth.AuthInvalidCredentialsError("no"),
            functions.FunctionsHttpError("no", 422),
            functions.FunctionsHttpError("no", 500),
            functions.FunctionsRelayError("no", 400),
        )
    ]
    expected = [SUCCESS, FAILURE, SUCCESS, IGNORED, FAILURE, SUCCESS, SUCCESS, FAILURE, FAILURE]
    assert judged == expected


# MongoDB and Kafka


def test_errors_of_mongodb_are_judged_by_class_code_and_label() -> None:
    errors = sdk("pymongo.errors")
    labelled = {"errorLabels": ["RetryableWriteError"]}
    judged = [
        (type(error).__name__, profiles.mongodb.outcome_of(error))
        for error in (
            errors.DuplicateKeyError("no", 11000),
            errors.BulkWriteError({"writeErrors": [], "writeConcernErrors": []}),
            errors.OperationFailure("no", 13),
            errors.DocumentTooLarge("no"),
            errors.InvalidName("no"),
            errors.WaitQueueTimeoutError("empty"),
            errors.ConfigurationError("no"),
        )
    ]
    assert [outcome for _, outcome in judged] == [SUCCESS] * 5 + [IGNORED] * 2
    for error in (
        errors.OperationFailure("stepped down", 189),
        errors.OperationFailure("no", 1, labelled),
        errors.ExecutionTimeout("late", 50),
        errors.WTimeoutError("late", 64),
        errors.ServerSelectionTimeoutError("none"),
        errors.AutoReconnect("gone"),
        errors.NotPrimaryError("moved"),
        errors.NetworkTimeout("late"),
    ):
        assert profiles.mongodb.outcome_of(error) is FAILURE


def test_a_mongodb_that_is_gone_is_a_failure() -> None:
    pymongo = sdk("pymongo")
    with pymongo.MongoClient(port=free_port(), serverSelectionTimeoutMS=50) as client:
        error = error_of(client.test.pets.find_one)
    assert profiles.mongodb.judge(error) is FAILURE


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("MessageSizeTooLargeError", SUCCESS),
        ("RecordTooLargeError", SUCCESS),
        ("TopicAuthorizationFailedError", SUCCESS),
        ("InvalidTopicError", SUCCESS),
        ("OffsetOutOfRangeError", SUCCESS),
        ("IllegalStateError", IGNORED),
        ("ProducerClosed", IGNORED),
        ("IllegalOperation", IGNORED),
        ("KafkaConnectionError", FAILURE),
        ("KafkaTimeoutError", FAILURE),
        ("RequestTimedOutError", FAILURE),
        ("NotLeaderForPartitionError", FAILURE),
        ("NotEnoughReplicasError", FAILURE),
        ("BrokerNotAvailableError", FAILURE),
        ("NoBrokersAvailable", FAILURE),
    ],
)
def test_an_error_of_kafka_is_judged_by_what_it_is_about(name: str, outcome: Outcome) -> None:
    error = getattr(sdk("aiokafka.errors"), name)("no")
    assert profiles.kafka.outcome_of(error) is outcome


async def test_a_kafka_that_is_gone_is_a_failure() -> None:
    aiokafka = sdk("aiokafka")
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=f"127.0.0.1:{free_port()}")
    with pytest.raises(aiokafka.errors.KafkaError) as raised:
        await producer.start()
    await producer.stop()
    assert profiles.kafka.judge(raised.value) is FAILURE
