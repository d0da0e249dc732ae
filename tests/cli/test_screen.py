"""The live table's answers to keys."""

from __future__ import annotations

import json
from typing import Any

import pytest

from breaker_asgi.cli import schema
from breaker_asgi.cli.keyboard import ENDED, keys_of
from breaker_asgi.cli.screen import Control, Screen
from tests.cli.listings import breaker, listing

Breakers = tuple[schema.Breaker, ...]


def breakers(*rows: dict[str, Any]) -> Breakers:
    return schema.listing(json.dumps(listing(*rows)).encode(), 0.0).breakers


LETTERS = breakers(*(breaker(letter) for letter in "abcde"))


def press(screen: Screen, text: str, rows: Breakers = LETTERS, *, controls: bool = True) -> Any:
    """Press the keys, and return the last result."""
    result = None
    for key in keys_of(text):
        result = screen.press(key, rows, controls=controls)
    return result


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("jk", ["j", "k"]),
        ("\x1b[A\x1b[B", ["up", "down"]),
        ("\x1b[5~\x1b[6~\x1b[H\x1bOF", ["page up", "page down", "home", "end"]),
        ("\r\x7f\x1b", ["enter", "backspace", "escape"]),
        ("\x1b[15~ü", ["ü"]),
    ],
)
def test_keys_have_names(text: str, keys: list[str]) -> None:
    assert keys_of(text) == keys


@pytest.mark.parametrize(
    ("keys", "name"),
    [("j", "b"), ("jjk", "b"), ("G", "e"), ("Gg", "a"), ("k", "a"), ("jjjjjjj", "e"), (" ", "e")],
)
def test_the_cursor_moves_through_the_rows(keys: str, name: str) -> None:
    screen = Screen()
    press(screen, keys)
    assert screen.rows(LETTERS)[screen.at(LETTERS)].name == name


def test_the_cursor_stays_on_its_breaker_when_rows_move() -> None:
    screen = Screen()
    press(screen, "jj")
    rows = screen.rows(breakers(breaker("z", "open"), *(breaker(name) for name in "abc")))
    assert rows[screen.at(rows)].name == "c"


@pytest.mark.parametrize(
    ("search", "names"), [("/b\r", ["b", "ab"]), ("/a*\r", ["a", "ab"]), ("/A\r", ["a", "ab"])]
)
def test_the_search_finds_parts_of_names_and_patterns(search: str, names: list[str]) -> None:
    rows = breakers(breaker("a"), breaker("b"), breaker("ab"))
    screen = Screen()
    press(screen, search, rows)
    assert sorted(row.name for row in screen.rows(rows)) == sorted(names)


def test_esc_ends_the_search() -> None:
    screen = Screen()
    press(screen, "/x")
    assert (screen.question, screen.rows(LETTERS)) == ("/x", [])
    press(screen, "\x7fb")
    assert screen.question == "/b"
    press(screen, "\x1b")
    assert (screen.question, len(screen.rows(LETTERS))) == ("", 5)


@pytest.mark.parametrize(
    ("times", "first"), [(1, "rejecting"), (2, "busy"), (3, "failing"), (4, "slow"), (5, "a")]
)
def test_s_orders_by_another_figure(times: int, first: str) -> None:
    rows = breakers(
        breaker("a", "open"),
        breaker("rejecting", rejected_per_second=9.0),
        breaker("busy", calls_per_second=90.0),
        breaker("failing", failing_share=0.4),
        breaker("slow", p95=3.0),
    )
    screen = Screen()
    press(screen, "s" * times, rows)
    assert screen.rows(rows)[0].name == first


def test_enter_opens_the_breaker_under_the_cursor_and_esc_closes_it() -> None:
    screen = Screen()
    press(screen, "j\r")
    assert screen.opened == "b"
    press(screen, "jj")
    assert screen.offset == 2
    press(screen, "\x1b")
    assert screen.opened is None


def test_a_control_is_confirmed_by_its_reason() -> None:
    screen = Screen()
    assert press(screen, "jr") is None
    assert "reset b" in screen.question
    assert press(screen, "all green\r") == Control("b", "reset", {"why": "all green"})


def test_a_control_that_ends_asks_for_how_long() -> None:
    screen = Screen()
    assert press(screen, "f\r") is None
    assert "For how long" in screen.question
    assert press(screen, "10m\r") == Control("a", "force-open", {"for": "600"})


def test_a_wrong_time_is_asked_for_again() -> None:
    screen = Screen()
    assert press(screen, "d\rsoon\r") is None
    assert "a time above 0" in screen.message
    assert press(screen, "\x7f" * 4 + "60\r") == Control("a", "disable", {"for": "60"})


def test_esc_cancels_a_control() -> None:
    screen = Screen()
    assert press(screen, "fnever mind\x1b") is None
    assert press(screen, "\r") is None
    assert screen.opened == "a"


def test_a_control_in_the_details_is_of_that_breaker() -> None:
    screen = Screen()
    assert press(screen, "jj\rc\r") == Control("c", "close", {})


def test_without_the_right_to_control_a_message_says_so() -> None:
    screen = Screen()
    assert press(screen, "f", controls=False) is None
    assert (screen.asks, "authorize_control" in screen.message) == ("", True)


@pytest.mark.parametrize("keys", ["s", "/x\r", "\r", "f", "c\r"])
def test_keys_do_nothing_where_there_is_no_breaker(keys: str) -> None:
    assert press(Screen(), keys, ()) is None


def test_q_ends_the_table_but_may_be_typed() -> None:
    screen = Screen()
    press(screen, "/q\r")
    assert (screen.ended, screen.search) == (False, "q")
    press(screen, "q")
    assert screen.ended


def test_a_terminal_that_is_gone_ends_the_table_whatever_it_asks() -> None:
    screen = Screen()
    press(screen, "f")
    screen.press(ENDED, LETTERS, controls=True)
    assert screen.ended
