"""The chat, as real processes: what `make chat` does."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import httpx
import pytest

from tests.integration.test_example_app import DEADLINE, is_free, started, until


class Chat:
    """A running chat with its two providers."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout
        self.addresses: list[str] = re.findall(r"http://\S+?:\d+", process.stdout.readline())
        assert len(self.addresses) == 3, process.communicate()
        self.service, self.first, self.second = (
            httpx.Client(base_url=address, timeout=DEADLINE, trust_env=False)
            for address in self.addresses
        )

    def ask(self) -> httpx.Response:
        return self.service.get("/chat", params={"q": "why?"})

    def events(self) -> list[str]:
        return self.ask().text.split("\n\n")[:-1]

    def answers(self) -> str:
        """Return the provider that answers."""
        return self.events()[0].removeprefix("data: ")

    def breakers(self) -> dict[str, dict[str, Any]]:
        """Return the breakers that have had a call, by name."""
        breakers = self.service.get("/breakers").json()["breakers"]
        return {breaker["name"]: breaker for breaker in breakers}


def behave(provider: httpx.Client, **behaviour: float) -> None:
    provider.post("/behaviour", json=behaviour).raise_for_status()


def kill(provider: httpx.Client) -> None:
    with suppress(httpx.HTTPError):  # it is gone before it can answer
        provider.post("/kill")


@pytest.fixture
def chat() -> Iterator[Chat]:
    ports = ("--port", "0", "--first-port", "0", "--second-port", "0")
    with started("example_app.chat", *ports) as process:
        chat = Chat(process)
        with chat.service, chat.first, chat.second:
            yield chat


def test_an_answer_comes_in_tokens(chat: Chat) -> None:
    with chat.service.stream("GET", "/chat", params={"q": "why?"}) as response:
        chunks = [*response.iter_text()]
    assert response.headers["content-type"].startswith("text/event-stream")
    assert "".join(chunks).split("\n\n") == [
        "data: first",
        "data: thinks",
        "data: about",
        "data: 'why?'",
        "data: and",
        "data: finds",
        "data: it",
        "data: good",
        "",
    ]
    assert len(chunks) > 1


def test_when_the_first_provider_is_killed_the_second_one_answers(chat: Chat) -> None:
    assert chat.answers() == "first"
    kill(chat.first)
    assert [chat.answers() for _ in range(5)] == ["second"] * 5
    first = chat.breakers()["first"]
    assert first["state"] == "open"
    assert first["failures"] == 3 + first["outage"]["probes_failed"]
    assert chat.breakers()["second"]["successes"] == 5


def test_when_both_are_killed_the_chat_rejects(chat: Chat) -> None:
    kill(chat.first)
    kill(chat.second)
    for _ in range(3):
        with suppress(httpx.HTTPError):
            chat.ask()
    rejected = chat.ask()
    assert rejected.status_code == 503
    assert rejected.headers["retry-after"] in {"1", "2"}


def test_a_provider_that_is_overloaded_is_asked_again_when_its_open_time_is_over(
    chat: Chat,
) -> None:
    behave(chat.first, status=529)
    assert [chat.answers() for _ in range(4)] == ["second"] * 4
    assert chat.breakers()["first"]["state"] == "open"
    behave(chat.first)
    until(lambda: chat.answers() == "first", "the first one answers again")
    assert chat.breakers()["first"]["state"] == "closed"


def test_a_provider_that_is_too_slow_is_given_up_before_its_first_token(chat: Chat) -> None:
    behave(chat.first, slow=30)
    assert chat.answers() == "second"
    assert chat.breakers()["first"]["failures"] == 1


def test_an_answer_that_is_cut_is_not_mixed_with_another_one(chat: Chat) -> None:
    behave(chat.first, cut_after=3)
    assert chat.events() == [
        "data: first",
        "data: thinks",
        "data: about",
        "event: error\ndata: The answer was cut.",
    ]
    assert chat.breakers()["first"]["failures"] == 1
    assert "second" not in chat.breakers()


def test_an_answer_that_stalls_is_ended(chat: Chat) -> None:
    behave(chat.first, stall_after=1)
    assert chat.events() == ["data: first", "event: error\ndata: The answer was cut."]
    assert chat.breakers()["first"]["failures"] == 1


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_the_chat_shuts_down_cleanly_while_an_answer_stalls(
    end: signal.Signals, chat: Chat
) -> None:
    behave(chat.first, stall_after=1)
    with ThreadPoolExecutor(1) as caller:
        answer = caller.submit(chat.events)
        until(lambda: "first" in chat.breakers(), "a provider is asked")
        chat.process.send_signal(end)
        _, errors = chat.process.communicate(timeout=DEADLINE)
        assert answer.result()[-1] == "event: error\ndata: The answer was cut."
    assert (chat.process.returncode, errors) == (0, "")
    assert [is_free(address) for address in chat.addresses] == [True] * 3
