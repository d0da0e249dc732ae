"""The adapter of requests, without a server."""

from __future__ import annotations

import pytest
import requests

from breaker_asgi import BreakerRegistry
from breaker_asgi.clients.requests import BreakerAdapter


def test_an_impossible_address_is_ignored(registry: BreakerRegistry) -> None:
    request = requests.Request("GET", "http://bank.example").prepare()
    request.url = "http://:80"
    with pytest.raises(requests.exceptions.InvalidURL):
        BreakerAdapter(registry=registry).send(request)
    (breaker,) = registry
    assert breaker.ignored == 1
