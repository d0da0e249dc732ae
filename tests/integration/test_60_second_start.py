"""The first thing that a newcomer does, as the README tells it, against a real server."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

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
    server = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "main:app", "--port", "0"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stderr
        for line in server.stderr:
            if address := re.search(r"running on (http://\S+)", line):
                limits = httpx.Limits(max_keepalive_connections=0)  # as curl: one for each call
                with httpx.Client(base_url=address[1], limits=limits) as client:
                    yield client
                break
        else:
            pytest.fail("the server ended before it ran")
    finally:
        server.terminate()
        server.communicate(timeout=10)


def test_it_goes_as_the_readme_says(shop: httpx.Client) -> None:
    for _ in range(3):
        assert shop.post("/pay/5").text == "Internal Server Error"
    rejected = shop.post("/pay/5")
    seconds = rejected.headers["retry-after"]
    assert seconds in {"5", "6"}  # the README shows 5
    shown = START[START.index("HTTP/1.1 503") :].partition("```")[0]
    headers, _, body = shown.partition("\n\n")
    for header in headers.splitlines()[1:]:
        name, _, value = header.partition(": ")
        assert rejected.headers[name] == value.replace("5", seconds)
    assert rejected.status_code == 503
    assert rejected.json() == json.loads(re.sub(r"\b5\b", seconds, body))
    listed = shop.get("/breakers").json()["breakers"]
    assert [each["name"] for each in listed] == BREAKERS
