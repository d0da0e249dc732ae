"""A real Prometheus scrapes the example service, answers the dashboard and runs the rules."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.integration.test_example_app import DEADLINE, Example, example_app, until
from tests.operations.queries import ALERTS, EXPORTED, FOLDER, OF_DASHBOARD, Query

TRIPS = 'circuitbreaker_transitions_total{name="payments", from_state="closed", to_state="open"}'
MINUTES = "[5m:15s]"
LISTENS = re.compile(r'msg="Listening on" .*?address=(\S+)')


class Prometheus:
    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def ask(self, path: str, **parameters: str) -> Any:
        answer = self._client.get(f"/api/v1/{path}", params=parameters).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, promql: str) -> list[dict[str, Any]]:
        series: list[dict[str, Any]] = self.ask("query", query=promql)["result"]
        return series

    def wait_for(self, promql: str) -> list[dict[str, Any]]:
        """Wait for a result of a query."""
        series: list[dict[str, Any]] = until(lambda: self.query(promql), promql)
        return series

    def wait_for_any(self, promql: str) -> list[dict[str, Any]]:
        """Wait for a result of a query at any time: a rate is unknown after few calls."""
        return self.wait_for(f"last_over_time(({promql})[5m:1s])")


@contextmanager
def prometheus_at(program: str, target: str, folder: Path) -> Iterator[Prometheus]:
    """Run a Prometheus that scrapes `target` twice a second.

    The minutes of the rules are seconds here.
    """
    rules = (FOLDER / "alerts.yml").read_text()
    assert MINUTES in rules
    (folder / "alerts.yml").write_text(rules.replace(MINUTES, "[5s:1s]"))
    config = {
        "global": {"scrape_interval": "500ms", "evaluation_interval": "500ms"},
        "rule_files": ["alerts.yml"],
        "scrape_configs": [{"job_name": "shop", "static_configs": [{"targets": [target]}]}],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    log = folder / "log"
    options = ["--config.file=prometheus.yml", "--storage.tsdb.path=data"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, *options, "--web.listen-address=127.0.0.1:0"],
            cwd=folder,
            env=os.environ | {"GOMAXPROCS": "1"},
            stderr=output,
        )
    try:
        address = until(lambda: LISTENS.search(log.read_text()), log.read_text())[1]
        with httpx.Client(
            base_url=f"http://{address}", timeout=DEADLINE, trust_env=False
        ) as client:
            until(lambda: client.get("/-/ready").status_code == 200, "ready")
            yield Prometheus(client)
    finally:
        process.terminate()
        process.wait(timeout=DEADLINE)


@contextmanager
def callers(example: Example) -> Iterator[None]:
    """Keep three customers buying: one call or another is always under way."""
    over = threading.Event()

    def buy() -> None:
        while not over.wait(0.05):
            example.shop.post("/checkout")

    threads = [threading.Thread(target=buy) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(timeout=DEADLINE)


def play_outages(example: Example, prometheus: Prometheus) -> None:
    """Play healthy and slow calls, an outage that ends, and one that does not."""
    prometheus.wait_for('circuitbreaker_calls_total{outcome="success", name="payments"} > 20')
    example.faults(latency_s=0.73)  # not in step with the scrapes
    prometheus.wait_for('circuitbreaker_slow_calls_total{name="payments"} > 1')
    prometheus.wait_for("max_over_time(circuitbreaker_slow_calls_under_way[5m]) > 0")
    example.faults()
    prometheus.wait_for("circuitbreaker_slow_call_rate > 0")
    for outage in ("first", "second"):
        example.faults(error_rate=1)
        prometheus.wait_for('circuitbreaker_state{name="payments", state="open"} == 1')
        prometheus.wait_for('circuitbreaker_probes_total{outcome="failure"} > 0')
        if outage == "first":
            prometheus.wait_for(f"increase({TRIPS}[5m]) > 0")  # the first trip counts, too
            example.faults()
            prometheus.wait_for('circuitbreaker_state{name="payments", state="closed"} == 1')


@pytest.fixture(scope="module")
def prometheus(
    prometheus_program: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """A Prometheus that has scraped a shop whose payments fail now."""
    folder = tmp_path_factory.mktemp("prometheus")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BREAKER_ASGI_STORE", f"sqlite:///{folder}/breakers.db")
        with example_app() as example:
            target = example.addresses[0].removeprefix("http://")
            with prometheus_at(prometheus_program, target, folder) as running, callers(example):
                play_outages(example, running)
                yield running


def test_prometheus_reads_the_metrics_of_the_service(prometheus: Prometheus) -> None:
    [target] = prometheus.ask("targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")


@pytest.mark.parametrize(("metric", "labels"), EXPORTED.items(), ids=[*EXPORTED])
def test_prometheus_has_every_metric_with_its_labels(
    metric: str, labels: set[str], prometheus: Prometheus
) -> None:
    for series in prometheus.wait_for_any(metric):
        assert series["metric"].keys() == labels | {"__name__", "job", "instance"}


@pytest.mark.parametrize("query", OF_DASHBOARD, ids=lambda query: query.where)
def test_prometheus_answers_every_query_of_the_dashboard(
    query: Query, prometheus: Prometheus
) -> None:
    legend = {*re.findall(r"\{\{(\w+)\}\}", query.legend)}
    for series in prometheus.wait_for_any(query.promql):
        assert legend <= series["metric"].keys()


def test_the_states_panel_shows_the_worst_state_of_all_workers(prometheus: Prometheus) -> None:
    [states] = [query for query in OF_DASHBOARD if query.where == "States"]
    opened = f'({states.promql}) == 5 and on (name) circuitbreaker_state{{state="open"}} == 1'
    [series] = prometheus.wait_for(opened)
    assert series["metric"] == {"job": "shop", "name": "payments"}


def test_prometheus_runs_every_rule(prometheus: Prometheus) -> None:
    def evaluated_rules() -> list[dict[str, Any]] | None:
        rules: list[dict[str, Any]] = prometheus.ask("rules")["groups"][0]["rules"]
        return None if any(rule["health"] == "unknown" for rule in rules) else rules

    rules = until(evaluated_rules, "every rule was evaluated")
    assert {rule["name"]: rule["health"] for rule in rules} == {
        alert["alert"]: "ok" for alert in ALERTS
    }


def test_an_open_breaker_is_a_pending_alert(prometheus: Prometheus) -> None:
    [alert] = prometheus.wait_for('ALERTS{alertname="CircuitBreakerOpenForLong"}')
    assert alert["metric"] == {
        "__name__": "ALERTS",
        "alertname": "CircuitBreakerOpenForLong",
        "alertstate": "pending",
        "severity": "warning",
        "job": "shop",
        "name": "payments",
    }


def test_no_metric_is_missing_of_a_service_that_runs(prometheus: Prometheus) -> None:
    assert prometheus.query('ALERTS{alertname="CircuitBreakerMetricsMissing"}') == []
