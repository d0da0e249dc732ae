"""The page as the server renders it, without a browser."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence

import pytest

from breaker_asgi import BreakerConfig, BreakerRegistry, CircuitBreakerError
from breaker_asgi._fleet.fleet import Fleet
from breaker_asgi._fleet.roster import Roster
from breaker_asgi.asgi.responses import Response
from breaker_asgi.monitor.controls import ACTIONS, ENDS
from breaker_asgi.monitor.event_log import EventLog
from breaker_asgi.monitor.history import History
from breaker_asgi.monitor.html.assets import static
from breaker_asgi.monitor.html.page import PAGE_HEADERS, page
from breaker_asgi.monitor.html.wording import Json, address, count, duration, percent, span
from breaker_asgi.monitor.listing import Listing
from breaker_asgi.monitor.log_listing import LogListing
from breaker_asgi.stores import MemoryStore, Store
from breaker_asgi.stores.protocol import Answer, Entry
from breaker_asgi.testing import FakeClock


class World:
    """Breakers, and their listing."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.registry = BreakerRegistry(BreakerConfig(clock=self.clock))
        self.event_log = EventLog.of(self.registry)
        self.content = Listing(self.registry, self.event_log, History.of(self.registry))
        self.log = LogListing(self.registry, self.event_log, History.of(self.registry))

    def listing(self) -> Json:
        return self.content.page(None, details=True, controls=True)

    def add(self, *names: str) -> None:
        for name in names:
            self.registry.get(name)

    def change(self, name: str, action: str, who: str | None = None) -> None:
        self.clock.advance(1)
        ACTIONS[action](self.registry[name], who=who)


@pytest.fixture
def world() -> World:
    return World()


def render(
    world: World, base: str = "/breakers", name: str | None = None, **query: list[str]
) -> str:
    listing = world.listing()
    if name is not None:
        listing["detail"] = world.content.detail(world.registry[name], details=True)
    return page(listing, world.log.latest(details=True), base, name, query).decode()


def shared(world: World, store: Store) -> Fleet:
    """Return a fleet of this world's breakers whose steps the test makes."""
    fleet = world.registry.fleet = Fleet(store, worker="w", clock=world.clock)
    fleet._roster = Roster(fleet)
    return fleet


def static_file(name: str, **query: list[str]) -> Response:
    response = static(name, query)
    assert response is not None
    return response


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", '"><img src=x>', "\udc80", "%s"])
def test_a_name_is_never_markup(world: World, name: str) -> None:
    world.add(name)
    world.change(name, "open", who=name)
    with pytest.raises(CircuitBreakerError):
        world.registry[name].acquire()
    html = render(world, name=name)
    assert "<script>alert" not in html
    assert "<img" not in html


def test_nothing_runs_inline_and_nothing_is_requested_elsewhere(world: World) -> None:
    world.add("payments")
    html = render(world, name="payments")
    assert re.findall(r"<script[^>]*>[^<]", html) == []
    assert re.findall(r"\s(?:style|on\w+)=", html) == []
    urls = set(re.findall(r"\s(?:src|href|action)=\"([^\"]+)", html))
    assert [url for url in urls if not url.startswith(("/breakers/", "#"))] == []


@pytest.mark.parametrize("base", ["//evil.example/x", "/evil.example/x/"])
def test_a_base_is_a_path_of_this_host(world: World, base: str) -> None:
    assert 'href="/evil.example/x/-/static/page.css"' in render(world, base)


def test_a_base_is_encoded_and_may_be_empty(world: World) -> None:
    assert 'data-base="/a%20b%22"' in render(world, '/a b"')
    assert 'data-base="/a%20b%22"' in render(world, "/a%20b%22")
    assert 'href="/-/static/page.css"' in render(world, "")


def test_broken_breakers_come_first_in_the_order_in_which_they_broke(world: World) -> None:
    world.add("a", "b", "c", "d", "e")
    for name, action in (("b", "half-open"), ("c", "open"), ("d", "open")):
        world.change(name, action)
    rows = render(world).partition('id="rows"')[2].partition("</table>")[0]
    assert re.findall(r'data-name="(\w)"', rows) == ["b", "c", "d", "a", "e"]


def test_the_link_to_the_next_page_keeps_the_query(world: World) -> None:
    listing = world.listing() | {"next": "a&b"}
    html = page(listing, [], "/breakers", None, {"state": ["open"], "limit": ["5"]}).decode()
    assert 'href="/breakers/?state=open&amp;limit=5&amp;after=a%26b"' in html


def test_a_change_in_another_worker_is_noted(world: World) -> None:
    pid = str(world.listing()["worker"]["pid"])
    assert "The change was made in worker 1." in render(world, by=["1"])
    assert "The change was made" not in render(world, by=[pid])
    assert "<script>x" not in render(world, by=["<script>x"])


def test_the_policy_allows_no_markup_and_no_other_origin() -> None:
    policy = dict(PAGE_HEADERS)[b"content-security-policy"].decode()
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "require-trusted-types-for 'script'" in policy


