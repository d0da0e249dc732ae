"""Clients whose breakers have a profile."""

from __future__ import annotations

from typing import Any

import pytest

from breaker_asgi import BreakerConfig, BreakerRegistry

URL = "http://bank.example"


def answering(library: Any, status: int) -> Any:
    return library.MockTransport(lambda _: library.Response(status))


def raising(library: Any, error: Exception) -> Any:
    def answer(_: Any) -> Any:
        raise error

    return library.MockTransport(answer)


def counted(registry: BreakerRegistry) -> tuple[int, int, int]:
    (breaker,) = registry
    return breaker.successes, breaker.failures, breaker.ignored


@pytest.mark.parametrize(
    ("profile", "status", "expected"),
    [
        (None, 404, (1, 0, 0)),
        (None, 408, (1, 0, 0)),
        (None, 429, (1, 0, 0)),
        (None, 500, (0, 1, 0)),
        ("http", 404, (1, 0, 0)),
        ("http", 408, (0, 1, 0)),
        ("http", 429, (0, 0, 1)),
        ("http", 500, (0, 1, 0)),
        ("openai", 429, (0, 0, 1)),
        ("elasticsearch", 429, (0, 1, 0)),
        ("postgres", 429, (1, 0, 0)),
    ],
)
async def test_the_profile_judges_the_status_of_a_response(
    profile: str | None,
    status: int,
    expected: tuple[int, int, int],
    both: tuple[Any, Any],
    registry: BreakerRegistry,
) -> None:
    library, ours = both
    transport = ours.AsyncBreakerTransport(
        answering(library, status), registry=registry, config=BreakerConfig(profile=profile)
    )
    async with library.AsyncClient(transport=transport) as client:
        assert (await client.get(URL)).status_code == status
    assert counted(registry) == expected


@pytest.mark.parametrize(("status", "expected"), [(429, (0, 1, 0)), (500, (1, 0, 0))])
def test_is_failure_overrules_the_profile(
    status: int, expected: tuple[int, int, int], both: tuple[Any, Any], registry: BreakerRegistry
) -> None:
    library, ours = both
    transport = ours.BreakerTransport(
        answering(library, status),
        registry=registry,
        config=BreakerConfig(profile="http"),
        is_failure=lambda response: response.status_code == 429,
    )
    with library.Client(transport=transport) as client:
        client.get(URL)
    assert counted(registry) == expected


def test_an_ignored_status_hands_the_permit_of_a_probe_back(
    both: tuple[Any, Any], registry: BreakerRegistry
) -> None:
    library, ours = both
    transport = ours.BreakerTransport(
        answering(library, 429), registry=registry, config=BreakerConfig(profile="http")
    )
    with library.Client(transport=transport) as client:
        client.get(URL)
        (breaker,) = registry
        breaker.half_open()
        client.get(URL)
        client.get(URL)
    assert (breaker.state, breaker.ignored) == ("half_open", 3)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ConnectError", (0, 1, 0)),
        ("ReadTimeout", (0, 1, 0)),
        ("DecodingError", (0, 1, 0)),
        ("PoolTimeout", (0, 0, 1)),
        ("LocalProtocolError", (0, 0, 1)),
        ("TooManyRedirects", (1, 0, 0)),
    ],
)
def test_the_profile_judges_the_errors_of_the_client(
    name: str,
    expected: tuple[int, int, int],
    both: tuple[Any, Any],
    registry: BreakerRegistry,
) -> None:
    library, ours = both
    error = getattr(library, name)("no")
    transport = ours.BreakerTransport(
        raising(library, error), registry=registry, config=BreakerConfig(profile="http")
    )
    with library.Client(transport=transport) as client, pytest.raises(type(error)):
        client.get(URL)
    assert counted(registry) == expected


def test_an_error_outside_of_the_profile_is_judged_as_without_it(
    both: tuple[Any, Any], registry: BreakerRegistry
) -> None:
    library, ours = both
    transport = ours.BreakerTransport(
        raising(library, KeyError()), registry=registry, config=BreakerConfig(profile="http")
    )
    with library.Client(transport=transport) as client, pytest.raises(KeyError):
        client.get(URL)
    assert counted(registry) == (0, 0, 1)
