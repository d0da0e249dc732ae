"""Profiles: which errors of a dependency are answers, the caller's own, or failures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import aiohttp
import httpx
import httpx2
import pytest
import redis
import redis.exceptions
import requests
from aiohttp.http_exceptions import BadStatusLine

from breaker_asgi import (
    BreakerConfig,
    BreakerConfigError,
    BreakerRegistry,
    CircuitBreaker,
    CircuitBreakerError,
    breaker,
    profiles,
    protected,
)
from breaker_asgi._core.outcome import FAILURE, IGNORED, SUCCESS, Outcome
from breaker_asgi._core.profiles import PROFILES, Doubt, doubt_about
from breaker_asgi._core.profiles.databases import by_sqlstate
from breaker_asgi.profiles import Profile

ANSWER, OURS = SUCCESS, IGNORED


def status_error(library: Any, status: int) -> Exception:
    request = library.Request("GET", "http://bank")
    response = library.Response(status, request=request)
    error: Exception = library.HTTPStatusError("no", request=request, response=response)
    return error


def requests_error(status: int) -> Exception:
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError(response=response)


def aiohttp_error(status: int, cause: Exception | None = None) -> Exception:
    info: Any = None
    error = aiohttp.ClientResponseError(info, (), status=status)
    error.__cause__ = cause
    return error


@pytest.fixture
def working_rules(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail a test if a rule has raised: the log has it, and the call is judged without it."""
    yield
    assert [record.getMessage() for record in caplog.get_records("call")] == []


@pytest.mark.usefixtures("working_rules")
@pytest.mark.parametrize("make", [
    lambda status: status_error(httpx, status),
    lambda status: status_error(httpx2, status),
    requests_error,
    aiohttp_error,
], ids=["httpx", "httpx2", "requests", "aiohttp"])  # fmt: skip
@pytest.mark.parametrize(
    ("status", "outcome"),
    [(404, ANSWER), (409, ANSWER), (408, FAILURE), (429, OURS), (500, FAILURE), (529, FAILURE)],
)
def test_an_error_of_a_status_is_judged_by_it(
    make: Callable[[int], Exception], status: int, outcome: Outcome
) -> None:
    assert profiles.http.outcome_of(make(status)) is outcome


@pytest.mark.usefixtures("working_rules")
@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (httpx.PoolTimeout("full"), OURS),
        (httpx.LocalProtocolError("no"), OURS),
        (httpx.UnsupportedProtocol("no"), OURS),
        (httpx.InvalidURL("no"), OURS),
        (httpx.ReadTimeout("slow"), FAILURE),
        (httpx.ConnectError("down"), FAILURE),
        (httpx.RemoteProtocolError("cut"), FAILURE),
        (httpx2.PoolTimeout("full"), OURS),
        (httpx2.ReadTimeout("slow"), FAILURE),
        (requests.exceptions.MissingSchema(), OURS),
        (requests.exceptions.InvalidURL(), OURS),
        (requests.exceptions.ConnectTimeout(), FAILURE),
        (requests.exceptions.TooManyRedirects(), ANSWER),
        (requests.exceptions.HTTPError("without a response"), FAILURE),
        (aiohttp.InvalidURL("no"), OURS),
        (aiohttp.ServerDisconnectedError(), FAILURE),
        (aiohttp_error(400, BadStatusLine("no HTTP")), FAILURE),
        (aiohttp_error(400, ValueError("not of the parser")), ANSWER),
        (TimeoutError(), FAILURE),
        (ConnectionRefusedError(), FAILURE),
        (asyncio.CancelledError(), IGNORED),
        (CircuitBreakerError("another one"), IGNORED),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_of_a_client_library_is_judged_by_its_class(
    error: BaseException, outcome: Outcome
) -> None:
    assert profiles.http.outcome_of(error) is outcome


@pytest.mark.usefixtures("working_rules")
@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (redis.exceptions.OutOfMemoryError(), FAILURE),
        (redis.exceptions.ReadOnlyError(), FAILURE),
        (redis.exceptions.MasterDownError("MASTERDOWN"), FAILURE),
        (redis.exceptions.ClusterDownError("CLUSTERDOWN"), FAILURE),
        (redis.exceptions.BusyLoadingError(), FAILURE),
        (redis.exceptions.AuthenticationError(), FAILURE),
        (redis.exceptions.NoPermissionError(), FAILURE),
        (redis.exceptions.ConnectionError("Error 111"), FAILURE),
        (redis.exceptions.TimeoutError(), FAILURE),
        (redis.exceptions.ResponseError("WRONGTYPE"), ANSWER),
        (redis.exceptions.ResponseError("NOREPLICAS Not enough good replicas"), FAILURE),
        (redis.exceptions.WatchError(), ANSWER),
        (redis.exceptions.LockError("held"), ANSWER),
        (redis.exceptions.DataError(), ANSWER),
        (redis.exceptions.MaxConnectionsError(), OURS),
        (redis.exceptions.ConnectionError("No connection available."), OURS),
    ],
    ids=lambda value: f"{type(value).__name__}",
)
def test_an_error_of_redis_is_judged_by_its_class(error: Exception, outcome: Outcome) -> None:
    assert profiles.redis.outcome_of(error) is outcome


