"""The settings that all clients share: `name` and `honour_retry_after`."""

from __future__ import annotations

from typing import Any

import pytest

from breaker_asgi import BreakerConfigError, BreakerRegistry, CircuitBreakerError
from breaker_asgi.clients import guard

URL = "https://llm.example/v1"


def answering(library: Any, status: int, **headers: str) -> Any:
    return library.MockTransport(lambda _: library.Response(status, headers=headers))


def client_of(both: tuple[Any, Any], registry: BreakerRegistry, status: int, **headers: str) -> Any:
    library, _ = both
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    transport = library.MockTransport(lambda _: library.Response(status, headers=named))
    client = library.Client(transport=transport)
    return guard(client, registry=registry, name="llm", honour_retry_after=True)


def wait_of(registry: BreakerRegistry) -> tuple[str, float | None]:
    snapshot = registry.get("llm").snapshot()
    return str(snapshot.reason), snapshot.retry_after


@pytest.mark.parametrize("status", [429, 500, 503, 529])
def test_a_failure_and_a_429_honour_retry_after(
    status: int, both: tuple[Any, Any], registry: BreakerRegistry
) -> None:
    with client_of(both, registry, status, retry_after="20") as client:
        client.get(URL)
        with pytest.raises(CircuitBreakerError) as caught:
            client.get(URL)
    assert caught.value.reason == f"status {status} asked for 20 s"
    assert f"(status {status} asked for 20 s)" in str(caught.value)
    assert 19 < caught.value.retry_after <= 20


@pytest.mark.parametrize("status", [200, 301, 404, 413])
def test_an_answer_does_not_honour_retry_after(
    status: int, both: tuple[Any, Any], registry: BreakerRegistry
) -> None:
    with client_of(both, registry, status, retry_after="20") as client:
        client.get(URL)
    assert registry.get("llm").state == "closed"


def test_a_failure_by_is_failure_honours_retry_after(
    both: tuple[Any, Any], registry: BreakerRegistry
) -> None:
    library, _ = both
    transport = answering(library, 418, **{"Retry-After": "20"})
    client = guard(
        library.Client(transport=transport),
        registry=registry,
        name="llm",
        is_failure=lambda response: response.status_code == 418,
        honour_retry_after=True,
    )
    client.get(URL)
    assert wait_of(registry)[0] == "status 418 asked for 20 s"


@pytest.mark.parametrize(
    ("milliseconds", "wait"),
    [("1500", "1.5 s"), ("250.5", "0.251 s"), (" 2000 ", "2 s"), ("soon", "20 s"), ("-5", "20 s")],
)
def test_milliseconds_take_precedence_over_seconds(
    milliseconds: str, wait: str, both: tuple[Any, Any], registry: BreakerRegistry
) -> None:
    headers = {"retry_after_ms": milliseconds, "retry_after": "20"}
    with client_of(both, registry, 429, **headers) as client:
        client.get(URL)
    assert wait_of(registry)[0] == f"status 429 asked for {wait}"


@pytest.mark.parametrize("milliseconds", ["0", "9" * 30, "inf", "nan"])
def test_milliseconds_out_of_range_open_no_breaker(
    milliseconds: str, both: tuple[Any, Any], registry: BreakerRegistry
) -> None:
    with client_of(both, registry, 429, retry_after_ms=milliseconds) as client:
        client.get(URL)
    assert registry.get("llm").state == "closed"


def test_a_name_may_be_a_text_for_all_requests(
    both: tuple[Any, Any], registry: BreakerRegistry
) -> None:
    with client_of(both, registry, 200) as client:
        client.get(URL)
        client.get("https://other.example")
    assert [(breaker.name, breaker.successes) for breaker in registry] == [("llm", 2)]


def test_an_empty_name_is_refused(both: tuple[Any, Any]) -> None:
    library, _ = both
    with pytest.raises(BreakerConfigError, match="name='' is not allowed: give a text, or"):
        guard(library.Client(), name="")


def test_an_object_that_can_not_be_guarded_is_refused() -> None:
    with pytest.raises(BreakerConfigError, match="a client of openai, anthropic, google-genai"):
        guard(object())
