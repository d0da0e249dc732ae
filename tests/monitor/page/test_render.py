"""What the server renders, without a browser."""

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
from breaker_asgi.monitor.event_log import Journal
from breaker_asgi.monitor.history import History
from breaker_asgi.monitor.html.page import PAGE_HEADERS, page, static
from breaker_asgi.monitor.html.wording import Json, address, count, duration, percent, span
from breaker_asgi.monitor.listing import Listing
from breaker_asgi.stores import MemoryStore, Store
from breaker_asgi.testing import FakeClock


class World:
    """Breakers, and what there is to say of them."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.registry = BreakerRegistry(BreakerConfig(clock=self.clock))
        self.journal = Journal.of(self.registry)
        self.told = Listing(self.registry, self.journal, History.of(self.registry))

    def listing(self) -> Json:
        return self.told.page(None, details=True, controls=True)

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
        listing["detail"] = world.told.detail(world.registry[name], details=True)
    events = world.told.events(100, details=True)
    return page(listing, events, base, name, query).decode()


def shared(world: World, store: Store) -> Fleet:
    """A fleet of this world's breakers, whose thread the test is."""
    fleet = world.registry.fleet = Fleet(store, worker="w", clock=world.clock)
    fleet._roster = Roster(fleet)
    return fleet


def found(name: str, **query: list[str]) -> Response:
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


def test_nothing_runs_inline_and_nothing_is_asked_elsewhere(world: World) -> None:
    world.add("payments")
    html = render(world, name="payments")
    assert re.findall(r"<script[^>]*>[^<]", html) == []
    assert re.findall(r"\s(?:style|on\w+)=", html) == []
    asked = set(re.findall(r"\s(?:src|href|action)=\"([^\"]+)", html))
    assert [each for each in asked if not each.startswith(("/breakers/", "#"))] == []


@pytest.mark.parametrize("base", ["//evil.example/x", "/evil.example/x/"])
def test_a_base_is_a_path_of_this_host(world: World, base: str) -> None:
    assert 'href="/evil.example/x/static/page.css"' in render(world, base)


def test_a_base_is_encoded_and_may_be_empty(world: World) -> None:
    assert 'data-base="/a%20b%22"' in render(world, '/a b"')
    assert 'data-base="/a%20b%22"' in render(world, "/a%20b%22")
    assert 'href="/static/page.css"' in render(world, "")


def test_what_is_open_comes_first_the_latest_before_the_others(world: World) -> None:
    world.add("a", "b", "c", "d", "e")
    for name, action in (("b", "half-open"), ("c", "open"), ("d", "open")):
        world.change(name, action)
    assert re.findall(r'data-name="(\w)"', render(world)) == ["d", "c", "b", "a", "e"]


def test_the_next_breakers_are_asked_for_as_these_were(world: World) -> None:
    listing = world.listing() | {"next": "a&b"}
    html = page(listing, [], "/breakers", None, {"state": ["open"], "limit": ["5"]}).decode()
    assert 'href="/breakers/?state=open&amp;limit=5&amp;after=a%26b"' in html


def test_a_form_that_changed_another_worker_than_the_shown_one_is_told(world: World) -> None:
    pid = str(world.listing()["worker"]["pid"])
    assert "The change was made in worker 1." in render(world, worker=["1"])
    assert "The change was made" not in render(world, worker=[pid])
    assert "<script>x" not in render(world, worker=["<script>x"])


def test_the_policy_allows_no_markup_and_no_other_origin() -> None:
    policy = dict(PAGE_HEADERS)[b"content-security-policy"].decode()
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "require-trusted-types-for 'script'" in policy


def test_static_files_are_asked_for_again_by_their_tag() -> None:
    headers = dict(found("page.js").headers)
    assert headers[b"content-type"] == b"text/javascript; charset=utf-8"
    assert headers[b"cache-control"] == b"private, no-cache"
    assert headers[b"etag"] != dict(found("page.css").headers)[b"etag"]