class SqlstateError(Exception):
    """An error that a driver raises."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__(sqlstate)
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("sqlstate", "outcome"),
    [
        *((code, ANSWER) for code in ("02000", "22003", "22012", "22P02", "23505", "25P02")),
        *((code, ANSWER) for code in ("40001", "40P01", "42601", "42P01", "55P03", "P0001")),
        *((code, FAILURE) for code in ("08006", "25006", "28P01", "53300", "53200", "57014")),
        *((code, FAILURE) for code in ("57P01", "57P03", "58030", "XX000")),
    ],
)
def test_an_error_of_a_database_is_judged_by_its_sqlstate(sqlstate: str, outcome: Outcome) -> None:
    profile = Profile("db", {f"{__name__}:SqlstateError": by_sqlstate})
    assert profile.outcome_of(SqlstateError(sqlstate)) is outcome


# The setting


def fails(guard: CircuitBreaker, error: Exception) -> None:
    with pytest.raises(type(error)):
        guard.call(raising, error)


def raising(error: Exception) -> None:
    raise error


def test_a_breaker_with_a_profile_counts_by_it() -> None:
    cache = CircuitBreaker(profile="redis")
    fails(cache, redis.exceptions.LockError("held"))
    fails(cache, redis.exceptions.ConnectionError("Error 111"))
    fails(cache, redis.exceptions.MaxConnectionsError())
    assert (cache.successes, cache.failures, cache.ignored) == (1, 1, 1)


def test_a_class_is_not_remembered_as_failing_where_another_error_of_it_does_not() -> None:
    cache = CircuitBreaker(profile="redis", fail_max=2)
    for _ in range(5):
        fails(cache, redis.exceptions.ConnectionError("Error 111"))
        fails(cache, redis.exceptions.ConnectionError("No connection available."))
        cache.close()
    assert (cache.failures, cache.ignored) == (5, 5)


def test_ignore_and_exclude_come_before_the_profile() -> None:
    judging = CircuitBreaker(
        profile="redis",
        ignore=[redis.exceptions.LockError],
        exclude=[redis.exceptions.TimeoutError],
    )
    assert judging.outcome_of(redis.exceptions.LockError("held")) is IGNORED
    assert judging.outcome_of(redis.exceptions.TimeoutError()) is SUCCESS


def test_the_profile_comes_before_the_status() -> None:
    refused = status_error(httpx, 429)
    assert CircuitBreaker().outcome_of(refused) is SUCCESS
    assert CircuitBreaker(profile="http").outcome_of(refused) is IGNORED


def test_an_error_that_the_profile_does_not_know_is_judged_without_it() -> None:
    judging = CircuitBreaker(profile="redis")
    assert judging.outcome_of(status_error(httpx, 404)) is SUCCESS
    assert judging.outcome_of(KeyError("id")) is FAILURE


def test_a_custom_profile_is_accepted() -> None:
    bank = Profile("bank", {f"{__name__}:SqlstateError": IGNORED})
    assert CircuitBreaker(profile=bank).outcome_of(SqlstateError("08006")) is IGNORED


def test_the_rule_of_the_most_derived_class_decides() -> None:
    class BankError(Exception):
        pass

    class DeclinedError(BankError):
        pass

    prefix = f"{__name__}:test_the_rule_of_the_most_derived_class_decides.<locals>."
    bank = Profile("bank", {f"{prefix}BankError": FAILURE, f"{prefix}DeclinedError": SUCCESS})
    assert [bank.outcome_of(DeclinedError()), bank.outcome_of(BankError())] == [SUCCESS, FAILURE]


def test_a_rule_that_returns_none_leaves_it_to_the_next() -> None:
    bank = Profile(
        "bank", {f"{__name__}:SqlstateError": lambda _: None, "builtins:Exception": IGNORED}
    )
    assert bank.outcome_of(SqlstateError("08006")) is IGNORED


@pytest.mark.parametrize("place", [
    lambda: BreakerRegistry(settings={"db*": {"profile": "postgres"}}).get("db"),
    lambda: BreakerRegistry().get("db", profile="postgres"),
    lambda: breaker("db", profile="postgres").breaker,  # type: ignore[attr-defined]
    lambda: CircuitBreaker.from_config(BreakerConfig(profile="postgres")),
], ids=["pattern", "get", "dependency", "config"])  # fmt: skip
def test_a_profile_is_a_setting_like_any_other(place: Callable[[], CircuitBreaker]) -> None:
    assert place().config.judgement.profile is profiles.postgres
    protected("db", profile="postgres")


@pytest.mark.parametrize(
    ("profile", "remedy"),
    [
        ("postgress", 'Write profile="postgres"'),
        ("Redis", 'Write profile="redis"'),
        ("boto3", 'Write profile="botocore"'),
        ("oracle", "Leave it out for the usual rules"),
        (7, "Leave it out for the usual rules"),
    ],
)
def test_a_name_that_no_profile_has_is_refused(profile: Any, remedy: str) -> None:
    with pytest.raises(BreakerConfigError) as caught:
        CircuitBreaker(profile=profile)
    assert str(caught.value) == (
        f"profile={profile!r} is not allowed: give one of {', '.join(PROFILES)}, or a Profile. "
        f"{remedy}."
    )


def test_a_profile_has_no_effect_beside_failures() -> None:
    with pytest.raises(BreakerConfigError, match="profile='redis' has no effect"):
        CircuitBreaker(profile="redis", failures=[TimeoutError])


@pytest.mark.parametrize("name", PROFILES)
def test_each_profile_is_found_by_its_name(name: str) -> None:
    assert getattr(profiles, name) is PROFILES[name]
    assert repr(PROFILES[name]) == f"<Profile {name!r}>"


def test_a_custom_profile_shows_its_name() -> None:
    bank = Profile("bank", {})
    assert (bank.name, repr(bank)) == ("bank", "<Profile 'bank'>")


@pytest.mark.parametrize(("by_status", "outcome"), [(lambda _: OURS, OURS), (None, None)])
def test_a_custom_profile_judges_a_status_as_by_status_does(
    by_status: Callable[[int], Outcome] | None, outcome: Outcome | None
) -> None:
    assert Profile("bank", {}, by_status=by_status).outcome_of_status(503) is outcome


def test_a_rule_that_raises_counts_as_none_and_does_not_reach_the_call(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(_: Exception) -> Outcome:
        raise KeyError("code")

    guarded = CircuitBreaker(profile=Profile("bank", {f"{__name__}:SqlstateError": broken}))
    for _ in range(2):
        fails(guarded, SqlstateError("08006"))
    assert guarded.failures == 2
    [record] = caplog.records
    assert "a rule of the profile bank" in record.getMessage()


@pytest.mark.parametrize("name", ["SqlstateError", "bank:", ":Error"])
def test_a_name_of_a_class_without_its_package_is_refused(name: str) -> None:
    with pytest.raises(BreakerConfigError) as caught:
        Profile("bank", {name: SUCCESS})
    assert str(caught.value) == (
        f"a rule of Profile={name!r} is not allowed: give a package and a class of it. "
        'Write "bank_sdk:BankError".'
    )


def test_a_rule_that_is_neither_an_outcome_nor_a_function_is_refused() -> None:
    rules: Any = {"bank:Error": True}
    with pytest.raises(BreakerConfigError) as caught:
        Profile("bank", rules)
    assert str(caught.value) == (
        "the rule for bank:Error=True is not allowed: give an Outcome, or a function. "
        "Write Outcome.SUCCESS, or a function of the exception."
    )


# The rules of SDKs, by classes of their names. tests/integration/profiles has the SDKs' own errors.


def sdk_error(
    name: str, *, text: str = "", cause: Exception | None = None, **attributes: Any
) -> Exception:
    """Return an error of a class `package:Kind`, with these attributes."""
    module, _, kind = name.partition(":")
    error: Exception = type(kind, (Exception,), {"__module__": module, **attributes})(text)
    error.__cause__ = cause
    return error


class Retryable:
    """The label of MongoDB's errors that only it is asked for: a write that may be sent again."""

    def __call__(self, label: str) -> bool:
        return label == "RetryableWriteError"


