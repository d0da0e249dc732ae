"""The words of a command, and their defaults in the environment."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

import pytest

from breaker_asgi.cli.arguments import parse

HOME = "http://localhost:8000/breakers"


def parsed(line: str, environment: Mapping[str, str] | None = None) -> argparse.Namespace:
    return parse(line.split(), environment or {})


@pytest.mark.parametrize(
    ("word", "url"),
    [
        (HOME, HOME),
        ("localhost:8000/breakers", HOME),
        ("localhost:8000", HOME),
        ("http://localhost:8000", HOME),
        ("localhost:8000/", "http://localhost:8000/"),
        ("shop.internal/ops/breakers", "http://shop.internal/ops/breakers"),
        ("https://shop.internal", "https://shop.internal/breakers"),
        ("[::1]:8000", "http://[::1]:8000/breakers"),
    ],
)
def test_an_address_needs_neither_scheme_nor_path(word: str, url: str) -> None:
    assert parsed(f"top {word}").url.geturl() == url


@pytest.mark.parametrize("line", ["top", "list", "status bank", "reset bank", "open --why x bank"])
def test_the_environment_has_the_address_where_none_is_given(line: str) -> None:
    assert parsed(line, {"BREAKER_ASGI_URL": HOME}).url.geturl() == HOME


@pytest.mark.parametrize(
    "line",
    ["top", "list --json", "status", "status bank", "reset", "reset http:bank"],
)
def test_without_both_the_error_names_them(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed(line)
    error = capsys.readouterr().err
    assert "error: " in error
    assert "BREAKER_ASGI_URL" in error or "the name of a breaker is required" in error


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("top there", []),
        ("status there bank", ["bank"]),
        ("reset http://there bank mail", ["bank", "mail"]),
        ("reset --why x http://there bank", ["bank"]),
        ("reset http://there --why x bank mail", ["bank", "mail"]),
        ("reset http://there -- -bank", ["-bank"]),
    ],
)
def test_an_address_before_the_names_goes_before_the_environments(
    line: str, names: list[str]
) -> None:
    options = parsed(line, {"BREAKER_ASGI_URL": HOME})
    assert (options.url.hostname, options.names) == ("there", names)


def test_names_may_look_like_hosts(capsys: pytest.CaptureFixture[str]) -> None:
    environment = {"BREAKER_ASGI_URL": HOME}
    assert parsed("reset bank:443 mail:25", environment).names == ["bank:443", "mail:25"]
    assert parsed("status https://bank:443", environment).names == ["https://bank:443"]


@pytest.mark.parametrize("line", ["top a b", "status a b c", "list a b", "reset a b --nonsense"])
def test_a_word_too_many_is_refused(line: str) -> None:
    with pytest.raises(SystemExit) as ended:
        parsed(line)
    assert ended.value.code == 2


def test_the_environment_has_a_token() -> None:
    options = parsed(f"status {HOME} bank", {"BREAKER_ASGI_TOKEN": "secret"})
    assert dict(options.header) == {"Authorization": "Bearer secret"}


def test_a_header_that_is_given_goes_before_the_token() -> None:
    line = ["status", HOME, "bank", "--header", "authorization: Basic x"]
    assert dict(parse(line, {"BREAKER_ASGI_TOKEN": "secret"}).header) == {
        "authorization": "Basic x"
    }


def test_a_token_that_no_header_can_have_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed(f"status {HOME} bank", {"BREAKER_ASGI_TOKEN": "a\r\nb"})
    assert "BREAKER_ASGI_TOKEN" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        ("600", "600"),
        ("2.5e3", "2500"),
        ("90s", "90"),
        ("10m", "600"),
        ("10min", "600"),
        ("1h30m", "5400"),
        ("1.5h", "5400"),
        ("2d", "172800"),
    ],
)
def test_a_time_has_units(time: str, seconds: str) -> None:
    assert parsed(f"force-open {HOME} bank --for {time}").for_ == seconds


@pytest.mark.parametrize("time", ["10 m", "m", "10x", "0m", "1h-5m", "", "nan", "1e999"])
def test_a_wrong_time_is_refused(time: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["force-open", HOME, "bank", "--for", time], {})
    assert "such as 600, 10m or 1h30m" in capsys.readouterr().err.replace("\n", " ")


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parsed("--version")
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("breaker-asgi ")
