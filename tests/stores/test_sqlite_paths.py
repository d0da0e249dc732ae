"""The place of the file of a SQLite URL, and warnings of surprising ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from breaker_asgi.stores import store_of

if TYPE_CHECKING:
    from pathlib import Path


def test_working_directory_at_the_root_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir("/")
    assert store_of("sqlite:///breakers.db").label == "sqlite:/breakers.db"
    assert "leads to /breakers.db: the working directory is /" in caplog.text


def test_relative_path_into_a_missing_folder_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    store_of("sqlite:///no-such-folder/shop/breakers.db")
    assert f"leads to {tmp_path}/no-such-folder/shop/breakers.db" in caplog.text
    assert "For /no-such-folder/shop/breakers.db write four slashes" in caplog.text


@pytest.mark.parametrize("path", ["breakers.db", "./breakers.db", "of-shop/breakers.db"])
def test_relative_path_into_an_existing_folder_is_not_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    (tmp_path / "shop" / "of-shop").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "shop")
    store_of(f"sqlite:///{path}")
    assert caplog.text == ""


def test_absolute_path_is_not_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store_of(f"sqlite:///{tmp_path}/no-such-folder/breakers.db")
    assert caplog.text == ""
