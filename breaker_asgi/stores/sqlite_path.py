"""The path of a SQLite store's file: which are allowed, and the rights that it needs."""

from __future__ import annotations

import os
import re
import sqlite3
from pathlib import Path

from breaker_asgi._core import validation
from breaker_asgi.stores.redaction import redact_url

_ALLOWED, _REMEDY = "the path of a file", 'such as "/run/shop/breakers.db"'
_EFFECTIVE = os.access in os.supports_effective_ids


def checked(path: object) -> Path:
    """Return the absolute path of a file. Raises `BreakerConfigError` for any other value."""
    try:
        text = os.fspath(path)  # type: ignore[call-overload]
    except TypeError:
        text = None
    if not isinstance(text, str) or not text or "\0" in text:
        raise validation.not_allowed("path", path, _ALLOWED, f"Write a text or a Path, {_REMEDY}")
    if text == ":memory:":
        raise validation.not_allowed(
            "path", path, _ALLOWED, "For one process there is MemoryStore()"
        )
    if re.match(r"[a-z][a-z0-9+]+:/|file:", text):  # a single letter is a drive of Windows
        remedy = "Give a URL as store=, or to store_of()"
        raise validation.not_allowed("path", redact_url(text), _ALLOWED, remedy)
    try:
        file = Path(text).expanduser().absolute()
    except RuntimeError:
        remedy = f"There is no such home folder: write it out, {_REMEDY}"
        raise validation.not_allowed("path", path, _ALLOWED, remedy) from None
    if text.endswith("/") or file.is_dir():
        raise validation.not_allowed(
            "path", path, _ALLOWED, f"A folder needs a name after it, {_REMEDY}"
        )
    return file


def check_rights(path: Path) -> None:
    """Raise an error that names the file and the reason, which SQLite's own does not."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = f"its folder can't be made: {error}"
        raise sqlite3.OperationalError(f"unable to open {path}: {why}") from error
    if not os.access(path.parent, os.W_OK | os.X_OK, effective_ids=_EFFECTIVE):
        why = f"the folder {path.parent} can't be written by {_user()}"
        raise sqlite3.OperationalError(f"unable to open {path}: {why}")
    if path.exists() and not os.access(path, os.W_OK, effective_ids=_EFFECTIVE):
        # SQLite would open it, and make its other two read-only too: for good.
        raise sqlite3.OperationalError(f"{path} is readonly for {_user()}")


def _user() -> str:
    return f"user {os.geteuid()}" if hasattr(os, "geteuid") else "this user"
