"""What Grafana's own models make of a dashboard: as much of an import as needs no Grafana.

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

with warnings.catch_warnings(action="ignore"):  # it would rather have the next schema
    from grafana_foundation_sdk.models.dashboard import Dashboard

register_default_plugins()

FOR_IMPORT = {"__inputs", "__elements", "__requires"}
"""What an import reads before there is a dashboard."""
OF_PROMETHEUS = {"titleFormat", "textFormat", "tagKeys"}
"""What the data source adds to an annotation."""


def read(dashboard: dict[str, Any]) -> Dashboard:
    return Dashboard.from_json(dashboard)


def unknown(dashboard: dict[str, Any]) -> list[str]:
    """Where the dashboard says what the models don't know, and Grafana would drop."""
    kept = json.loads(JSONEncoder().encode(read(dashboard)))
    given = {key: value for key, value in dashboard.items() if key not in FOR_IMPORT}
    return [*_dropped(given, kept, "")]


def _dropped(given: Any, kept: Any, where: str) -> Iterator[str]:
    if isinstance(given, dict) and isinstance(kept, dict):
        for key, value in given.items():
            if key in OF_PROMETHEUS or value is None:
                continue
            if key not in kept:
                yield f"{where}.{key}"
            else:
                yield from _dropped(value, kept[key], f"{where}.{key}")
    elif isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        for index, (value, other) in enumerate(zip(given, kept, strict=True)):
            yield from _dropped(value, other, f"{where}[{index}]")
    elif given != kept:
        yield f"{where}: {given!r} became {kept!r}"


def mistyped(value: object, where: str = "") -> Iterator[str]:
    """Where a value is of another type than the models say, or none of the words of an enum."""
    kind = type(value)
    if not kind.__module__.startswith("grafana_foundation_sdk.models"):
        return
    for name, hint in typing.get_type_hints(kind).items():
        each = getattr(value, name)
        yield from _mistyped(each, hint, f"{where}.{name}")


def _mistyped(value: Any, hint: Any, where: str) -> Iterator[str]:
    if not _fits(value, hint):
        yield f"{where}: {value!r} is no {hint}"
    for index, each in enumerate(value if isinstance(value, list) else [value]):
        yield from mistyped(each, f"{where}[{index}]" if isinstance(value, list) else where)
    if isinstance(value, dict):
        for key, each in value.items():
            yield from mistyped(each, f"{where}.{key}")


def _fits(value: Any, hint: Any) -> bool:
    origin, kinds = typing.get_origin(hint), typing.get_args(hint)
    if origin is None:
        return _is_a(value, hint)
    if origin is typing.Literal:
        return value in kinds
    if origin in {list, dict}:
        items = value.values() if isinstance(value, dict) else value
        return isinstance(value, origin) and all(_fits(each, kinds[-1]) for each in items)
    return any(_fits(value, each) for each in kinds)


def _is_a(value: Any, kind: Any) -> bool:
    if kind in {Any, object}:
        return True
    if isinstance(value, dict):  # the models leave some of what is nested as it came
        return hasattr(kind, "from_json")
    if issubclass(kind, enum.Enum):
        return value in [each.value for each in kind]
    return isinstance(value, (int, float) if kind is float else kind)