def aws_error(code: str, status: object = None) -> Exception:
    response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return sdk_error("botocore.exceptions:ClientError", response=response)


def database_error(kind: str, **attributes: Any) -> Exception:
    attributes = {"connection_invalidated": False, "orig": None} | attributes
    return sdk_error(f"sqlalchemy.exc:{kind}", **attributes)


def wrapped(kind: str, **attributes: Any) -> Exception:
    """Return SQLAlchemy's error of a driver's error."""
    derived: Any = type(database_error("DBAPIError"))
    error: Exception = type(kind, (derived,), {"__module__": "sqlalchemy.exc", **attributes})()
    return error


@pytest.mark.usefixtures("working_rules")
@pytest.mark.parametrize(
    ("profile", "error", "outcome"),
    [
        # AWS
        ("botocore", aws_error("SlowDown", 400), FAILURE),
        ("botocore", aws_error("slowDown", 400), FAILURE),
        ("botocore", aws_error("NoSuchKey", 404), ANSWER),
        ("botocore", aws_error("Other", 429), FAILURE),
        ("botocore", aws_error("ValidationException"), ANSWER),
        ("botocore", aws_error("InternalServerException"), FAILURE),
        *(
            ("botocore", sdk_error("botocore.exceptions:ClientError", response=response), outcome)
            for response, outcome in (
                ({"Error": {"Code": "ValidationException"}}, ANSWER),  # in an event of a stream
                ({"ResponseMetadata": {"HTTPStatusCode": 404}}, ANSWER),
                ({}, FAILURE),
            )
        ),
        (
            "botocore",
            sdk_error("boto3.exceptions:S3UploadFailedError", cause=aws_error("NoSuchKey", 404)),
            ANSWER,
        ),
        ("botocore", sdk_error("boto3.exceptions:S3UploadFailedError"), FAILURE),
        # Google Cloud
        (
            "google_cloud",
            sdk_error("google.api_core.exceptions:GoogleAPICallError", code=499),
            OURS,
        ),
        (
            "google_cloud",
            sdk_error("google.api_core.exceptions:GoogleAPICallError", code=404),
            ANSWER,
        ),
        (
            "google_cloud",
            sdk_error("google.api_core.exceptions:GoogleAPICallError", code=None),
            FAILURE,
        ),
        # Elasticsearch
        (
            "elasticsearch",
            sdk_error("elastic_transport:ApiError", meta=SimpleNamespace(status=404)),
            ANSWER,
        ),
        (
            "elasticsearch",
            sdk_error("elasticsearch.helpers:BulkIndexError", errors=[{"index": {"status": 429}}]),
            FAILURE,
        ),
        (
            "elasticsearch",
            sdk_error("elasticsearch.helpers:BulkIndexError", errors=[{"index": {"status": 409}}]),
            ANSWER,
        ),
        # Stripe
        ("stripe", sdk_error("stripe:StripeError", http_status=400), ANSWER),
        ("stripe", sdk_error("stripe:StripeError", http_status=200), FAILURE),
        # Supabase
        ("supabase", sdk_error("postgrest.exceptions:APIError", code="PGRST002"), FAILURE),
        ("supabase", sdk_error("postgrest.exceptions:APIError", code="PGRSTX00"), FAILURE),
        ("supabase", sdk_error("postgrest.exceptions:APIError", code="PGRST116"), ANSWER),
        ("supabase", sdk_error("postgrest.exceptions:APIError", code="503"), FAILURE),
        ("supabase", sdk_error("postgrest.exceptions:APIError", code="404"), ANSWER),
        ("supabase", sdk_error("postgrest.exceptions:APIError", code="23505"), ANSWER),
        ("supabase", sdk_error("postgrest.exceptions:APIError", code=None), FAILURE),
        ("supabase", sdk_error("storage3.exceptions:StorageApiError", status="404"), ANSWER),
        ("supabase", sdk_error("supabase_auth.errors:AuthApiError", status=500), FAILURE),
        ("supabase", sdk_error("supabase_auth.errors:AuthApiError", status=429), OURS),
        # Kafka
        ("kafka", sdk_error("aiokafka.errors:KafkaError", retriable=True), FAILURE),
        ("kafka", sdk_error("aiokafka.errors:KafkaError", retriable=False), ANSWER),
        # Language models
        ("openai", sdk_error("openai:APIStatusError", status_code=429), OURS),
        ("openai", sdk_error("openai:APIStatusError", status_code=400), ANSWER),
        ("openai", sdk_error("openai:APIStatusError"), FAILURE),
        ("openai", sdk_error("openai:APIError", body={"type": "invalid_request_error"}), ANSWER),
        *(
            ("openai", sdk_error("openai:APIError", body=body), outcome)
            for body, outcome in (
                ({"error": {"type": "rate_limit_error"}}, OURS),
                ({"error": "overloaded"}, FAILURE),
                ("<html>", FAILURE),
                (None, FAILURE),
            )
        ),
        (
            "anthropic",
            sdk_error("anthropic:APIStatusError", status_code=200, body={"error": {"code": 529}}),
            FAILURE,
        ),
        (
            "openai",
            sdk_error("openai:APIConnectionError", cause=httpx.PoolTimeout("full")),
            OURS,
        ),
        (
            "openai",
            sdk_error("openai:APIConnectionError", cause=httpx.ConnectError("down")),
            FAILURE,
        ),
        ("openai", sdk_error("openai:APIConnectionError"), FAILURE),
        ("google_genai", sdk_error("google.genai.errors:APIError", code=400), ANSWER),
        *(
            ("google_genai", sdk_error("google.genai.errors:APIError", code=code), FAILURE)
            for code in (1006, 13, "INTERNAL")  # of a websocket and of gRPC
        ),
        ("google_genai", sdk_error("google.genai.errors:APIError"), FAILURE),
        # PostgreSQL
        ("postgres", sdk_error("psycopg:DataError"), OURS),
        ("postgres", sdk_error("psycopg:DataError", sqlstate="22003"), ANSWER),
        ("postgres", sdk_error("psycopg2:DataError", pgcode="22003"), ANSWER),
        ("postgres", sdk_error("psycopg:Error"), FAILURE),
        (
            "postgres",
            sdk_error("asyncpg:InterfaceError", text="another operation is in progress"),
            OURS,
        ),
        ("postgres", sdk_error("asyncpg:InterfaceError", text="connection is closed"), FAILURE),
        ("postgres", database_error("DBAPIError", connection_invalidated=True), FAILURE),
        ("postgres", database_error("DBAPIError", orig=sdk_error("psycopg:DataError")), OURS),
        ("postgres", database_error("DBAPIError", orig=SqlstateError("40001")), ANSWER),
        ("postgres", wrapped("IntegrityError", orig=SqlstateError("57014")), FAILURE),
        ("postgres", wrapped("IntegrityError"), ANSWER),
        ("postgres", wrapped("OperationalError"), FAILURE),
        # MongoDB
        (
            "mongodb",
            sdk_error(
                "pymongo.errors:OperationFailure", code=11000, has_error_label=lambda *_: False
            ),
            ANSWER,
        ),
        (
            "mongodb",
            sdk_error("pymongo.errors:OperationFailure", code=11000, has_error_label=Retryable()),
            FAILURE,
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_an_error_of_an_sdk_is_judged_by_its_rule(
    profile: str, error: Exception, outcome: Outcome
) -> None:
    assert PROFILES[profile].outcome_of(error) is outcome


# Doubts about failures that were judged without a profile


class LostRaceError(redis.exceptions.WatchError):
    """An error that an application has derived from an SDK's."""


@pytest.mark.parametrize(
    ("error", "doubt"),
    [
        (redis.exceptions.WatchError(), Doubt("redis", ANSWER, "")),
        (LostRaceError(), Doubt("redis", ANSWER, "")),
        (httpx.PoolTimeout("full"), Doubt("http", OURS, "")),
        (status_error(httpx, 429), Doubt("http", OURS, "status 429")),
        (aws_error("NoSuchKey", 404), Doubt("botocore", ANSWER, "")),
        (sdk_error("psycopg:DataError"), Doubt("postgres", OURS, "")),
        (
            sdk_error("psycopg.errors:DataError", sqlstate="22003"),
            Doubt("postgres", ANSWER, "SQLSTATE 22003"),
        ),
        (
            wrapped("IntegrityError", orig=SqlstateError("23505")),
            Doubt("postgres", ANSWER, "SQLSTATE 23505"),
        ),
    ],
    ids=repr,
)
def test_a_failure_that_is_none_by_the_profile_of_its_package_is_doubted(
    error: Exception, doubt: Doubt
) -> None:
    assert doubt_about(error) == doubt


@pytest.mark.parametrize(
    "error",
    [
        redis.exceptions.TimeoutError(),
        sdk_error("redis.exceptions:Other"),
        KeyError("id"),
        wrapped("IntegrityError"),  # of another database, as it has no SQLSTATE
    ],
    ids=repr,
)
def test_a_failure_is_not_doubted_without_a_reason(error: Exception) -> None:
    assert doubt_about(error) is None
