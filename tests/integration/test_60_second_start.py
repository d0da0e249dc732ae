"""The 60-second start of the README, on a real server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.integration.programs import uvicorn

README = (Path(__file__).parent.parent.parent / "README.md").read_text()
START = README[README.index("## 60-second start") :]
BREAKERS = ["POST /pay/{amount}", "bank"]


def first(language: str) -> str:
    block = re.search(rf"^```{language}\n(.*?)^```", START, re.DOTALL | re.MULTILINE)
    assert block
    return block[1]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[httpx.Client]:
    (tmp_path / "main.py").write_text(first("python"))
    with uvicorn(tmp_path, "main:app") as client:
        yield client


def test_the_60_second_start_answers_as_the_readme_shows(shop: httpx.Client) -> None:
    for _ in range(3):
        assert shop.post("/pay/5").text == "Internal Server Error"
    rejected = shop.post("/pay/5")
    seconds = rejected.headers["retry-after"]
    assert seconds in {"5", "6"}  # the README shows 5
    response = START[START.index("HTTP/1.1 503") :].partition("```")[0]
    headers, _, body = response.partition("\n\n")
    for header in headers.splitlines()[1:]:
        name, _, value = header.partition(": ")
        assert rejected.headers[name] == value.replace("5", seconds)
    assert rejected.status_code == 503
    assert rejected.json() == json.loads(re.sub(r"\b5\b", seconds, body))
    listed = shop.get("/breakers").json()["breakers"]
    assert [breaker["name"] for breaker in listed] == BREAKERS
