"""Faults of the example's payment service, and latencies in the table of the demo."""

from __future__ import annotations

import socket
from typing import Any

import httpx
import pytest

from example_app import payments as payment_service
from example_app.demo.load import Call
from example_app.demo.report import percentile
from example_app.processes import child


@pytest.fixture
async def payments() -> Any:
    transport = httpx.ASGITransport(app=payment_service.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://payments") as client:
        yield client
        await client.post("/_faults", json={})


@pytest.mark.parametrize(
    "faults",
    [
        {"error_rate": 1.1},
        {"error_rate": -0.1},
        {"latency_s": -1},
        {"latency_s": 61},
        {"error_rate": "often"},
        {"eror_rate": 0.5},
    ],
)
async def test_an_invalid_fault_is_refused(
    faults: dict[str, Any], payments: httpx.AsyncClient
) -> None:
    assert (await payments.post("/_faults", json=faults)).status_code == 422
    assert (await payments.get("/_faults")).json() == {"error_rate": 0, "latency_s": 0}


async def test_a_fault_that_is_left_out_is_healed(payments: httpx.AsyncClient) -> None:
    await payments.post("/_faults", json={"error_rate": 1, "latency_s": 0.01})
    assert (await payments.post("/charge", json={"amount": 4})).status_code == 503
    await payments.post("/_faults", json={"latency_s": 0.01})
    assert (await payments.post("/charge", json={"amount": 4})).status_code == 200


def test_on_windows_the_example_names_wsl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "win32")
    with socket.socket() as listener, pytest.raises(SystemExit, match="WSL"):
        child("example_app.shop:app", listener).__enter__()


@pytest.mark.parametrize(
    ("latency", "text"), [(9.96, "10.0"), (99.94, "99.9"), (99.95, "100"), (1004.4, "1004")]
)
def test_a_latency_takes_four_characters_of_the_table_at_most(latency: float, text: str) -> None:
    assert percentile([Call("slow", 0, latency, 200)], 0.5) == text
