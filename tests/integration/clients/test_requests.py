"""Particulars of the adapter of requests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
from urllib3.util import Retry

from breaker_asgi import BreakerRegistry, CircuitBreaker
from breaker_asgi.clients.requests import BreakerAdapter


@pytest.fixture
def session(registry: BreakerRegistry) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        session.mount("http://", BreakerAdapter(registry=registry))
        yield session


def only(registry: BreakerRegistry) -> CircuitBreaker:
    (breaker,) = registry
    return breaker


def test_a_body_that_is_read_raw_is_watched_too(
    session: requests.Session, dependency: str, registry: BreakerRegistry
) -> None:
    with session.get(f"{dependency}/large", stream=True) as response:
        assert response.raw.read(1_000_000)
        assert only(registry).successes == 0
        while response.raw.read(1_000_000):
            pass
        assert only(registry).successes == 1


def test_a_raw_body_that_breaks_is_a_failure(
    session: requests.Session, dependency: str, registry: BreakerRegistry
) -> None:
    response = session.get(f"{dependency}/cut-short", stream=True)
    with response, pytest.raises(Exception, match="IncompleteRead"):
        response.raw.read()
    assert (only(registry).successes, only(registry).failures) == (0, 1)


def test_a_stream_closed_in_the_middle_is_a_success(
    session: requests.Session, dependency: str, registry: BreakerRegistry
) -> None:
    with session.get(f"{dependency}/large", stream=True) as response:
        next(response.iter_content(10))
    assert only(registry).successes == 1


def test_the_adapters_own_retries_are_part_of_one_call(
    dependency: str, registry: BreakerRegistry
) -> None:
    retry = Retry(total=5, status_forcelist=[500], backoff_factor=0)
    with requests.Session() as session:
        session.trust_env = False
        session.mount("http://", BreakerAdapter(registry=registry, max_retries=retry))
        assert session.get(f"{dependency}/burst?n=2").status_code == 200
    assert (only(registry).successes, only(registry).failures) == (1, 0)
