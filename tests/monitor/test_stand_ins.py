"""Breakers that only other workers have: they are listed, streamed, and changed by the store."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from breaker_asgi import CircuitBreakerError, Permit
from breaker_asgi._fleet.roster import PAUSE
from breaker_asgi._fleet.stand_ins import KEPT
from breaker_asgi.monitor import stand_ins
from breaker_asgi.monitor.history import History
from tests.asgi.visitor import Reply, visit
from tests.monitor.forms import post_form
from tests.monitor.host import Host, Worker
from tests.monitor.readers import Reader, look, settle, streaming
from tests.monitor.test_schema import check

ACTIONS = {
    "force-open": "forced_open",
    "open": "open",
    "half-open": "half_open",
    "disable": "disabled",
    "metrics-only": "metrics_only",
}


@pytest.fixture
async def host() -> Host:
    """Two workers, of which `b` alone has the breaker `mail`, and `a` shows it."""
    host = Host()
    host.b.registry.get("mail")
    History.of(host.a.registry).tick()
    host.turn()
    await host.a.workers()
    host.turn(PAUSE, times=3)
    return host


async def change(host: Host, path: str, form: bytes = b"") -> Reply:
    """Post to worker `a`, whose fleet takes its steps meanwhile."""
    request = asyncio.create_task(post_form(host.a.full, path, form))
    while not request.done():
        await asyncio.sleep(0)
        host.a.fleet.step()
    return request.result()


def probe_of(worker: Worker) -> Permit:
    """Have a worker fetch a probe from the store."""
    worker.fleet.step()
    with pytest.raises(CircuitBreakerError):
        worker.registry["mail"].acquire()
    worker.fleet.step()
    return worker.registry["mail"].acquire()


async def listed(worker: Worker, name: str = "mail") -> Any:
    return check("detail", (await visit(worker.full, f"/{name}")).text)


# The list and the stream


async def test_a_breaker_of_another_worker_is_streamed(host: Host) -> None:
    reader = Reader()
    async with streaming(host.a.monitor, reader):
        await settle()
        before = reader.rows["mail"]
        assert before["state"] == "closed"
        host.b.fail("mail")
        host.turn(PAUSE, times=2)
        look(host.a.registry)
        await settle()
        row = reader.rows["mail"]
    assert (row["state"], row["reason"]) == ("open", "2 failures in a row")
    assert row["changed_at"] != before["changed_at"]


async def test_the_traffic_of_another_worker_is_shown(host: Host) -> None:
    host.b.registry.get("mail").acquire().success()
    host.turn(PAUSE, times=2)
    traffic = (await visit(host.a.monitor, "/-/traffic?name=mail")).json
    assert sum(second[1] for second in traffic["seconds"]) == 1


async def test_the_log_of_a_breaker_of_another_worker_is_empty(host: Host) -> None:
    assert (await visit(host.a.monitor, "/mail/log")).json["stories"] == []


# Changes


@pytest.mark.parametrize(("action", "state"), ACTIONS.items())
async def test_an_action_changes_the_breaker_in_the_workers_that_have_it(
    host: Host, action: str, state: str
) -> None:
    reply = await change(host, f"/mail/{action}")
    assert (reply.status, check("detail", reply.text)["state"]) == (200, state)
    host.b.fleet.step()
    assert host.b.registry["mail"].state == state
    assert "mail" not in host.a.registry


@pytest.mark.parametrize("action", ["close", "reset"])
async def test_an_action_closes_the_breaker_in_the_workers_that_have_it(
    host: Host, action: str
) -> None:
    host.b.fail("mail")
    host.turn()
    assert (await change(host, f"/mail/{action}")).json["state"] == "closed"
    host.b.fleet.step()
    assert host.b.registry["mail"].state == "closed"


async def test_the_author_and_the_reason_reach_the_others(host: Host) -> None:
    await change(host, "/mail/force-open", b"why=sale&for=600")
    host.b.fleet.step()
    made = host.b.registry["mail"]._generation.transition
    assert (made.who, made.reason, made.lasts) == ("ann", "forced open by hand: sale", 600)


async def test_the_log_has_the_change(host: Host) -> None:
    await change(host, "/mail/force-open")
    (event,) = (await visit(host.a.monitor, "/mail/events")).json["events"]
    assert (event["to"], event["who"]) == ("forced_open", "ann")


async def test_the_list_and_the_stream_have_the_change_at_once(host: Host) -> None:
    reader = Reader()
    async with streaming(host.a.monitor, reader):
        await settle()
        await change(host, "/mail/force-open")
        look(host.a.registry)
        await settle()
        row = reader.rows["mail"]
    for content in (row, await listed(host.a)):
        assert (content["state"], content["reason"]) == ("forced_open", "forced open by hand")
        assert content["states"] == {"forced_open": 1}
        assert content["outage"]["ended_at"] is None
    assert (await visit(host.a.monitor)).json["summary"]["forced_open"] == 1


async def test_later_changes_of_the_others_are_shown_too(host: Host) -> None:
    await change(host, "/mail/half-open")
    probe_of(host.b).failure()
    host.turn(times=2)
    assert (await listed(host.a))["state"] == "open"


async def test_a_pattern_changes_those_of_this_worker_and_of_others(host: Host) -> None:
    reply = await change(host, "/force-open", b"name=*")
    assert reply.json["changed"] == ["mail", "payments"]
    host.b.fleet.step()
    assert {breaker.state for breaker in host.b.registry} == {"forced_open"}


async def test_a_state_selects_those_of_others(host: Host) -> None:
    host.b.fail("mail")
    host.turn(PAUSE, times=2)
    assert (await change(host, "/reset", b"state=open")).json["changed"] == ["mail"]


async def test_the_settings_by_name_hold_for_the_open_time(host: Host) -> None:
    host.a.registry.configure(settings={"mail": {"timeout_duration": 7}})
    await change(host, "/mail/open")
    host.b.fleet.step()
    assert host.b.registry["mail"]._generation.transition.lasts == 7


async def test_a_method_that_is_not_allowed_is_told_which_are(host: Host) -> None:
    reply = await visit(host.a.full, "/mail/force-open", "PUT")
    assert (reply.status, reply.headers["allow"]) == (405, "GET, HEAD, POST")


# What it is not


async def test_a_stand_in_decides_nothing(host: Host) -> None:
    """The settings of `a` would open the breaker after two failures, those of `b` would not."""
    host.b.registry.configure(settings={"mail": {"fail_max": 100}})
    await change(host, "/mail/half-open")
    probe_of(host.b).success()
    host.turn(times=2)
    host.b.fail("mail", 20)
    host.turn(1, times=5)
    assert host.b.registry["mail"].state == "closed"


async def test_a_stand_in_is_published_by_no_worker(host: Host) -> None:
    await change(host, "/mail/force-open")
    host.turn(PAUSE, times=3)
    assert [row["worker"] for row in (await listed(host.b))["workers"]] == ["b"]


async def test_a_stand_in_is_forgotten_once_it_is_closed_for_a_while(host: Host) -> None:
    await change(host, "/mail/force-open")
    host.turn(KEPT + 1, times=2)
    assert host.a.fleet.stand_ins.get("mail")
    host.b.registry["mail"].reset()
    host.turn(times=2)
    host.turn(KEPT + 1)
    assert host.a.fleet.stand_ins.get("mail") is None


async def test_a_breaker_that_is_made_here_begins_as_the_stand_in_was(host: Host) -> None:
    await change(host, "/mail/force-open")
    assert host.a.registry.get("mail").state == "forced_open"
    host.turn()
    assert host.a.fleet.stand_ins.get("mail") is None


# A store that does not work


async def test_while_the_store_does_not_work_nothing_changes(host: Host) -> None:
    host.store.fails = True
    host.turn()
    reply = await change(host, "/mail/force-open")
    assert reply.status == 503
    assert reply.json["detail"] == (
        "Nothing has changed: 'mail' can be changed here by the store only, which does not work. "
        "Try again once it does, or send this to a worker that has it."
    )


async def test_while_the_store_does_not_work_a_pattern_changes_those_of_this_worker(
    host: Host,
) -> None:
    host.store.fails = True
    host.turn()
    assert (await change(host, "/force-open", b"name=*")).json["changed"] == ["payments"]


async def test_a_store_that_fails_meanwhile_changes_nothing(host: Host) -> None:
    host.store.fails = True
    reply = await change(host, "/force-open", b"name=*")
    assert (reply.status, host.a.registry["payments"].state) == (503, "closed")
    assert "the store has not answered for 'mail' within 2 s" in reply.json["detail"]


async def test_a_store_that_hangs_changes_nothing(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stand_ins, "PATIENCE", 0.01)
    reply = await post_form(host.a.full, "/mail/force-open", b"")
    assert reply.status == 503
    host.turn()
    assert host.b.registry["mail"].state == "closed"


async def test_a_change_that_the_store_does_not_confirm_is_reported(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    await change(host, "/mail/open")
    monkeypatch.setattr(stand_ins, "PATIENCE", 0.01)
    reply = await post_form(host.a.full, "/mail/force-open", b"")
    assert reply.status == 503
    assert reply.json["detail"] == (
        "The store has not confirmed within 0.01 s that 'mail' changed. Look at the list, and try "
        "again."
    )
