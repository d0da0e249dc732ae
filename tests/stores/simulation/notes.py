"""Notes of a world's events, short enough to be read."""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass
from enum import Enum


class Brief:
    """A value that is shown without the fields that have their defaults."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __str__(self) -> str:
        return _brief(self._value)


def _brief(value: object) -> str:
    if is_dataclass(value):
        parts = {field.name: getattr(value, field.name) for field in fields(value)}
        defaults = {field.name: field.default for field in fields(value)}
        texts = [
            f"{name}={_brief(part)}"
            for name, part in parts.items()
            if defaults[name] is MISSING or part != defaults[name]
        ]
        return f"{type(value).__name__}({' '.join(texts)})"
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, tuple):
        return f"({' '.join(_brief(part) for part in value if part != ())})"
    return repr(value)
