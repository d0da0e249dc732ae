"""The advice of the page is the one of docs/operations.md."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path

import pytest

from breaker_asgi.monitor.html.outage_wording import ADVICE
from breaker_asgi.monitor.html.wording import STATES

DOCUMENT = Path(__file__).parents[3] / "docs" / "operations.md"
SCRIPT = files("breaker_asgi.monitor.html") / "static" / "outagewords.js"


def documented(state: str) -> str:
    """Return the last cell of a state's row in the table, without its markup."""
    row = re.search(rf"^\| {STATES[state]} \|.*\| ([^|]+) \|$", DOCUMENT.read_text(), re.MULTILINE)
    assert row
    return re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", row[1]).replace("**", "")


@pytest.mark.parametrize("state", STATES)
def test_a_states_advice_is_the_documented_one(state: str) -> None:
    text = documented(state)
    assert ADVICE[state] == f"{text[0].upper()}{text[1:]}."


@pytest.mark.parametrize("state", STATES)
def test_the_script_gives_the_same_advice(state: str) -> None:
    assert json.dumps(ADVICE[state]) in SCRIPT.read_text()