@pytest.mark.parametrize("name", ["", "page.py", "../page.py", "page.js/", "static"])
def test_nothing_else_is_served(name: str) -> None:
    assert static(name, {}) is None


def test_the_icon_is_that_of_the_state() -> None:
    assert found("icon.svg", state=["open"]).body != found("icon.svg", state=["closed"]).body
    assert found("icon.svg", state=["<x>"]).body == found("icon.svg").body


def test_names_are_encoded_as_the_script_does() -> None:
    assert address("/b", "a/b c?é!'()*~") == "/b/a%2Fb%20c%3F%C3%A9!'()*~"


def test_figures_are_short() -> None:
    assert [count(each) for each in (0, 1_234, 56_789, 7_800_000)] == ["0", "1,234", "57k", "7.8M"]
    assert [percent(each) for each in (None, 0.0, 0.001, 0.525)] == [
        "\N{EN DASH}",
        "0%",
        "<1%",
        "53%",
    ]
    assert [duration(each) for each in (0.0001, 0.0421, 1.25)] == ["<1 ms", "42 ms", "1.2 s"]
    assert [span(each) for each in (-1, 59, 61, 7_500, 180_000)] == [
        "0 s",
        "59 s",
        "1 min",
        "2 h 5 min",
        "2 d 2 h",
    ]


class MarkedStore(MemoryStore):
    label = "<script>alert(1)</script>"
    fails = False

    def changes(self, since: int) -> tuple[int, Sequence[str]]:
        if self.fails:
            raise OSError(self.label)
        return super().changes(since)


def test_what_is_said_of_a_store_and_of_other_workers_is_never_markup(world: World) -> None:
    store = MarkedStore()
    fleet = shared(world, store)
    world.add("payments")
    row = ["payments", "open", True, 0.5, 1, 2, 3, 4]
    content = {"version": 1, "pid": 7, "host": store.label, "breakers": [row]}
    store.publish(store.label, json.dumps(content), 60)
    fleet.step()
    render(world, name="payments")
    fleet.step()
    html = render(world, name="payments")
    said = "&lt;script&gt;alert(1)&lt;/script&gt;"
    assert f"states are shared by 2 workers through {said}" in html
    shown = html.partition('<tr role="row" data-state="open">')[2].partition("</tr>")[0]
    assert f">{said} 7</th>" in shown
    assert ">Open, here only</td>" in shown
    store.fails = True
    fleet.step()
    broken = render(world, name="payments")
    assert f"The store {said} does not work: each worker decides alone. OSError: {said}" in broken
    assert "<script>alert" not in html + broken


def test_a_form_that_changed_another_worker_tells_whether_this_one_follows(world: World) -> None:
    store = MarkedStore()
    fleet = shared(world, store)
    fleet.step()
    assert "which follows within a second" in render(world, worker=["1"])
    store.fails = True
    fleet.step()
    assert "nothing has changed: the store does not work." in render(world, worker=["1"])


def test_a_form_whose_change_a_broken_store_kept_from_the_others_says_so(world: World) -> None:
    store = MarkedStore()
    fleet = shared(world, store)
    fleet.step()
    here = [str(os.getpid())]
    assert 'class="note">The change' not in render(world, worker=here)
    store.fails = True
    fleet.step()
    said = f"The change was made in worker {here[0]} only: the store does not work."
    assert said in render(world, worker=here)


def test_without_a_script_a_control_takes_why_and_where_it_may_end_for_how_long(
    world: World,
) -> None:
    world.add("payments")
    forms = re.findall(r"<form method=.post..*?</form>", render(world, name="payments"), re.DOTALL)
    shown = [(each, 'name="why"' in each, 'name="for"' in each) for each in forms[: len(ACTIONS)]]
    assert all(why for _, why, _ in shown)
    ending = [path for each, _, end in shown if end for path in ACTIONS if f'/{path}"' in each]
    assert sorted(ending) == sorted(ENDS)
