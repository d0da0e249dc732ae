"""Checks of a dashboard by Grafana's own models, without a Grafana.

The models are those of the classic schema, which every Grafana imports.
"""

from __future__ import annotations

import enum
import json
import typing
import warnings
from collections.abc import Iterator
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins

with warnings.catch_warnings(action="ignore"):  # it prefers the next schema
    from grafana_foundation_sdk.models.dashboard import Dashboard

register_default_plugins()

FOR_IMPORT = {"__inputs", "__elements", "__requires"}
"""Keys that only an import reads."""
OF_PROMETHEUS = {"titleFormat", "textFormat", "tagKeys"}
"""Keys that the data source adds to an annotation."""


def read(dashboard: dict[str, Any]) -> Dashboard:
    return Dashboard.from_json(dashboard)


def unknown(dashboard: dict[str, Any]) -> list[str]:
    """Return the places of keys and values that the models, and so Grafana, would drop."""
    kept = json.loads(JSONEncoder().encode(read(dashboard)))
    content = {key: value for key, value in dashboard.items() if key not in FOR_IMPORT}
    return [*_dropped(content, kept, "")]


def _dropped(content: Any, kept: Any, where: str) -> Iterator[str]:
    if isinstance(content, dict) and isinstance(kept, dict):
        for key, value in content.items():
            if key in OF_PROMETHEUS or value is None:
                continue
            if key not in kept:
                yield f"{where}.{key}"
            else:
                yield from _dropped(value, kept[key], f"{where}.{key}")
    elif isinstance(content, list) and isinstance(kept, list) and len(content) == len(kept):
        for index, (value, kept_value) in enumerate(zip(content, kept, strict=True)):
            yield from _dropped(value, kept_value, f"{where}[{index}]")
    elif content != kept:
        yield f"{where}: {content!r} became {kept!r}"


def mistyped(value: object, where: str = "") -> Iterator[str]:
    """Return the places of values of a wrong type, or outside of their enum."""
    kind = type(value)
    if not kind.__module__.startswith("grafana_foundation_sdk.models"):
        return
    for name, hint in typing.get_type_hints(kind).items():
        attribute = getattr(value, name)
        yield from _mistyped(attribute, hint, f"{where}.{name}")


def _mistyped(value: Any, hint: Any, where: str) -> Iterator[str]:
    if not _fits(value, hint):
        yield f"{where}: {value!r} is no {hint}"
    for index, item in enumerate(value if isinstance(value, list) else [value]):
        yield from mistyped(item, f"{where}[{index}]" if isinstance(value, list) else where)
    if isinstance(value, dict):
        for key, item in value.items():
            yield from mistyped(item, f"{where}.{key}")


def _fits(value: Any, hint: Any) -> bool:
    origin, kinds = typing.get_origin(hint), typing.get_args(hint)
    if origin is None:
        return _is_a(value, hint)
    if origin is typing.Literal:
        return value in kinds
    if origin in {list, dict}:
        items = value.values() if isinstance(value, dict) else value
        return isinstance(value, origin) and all(_fits(item, kinds[-1]) for item in items)
    return any(_fits(value, argument) for argument in kinds)


def _is_a(value: Any, kind: Any) -> bool:
    if kind in {Any, object}:
        return True
    if isinstance(value, dict):  # the models leave some nested values as they are
        return hasattr(kind, "from_json")
    if issubclass(kind, enum.Enum):
        return value in [member.value for member in kind]
    return isinstance(value, (int, float) if kind is float else kind)
