"""`status` and the controls: their output and exit codes."""

from __future__ import annotations

import json
import os
import socket
from typing import Any

import pytest

from breaker_asgi.cli.http import KeepAliveConnection
from tests.cli.conftest import Run
from tests.cli.listings import NOW, breaker, listing
from tests.integration.cli.stub import BECOMES, Answer, Monitor, problem


def test_an_action_prints_the_old_and_the_new_state(monitor: Monitor, run: Run) -> None:
    result = run("force-open", monitor.url, "payments")
    assert (result.code, result.out) == (0, "payments: closed -> forced open\n")
    assert monitor.breakers["payments"]["state"] == "forced_open"


@pytest.mark.parametrize("action", BECOMES)
def test_every_action_is_posted_by_its_name(monitor: Monitor, run: Run, action: str) -> None:
    assert run(action, monitor.url, "refunds").code == 0
    assert monitor.requests[-1] == f"POST /breakers/refunds/{action}"
    assert monitor.breakers["refunds"]["state"] == BECOMES[action]


def test_status_and_action_use_one_connection_and_so_one_worker(monitor: Monitor, run: Run) -> None:
    run("open", monitor.url, "payments")
    assert len(monitor.connections) == 1


def test_a_name_is_quoted(monitor: Monitor, run: Run) -> None:
    result = run("disable", monitor.url, "a/b c?d#e%f")
    assert (result.code, result.out) == (0, "a/b c?d#e%f: closed -> disabled\n")
    assert monitor.requests[-1] == "POST /breakers/a%2Fb%20c%3Fd%23e%25f/disable"


@pytest.mark.parametrize("name", ["events", "stream", "[x]*?", "ä/ö", "..", "\n"])
def test_special_characters_in_a_name_are_escaped(run: Run, name: str) -> None:
    with Monitor(breaker(name, "open"), breaker("x")) as monitor:
        assert run("status", monitor.url, name).code == 1
        assert run("close", monitor.url, name).code == 0
        assert monitor.breakers[name]["state"] == "closed"


def test_a_name_that_is_too_long_for_a_pattern_is_found_in_the_whole_list(run: Run) -> None:
    with Monitor(breaker("[" * 400), breaker("x")) as monitor:
        assert run("status", monitor.url, "[" * 400).code == 0
        assert monitor.requests == ["GET /breakers"]


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("closed", 0),
        ("half_open", 0),
        ("closing", 0),
        ("disabled", 0),
        ("metrics_only", 0),
        ("open", 1),
        ("forced_open", 1),
    ],
)
def test_status_is_0_where_calls_are_admitted_and_1_where_not(
    run: Run, state: str, code: int
) -> None:
    with Monitor(breaker("payments", state)) as monitor:
        assert run("status", monitor.url, "payments").code == code


def test_status_prints_the_state_the_reason_and_the_next_probe(monitor: Monitor, run: Run) -> None:
    result = run("status", monitor.url, "refunds")
    assert result.out == "refunds: open (5 failures in a row), next probe in 12 s\n"


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_address_may_end_in_a_slash(monitor: Monitor, run: Run, slash: str) -> None:
    assert run("open", monitor.url + slash, "payments").code == 0


def test_a_redirect_on_the_same_host_is_followed(monitor: Monitor, run: Run) -> None:
    monitor.redirects = {"/there": monitor.url + "?name=payments"}
    assert run("status", f"{monitor.origin}/there", "payments").code == 0


def test_a_redirect_to_another_origin_is_reported_and_gets_no_header(
    monitor: Monitor, run: Run
) -> None:
    monitor.redirects = {"/breakers": "https://elsewhere.example/breakers"}
    result = run("status", monitor.url, "payments", "--header", "Authorization: x")
    assert result.code == 3
    assert "it is at https://elsewhere.example/breakers" in result.err


def test_a_header_is_sent_with_each_request(monitor: Monitor, run: Run) -> None:
    monitor.token = "Bearer x"
    result = run("open", monitor.url, "payments", "--header", "Authorization: Bearer x")
    assert result.code == 0