def test_static_files_are_revalidated_by_their_etag() -> None:
    headers = dict(static_file("page.js").headers)
    assert headers[b"content-type"] == b"text/javascript; charset=utf-8"
    assert headers[b"cache-control"] == b"private, no-cache"
    assert headers[b"etag"] != dict(static_file("page.css").headers)[b"etag"]


@pytest.mark.parametrize("name", ["", "page.py", "../page.py", "page.js/", "static"])
def test_nothing_else_is_served(name: str) -> None:
    assert static(name, {}) is None


def test_the_icon_is_that_of_the_state() -> None:
    assert (
        static_file("icon.svg", state=["open"]).body
        != static_file("icon.svg", state=["closed"]).body
    )
    assert static_file("icon.svg", state=["<x>"]).body == static_file("icon.svg").body


def test_names_are_encoded_as_the_script_does() -> None:
    assert address("/b", "a/b c?é!'()*~") == "/b/a%2Fb%20c%3F%C3%A9!'()*~"


def test_figures_are_short() -> None:
    assert [count(number) for number in (0, 1_234, 56_789, 7_800_000)] == [
        "0",
        "1,234",
        "57k",
        "7.8M",
    ]
    assert [percent(share) for share in (None, 0.0, 0.001, 0.525)] == [
        "\N{EN DASH}",
        "0%",
        "<1%",
        "53%",
    ]
    assert [duration(seconds) for seconds in (0.0001, 0.0421, 1.25)] == ["<1 ms", "42 ms", "1.2 s"]
    assert [span(seconds) for seconds in (-1, 59, 61, 7_500, 180_000)] == [
        "0 s",
        "59 s",
        "1 min",
        "2 h 5 min",
        "2 d 2 h",
    ]


def test_calls_under_way_are_shown_and_the_slow_ones_marked(world: World) -> None:
    search = world.registry.get("search", slow_call_rate=1, slow_call_duration=2)
    calls = [search.acquire() for _ in range(3)]
    world.clock.advance(3)
    calls += [search.acquire() for _ in range(9)]
    html = render(world, name="search")
    for call in calls:
        call.success()
    assert html.count('data-f="hanging">3 hang<') == 2, "in its row and in its details"
    assert 'data-f="under_way">12, 3 of them slow<' in html
    assert 'data-f="hanging"><' in render(world, name="search")


def test_calls_under_way_are_unknown_where_they_are_not_timed(world: World) -> None:
    world.add("search")
    assert 'data-f="under_way">\N{EN DASH}<' in render(world, name="search")


class MarkedStore(MemoryStore):
    label = "<script>alert(1)</script>"
    fails = False

    def sync(self, worker: str, number: int, cursor: int, batch: Sequence[Entry]) -> Answer:
        if self.fails:
            raise OSError(self.label)
        return super().sync(worker, number, cursor, batch)


def test_texts_of_a_store_and_of_other_workers_are_never_markup(world: World) -> None:
    store = MarkedStore()
    fleet = shared(world, store)
    world.add("payments")
    row = ["payments", "open", True, 0.5, 1, 2, 3, 4, 9, 5]
    content = {"version": 1, "pid": 7, "host": store.label, "breakers": [row]}
    store.publish(store.label, json.dumps(content), 60)
    fleet.step()
    render(world, name="payments")
    fleet.step()
    html = render(world, name="payments")
    escaped = "&lt;script&gt;alert(1)&lt;/script&gt;"
    assert f"states and figures are shared by 2 workers through {escaped}" in html
    table_row = html.partition('<tr role="row" data-state="open">')[2].partition("</tr>")[0]
    assert f">{escaped} 7</th>" in table_row
    assert ">Open, here only, 5 slow running</td>" in table_row
    store.fails = True
    fleet.step()
    broken = render(world, name="payments")
    text = f"The store {escaped} does not work: each worker decides alone. OSError: {escaped}"
    assert text in broken
    assert "<script>alert" not in html + broken


def test_the_note_tells_if_this_worker_follows_another(world: World) -> None:
    store = MarkedStore()
    fleet = shared(world, store)
    fleet.step()
    assert "which follows within a second" in render(world, by=["1"])
    store.fails = True
    fleet.step()
    assert "nothing has changed: the store does not work." in render(world, by=["1"])


def test_a_change_that_a_broken_store_keeps_local_is_noted(world: World) -> None:
    store = MarkedStore()
    fleet = shared(world, store)
    fleet.step()
    here = [str(os.getpid())]
    assert 'class="note">The change' not in render(world, by=here)
    store.fails = True
    fleet.step()
    note = f"The change was made in worker {here[0]} only: the store does not work."
    assert note in render(world, by=here)


def test_without_a_script_controls_take_why_and_for(
    world: World,
) -> None:
    world.add("payments")
    forms = re.findall(r"<form method=.post..*?</form>", render(world, name="payments"), re.DOTALL)
    fields = [(form, 'name="why"' in form, 'name="for"' in form) for form in forms[: len(ACTIONS)]]
    assert all(why for _, why, _ in fields)
    ending = [path for form, _, end in fields if end for path in ACTIONS if f'/{path}"' in form]
    assert sorted(ending) == sorted(ENDS)
