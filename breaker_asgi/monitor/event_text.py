"""The text of server-sent events."""

from __future__ import annotations

import json
from typing import Any

dumps = json.JSONEncoder(separators=(",", ":")).encode


def event_text(kind: str, content: Any, last_id: int | None = None) -> str:
    """Return the text of an event."""
    number = "" if last_id is None else f"id: {last_id}\n"
    return f"event: {kind}\n{number}data: {dumps(content)}\n\n"


def event_begin(kind: str, content: dict[str, Any], last_id: int | None = None) -> str:
    """Return the text of an event, up to the bracket at the end of its object."""
    return event_text(kind, content, last_id).removesuffix("}\n\n")
