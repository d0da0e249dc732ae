"""The example, as the real processes of `make run` and `make demo`."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).parent.parent.parent
DEADLINE = 120.0


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait until `condition` is true, and return its result."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        if result := condition():
            return result
        time.sleep(0.02)
    return pytest.fail(f"waited {DEADLINE} s: {what}")


@contextmanager
def started(*command: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Start a process. Its servers inherit its pipes: `communicate` waits for the last one."""
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env=os.environ | {"SHOP_OPEN_SECONDS": "1", "CHAT_OPEN_SECONDS": "1"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=DEADLINE)


class Example:
    """A running shop with its payment service."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout
        addresses = re.findall(r"http://\S+?:\d+", process.stdout.readline())
        assert len(addresses) == 2, process.communicate()
        self.addresses: list[str] = addresses
        self.shop, self.payments = (
            httpx.Client(base_url=address, timeout=DEADLINE, trust_env=False)
            for address in addresses
        )

    def faults(self, **faults: float) -> None:
        self.payments.post("/_faults", json=faults).raise_for_status()

    def checkout(self) -> int:
        return self.shop.post("/checkout").status_code

    def breaker(self) -> dict[str, Any]:
        breakers = self.shop.get("/breakers").json()["breakers"]
        payments: dict[str, Any] = next(
            breaker for breaker in breakers if breaker["name"] == "payments"
        )
        return payments

    def heal(self) -> None:
        self.faults()
        until(lambda: self.checkout() == 200 and self.breaker()["state"] == "closed", "closed")

    def reached(self) -> int:
        calls: int = self.payments.get("/_stats").json()["calls"]
        return calls

    def is_gone(self) -> bool:
        """Return True if no process listens at either port."""
        return all(is_free(address) for address in self.addresses)


def is_free(address: str) -> bool:
    host, port = address.removeprefix("http://").split(":")
    with socket.socket() as attempt:
        return attempt.connect_ex((host, int(port))) != 0


@contextmanager
def example_app() -> Iterator[Example]:
    with started("example_app", "--port", "0", "--payments-port", "0") as process:
        example = Example(process)
        with example.shop, example.payments:
            yield example


@pytest.fixture
def example() -> Iterator[Example]:
    with example_app() as example:
        yield example


@pytest.fixture(scope="module")
def shared() -> Iterator[Example]:
    with example_app() as example:
        yield example


@pytest.fixture
def healthy(shared: Example) -> Example:
    shared.heal()
    return shared


def test_a_printed_command_opens_a_breaker_by_hand(example: Example) -> None:
    assert example.process.stdout
    line = next(line for line in example.process.stdout if " force-open " in line)
    assert example.breaker()["state"] == "closed"
    done = subprocess.run(
        line.split(), cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE, check=True
    )
    assert done.stdout == "payments: closed -> forced open\n"
    assert example.breaker()["state"] == "forced_open"


def test_a_failing_payment_service_opens_the_breaker_and_a_healed_one_closes_it(
    healthy: Example,
) -> None:
    healthy.faults(error_rate=1)
    reached = healthy.reached()
    assert [healthy.checkout() for _ in range(5)] == [502] * 5

    rejected = healthy.shop.post("/checkout")
    assert rejected.status_code == 503
    assert rejected.headers["content-type"] == "application/problem+json"
    assert rejected.headers["retry-after"] in {"1", "2"}
    assert rejected.json()["status"] == 503
    assert healthy.breaker()["state"] == "open"
    assert healthy.breaker()["reason"] == "5 failures in a row: status 503"
    assert healthy.reached() == reached + 5
    assert healthy.shop.get("/products").status_code == 200
    assert healthy.shop.post("/refunds").status_code == 503

    healthy.heal()
    assert healthy.shop.post("/refunds").json() == {"refunded": 4}
    changes = [(entry["from"], entry["to"]) for entry in healthy.shop.get("/diary").json()]
    assert changes[-3:] == [("closed", "open"), ("open", "half_open"), ("half_open", "closed")]


def test_a_declined_card_is_a_success_of_the_payment_service(healthy: Example) -> None:
    before = healthy.breaker()["successes"]
    statuses = [healthy.shop.post("/checkout?product=samovar").status_code for _ in range(8)]
    assert statuses == [402] * 8
    assert healthy.breaker()["state"] == "closed"
    assert healthy.breaker()["successes"] == before + 8


def test_a_failing_refund_opens_the_breaker_for_checkouts(healthy: Example) -> None:
    healthy.faults(error_rate=1)
    assert [healthy.shop.post("/refunds").status_code for _ in range(6)] == [502] * 5 + [503]
    assert healthy.checkout() == 503


def test_a_slow_payment_service_opens_the_breaker(example: Example) -> None:
    example.faults(latency_s=0.6)
    with ThreadPoolExecutor(10) as callers:
        statuses = list(callers.map(lambda _: example.checkout(), range(10)))
    assert statuses == [200] * 10
    assert example.checkout() == 503
    assert "slow-call rate" in example.breaker()["reason"]


def test_in_multiprocess_mode_the_metrics_are_those_of_all_workers(tmp_path: Path) -> None:
    script = """
