"""Breakers that share a name, as the command line finds them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from breaker_asgi.cli import schema
from breaker_asgi.cli.client import Client
from tests.cli.conftest import Run
from tests.cli.listings import breaker, listing

URL = "http://localhost:8000/breakers"


def lists(monkeypatch: pytest.MonkeyPatch, *breakers: dict[str, Any]) -> None:
    """Have the monitor list these breakers at every request."""

    def answer(
        _self: Client, _states: Sequence[str] = (), **_name: str | None
    ) -> schema.BreakerList:
        return schema.listing(json.dumps(listing(*breakers)).encode(), 0.0)

    monkeypatch.setattr(Client, "listing", answer)


@pytest.mark.parametrize("states", [("closed", "open"), ("open", "closed")])
def test_the_worst_of_a_name_decides_the_status(
    run: Run, monkeypatch: pytest.MonkeyPatch, states: tuple[str, str]
) -> None:
    lists(monkeypatch, breaker("bank", states[0]), breaker("bank (2)", states[1]))
    result = run("status", URL, "bank")
    assert (result.code, result.out) == (1, "bank: open (new), next call is a probe\n")


def test_a_breaker_of_another_name_does_not_decide_the_status(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists(monkeypatch, breaker("bank"), breaker("bank of shops", "open"))
    assert run("status", URL, "bank").code == 0


def test_a_numbered_namesake_has_a_status_of_its_own(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists(monkeypatch, breaker("bank (2)"))
    assert run("status", URL, "bank (2)").code == 0