def test_a_denied_request_is_reported(monitor: Monitor, run: Run) -> None:
    monitor.token = "Bearer x"
    result = run("status", monitor.url, "payments")
    assert result.code == 4
    assert "403 (Say who you are.)" in result.err
    assert "--header" in result.err


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_action_reports_that_controls_are_off_by_default(
    monitor: Monitor, run: Run, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = problem(status, "Forbidden", "Controls are off.")
    monkeypatch.setattr(monitor, "_change", lambda *_: refusal)
    result = run("open", monitor.url, "payments")
    assert (result.code, result.out) == (4, "")
    assert "authorize_control" in result.err


def test_a_control_that_reached_another_worker_is_reported(
    monitor: Monitor, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = {"pid": 1, "started_at": NOW}
    monitor.breakers["payments"] |= {"state": "forced_open", "worker": worker}
    changed = Answer(body=json.dumps(monitor.breakers["payments"]).encode())
    monitor.breakers["payments"] = breaker("payments")
    monkeypatch.setattr(monitor, "_change", lambda *_: changed)
    result = run("force-open", monitor.url, "payments")
    pid = os.getpid()
    assert result.out == f"payments: forced open in worker 1; worker {pid} has it closed\n"


def test_a_control_that_reached_another_worker_holds_for_all_that_share_a_store(
    monitor: Monitor, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = {"pid": 1, "started_at": NOW}
    after = breaker("payments", "forced_open") | {"worker": worker}
    monitor.breakers["payments"] = breaker("payments")
    store = {"label": "redis", "works": True, "worker": "w", "problem": None, "workers": 2}
    listed = Answer(body=json.dumps(listing(breaker("payments"), store=store)).encode())
    monkeypatch.setattr(monitor, "_list", lambda *_: listed)
    monkeypatch.setattr(monitor, "_change", lambda *_: Answer(body=json.dumps(after).encode()))
    result = run("force-open", monitor.url, "payments")
    assert result.out == "payments: closed -> forced open\n"


@pytest.mark.parametrize("pid", [os.getpid(), 1], ids=["own", "other"])
def test_a_control_reports_a_store_that_does_not_work(
    monitor: Monitor, run: Run, monkeypatch: pytest.MonkeyPatch, pid: int
) -> None:
    after = breaker("payments") | {"worker": {"pid": pid, "started_at": NOW}}
    store = {"label": "redis", "works": False, "worker": "w", "problem": "no\x1b", "workers": None}
    before = listing(breaker("payments", "forced_open"), store=store)
    listed = Answer(body=json.dumps(before).encode())
    monkeypatch.setattr(monitor, "_list", lambda *_: listed)
    monkeypatch.setattr(monitor, "_change", lambda *_: Answer(body=json.dumps(after).encode()))
    result = run("reset", monitor.url, "payments")
    only = f"closed in worker {pid} only: the store does not work"
    assert (result.code, result.out) == (0, f"payments: {only}\n")
    assert result.err == (
        f"breaker-asgi: payments is {only} (no\\x1b)\n"
        "The others follow once it works, if this worker is alive then.\n"
    )


def test_a_control_sends_reason_and_duration(monitor: Monitor, run: Run) -> None:
    why = "the bank's maintenance & more"
    assert run("force-open", monitor.url, "payments", "--why", why, "--for", "600").code == 0
    assert run("open", monitor.url, "payments", "--for", "2.5e3").code == 0
    assert run("close", monitor.url, "payments", "--why", "K\xe4se\udcff").code == 0
    assert run("reset", monitor.url, "payments").code == 0
    assert monitor.forms == [
        "why=the+bank%27s+maintenance+%26+more&for=600",
        "for=2500",
        "why=K%C3%A4se%3F",
        "",
    ]


def test_a_control_that_the_monitor_refuses_prints_the_reason(
    monitor: Monitor, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = problem(400, "Bad Request", "for='1e9' is not allowed: give less.")
    monkeypatch.setattr(monitor, "_change", lambda *_: refusal)
    result = run("disable", monitor.url, "payments", "--for", "1e9")
    assert (result.code, result.out) == (2, "")
    assert "400 (for='1e9' is not allowed: give less.)" in result.err
    assert result.err.endswith("The monitor has changed nothing.\n")


def test_status_prints_when_a_forced_open_breaker_closes(run: Run) -> None:
    with Monitor(breaker("payments", "forced_open", retry_after=600.0)) as monitor:
        assert run("status", monitor.url, "payments").out.endswith(", closes in 10:00\n")


def test_status_prints_the_share_that_a_closing_breaker_admits(run: Run) -> None:
    with Monitor(breaker("payments", "closing", admitted_share=0.4)) as monitor:
        result = run("status", monitor.url, "payments")
    assert result.out == "payments: closing (new), 40% admitted\n"


def test_status_prints_calls_that_hang(run: Run) -> None:
    with Monitor(breaker("payments", calls_under_way=1_200, slow_calls_under_way=3)) as monitor:
        result = run("status", monitor.url, "payments")
    assert result.out == "payments: closed (new), 1,200 calls under way, 3 of them slow\n"


def test_an_unknown_name_gets_a_suggestion(monitor: Monitor, run: Run) -> None:
    result = run("open", monitor.url, "paymets")
    assert (result.code, result.out) == (5, "")
    assert result.err == (
        f"breaker-asgi: the monitor at {monitor.url} has no breaker paymets\n"
        "Did you mean payments?\n"
    )


def test_an_unknown_name_is_reported_where_there_are_no_breakers(run: Run) -> None:
    with Monitor() as monitor:
        result = run("status", monitor.url, "x")
    assert result.code == 5
    assert result.err.endswith("It has none yet.\n")


def test_a_breaker_that_is_dropped_before_the_action_is_unknown(
    monitor: Monitor, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drop(name: str, action: str) -> Answer:
        del monitor.breakers[name]
        return problem(404, "Not Found", "There is no such breaker.")

    monkeypatch.setattr(monitor, "_change", drop)
    assert run("open", monitor.url, "payments").code == 5


def test_an_unreachable_monitor_is_reported(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    result = run("status", f"http://127.0.0.1:{port}/breakers", "x")
    assert result.code == 3
    tried, remedy = result.err.splitlines()
    assert tried.startswith(f"breaker-asgi: GET http://127.0.0.1:{port}/breakers?name=x: ")
    assert "refused" in tried
    assert "Is the application running" in remedy


def test_a_silent_server_times_out(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KeepAliveConnection.__init__, "__defaults__", (0.05,))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        result = run("status", f"http://127.0.0.1:{silent.getsockname()[1]}", "x")
    assert result.code == 3
    assert "no answer within 0.05 s" in result.err


NONSENSE: dict[str, Any] = {
    "a page": b"<html>",
    "nothing": b"",
    "a list": b"[]",
    "no version": b'{"breakers": []}',
    "another version": b'{"version": 2, "breakers": []}',
    "no breakers": b'{"version": 1}',
    "a number": b'{"version": 1, "breakers": [7]}',
    "an unknown state": json.dumps(listing(breaker("x", "ajar"))).encode(),
    "a deep one": b"[" * 100_000,
    "no text": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("body", NONSENSE.values(), ids=NONSENSE)
def test_an_answer_that_is_not_a_monitors_is_reported(
    monitor: Monitor, run: Run, body: bytes
) -> None:
    monitor.answer = Answer(body=body)
    result = run("status", monitor.url, "x")
    assert result.code == 3
    tried, remedy = result.err.splitlines()
    assert "not a monitor's answer (version 1), but " in tried
    assert "http://localhost:8000/breakers" in remedy


@pytest.mark.parametrize("status", [404, 405, 500, 503])
def test_any_other_status_is_reported(monitor: Monitor, run: Run, status: int) -> None:
    monitor.answer = Answer(status, b"oh")
    result = run("status", monitor.url, "x")
    assert result.code == 3
    assert f"{monitor.url}?name=x: {status}\n" in result.err


def test_endless_pages_are_reported(monitor: Monitor, run: Run) -> None:
    monitor.answer = Answer(body=json.dumps(listing(after="x")).encode())
    result = run("status", monitor.url, "y")
    assert result.code == 3
    assert "do not end" in result.err


def test_control_characters_are_escaped(run: Run) -> None:
    name, reason = "\x1b[2J\x9b\u202eevil", "\x1b]0;title\x07\n[red]x[/red]"
    with Monitor(breaker(name, "open", reason=reason, retry_after=None)) as monitor:
        result = run("status", monitor.url, name)
    assert result.out == ("\\x1b[2J\\x9b\\u202eevil: open (\\x1b]0;title\\x07\\n[red]x[/red])\n")


def test_a_name_that_is_not_valid_unicode_is_unknown(monitor: Monitor, run: Run) -> None:
    result = run("open", monitor.url, "pay\udcff")
    assert result.code == 5
    assert "has no breaker pay\\udcff\n" in result.err


def test_the_detail_of_a_refusal_is_escaped(monitor: Monitor, run: Run) -> None:
    monitor.answer = problem(403, "Forbidden", "\x1b[2J")
    assert "403 (\\x1b[2J)" in run("status", monitor.url, "x").err


class TestProxies:
    """Proxies of the environment are used, and never for this machine."""

    @pytest.fixture(autouse=True)
    def proxy(self, monitor: Monitor, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY", "HTTP_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("http_proxy", monitor.origin.replace("//", "//me:secret@"))

    def test_a_remote_monitor_is_requested_through_the_proxy(
        self, monitor: Monitor, run: Run
    ) -> None:
        assert run("status", "http://far.example/breakers", "payments").code == 0
        assert monitor.requests == ["GET http://far.example/breakers?name=payments"]

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "a.localhost"])
    def test_a_monitor_on_this_machine_is_requested_directly(
        self, monitor: Monitor, run: Run, host: str
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        assert run("status", f"http://{host}:{port}/breakers", "payments").code == 3
        assert monitor.requests == []

    def test_no_proxy_is_heeded(
        self, monitor: Monitor, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("no_proxy", "far.invalid")
        assert run("status", "http://far.invalid/breakers", "payments").code == 3
        assert monitor.requests == []

    def test_a_proxy_of_another_kind_is_refused(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", "socks5://localhost:1080")
        result = run("status", "http://far.example/breakers", "x")
        assert result.code == 2
        assert "NO_PROXY=far.example" in result.err