from breaker_asgi.telemetry.durations import clockwork
from example_app.shop import metrics
clockwork.tick()
print(metrics().body.decode())
"""
    ran = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert 'circuitbreaker_state{name="payments",state="closed"} 1.0' in ran.stdout
    assert "python_info" not in ran.stdout  # a metric of one process


def test_the_metrics_have_the_breakers(healthy: Example) -> None:
    response = healthy.shop.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    assert 'circuitbreaker_state{name="payments",state="closed"} 1.0' in response.text


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_the_example_shuts_down_cleanly_during_a_slow_payment(
    end: signal.Signals, example: Example
) -> None:
    example.faults(latency_s=60)
    with ThreadPoolExecutor(1) as caller:
        waiting = caller.submit(example.checkout)
        until(lambda: example.reached() == 1, "a payment is under way")
        example.process.send_signal(end)
        _, errors = example.process.communicate(timeout=DEADLINE)
        assert waiting.result() == 504
    assert (example.process.returncode, errors) == (0, "")
    assert example.is_gone()


def test_the_payment_service_ends_when_the_example_is_killed(example: Example) -> None:
    example.process.kill()
    example.process.communicate(timeout=DEADLINE)
    assert example.is_gone()


@pytest.mark.parametrize("option", ["--port", "--payments-port"])
def test_a_port_in_use_is_an_error_that_names_it_and_leaves_no_process(option: str) -> None:
    ports = {"--port": "0", "--payments-port": "0"}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports[option] = str(taken.getsockname()[1])
        with started("example_app", *(word for pair in ports.items() for word in pair)) as process:
            output, errors = process.communicate(timeout=DEADLINE)
    assert process.returncode == 1
    assert output == ""
    assert errors == (
        f"Port {ports[option]} can't be used: address already in use.\n"
        f"Choose another one with {option} NUMBER, or {option} 0 for any that is free.\n"
    )


def test_the_demo_plays_all_phases() -> None:
    with started("example_app.demo", "--fast", COLUMNS="60") as process:
        output, errors = process.communicate(timeout=300)
    assert (process.returncode, errors) == (0, "")
    phases = re.findall(r"^ +(\w+) +with +(\d+) +(\d+) +(\d+) .* (\d+) *$", output, re.MULTILINE)
    reached = {name: int(calls) for name, *_, calls in phases}
    assert [*reached] == ["healthy", "failing", "slow", "recovering", "recovered"]
    without = re.findall(r"^ +without .* (\d+) *$", output, re.MULTILINE)
    assert reached["slow"] < int(without[2]) / 4
    story = re.findall(r"payments: (\S+) -> (\S+) ", output)
    assert story[0] == ("closed", "open")
    assert story[-1] == ("half-open", "closed")


@pytest.mark.parametrize("lines", [1, 2], ids=["while it starts", "while it plays"])
def test_the_demo_can_be_interrupted(lines: int) -> None:
    with started("example_app.demo", "--fast") as process:
        assert process.stdout
        for _ in range(lines):
            process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=DEADLINE)
    assert (process.returncode, errors) == (130, "")
