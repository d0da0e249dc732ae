"""The import order: rooms import from the rooms below them only, types included."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import breaker_asgi

PACKAGE = Path(breaker_asgi.__file__).parent
PREFIX = "breaker_asgi."

FLOORS = [
    {"_core"},
    {"breaker", "stores", "asgi", "errors", "state", "profiles"},
    {"listener", "_fleet", "failover"},
    {"registry"},
    {"clients", "telemetry", "monitor"},
    {"middleware"},
    {"fastapi"},
    {"__init__"},
    {"testing", "cli"},
]
"""Rooms, from the bottom up: a module of one imports from its own room and from floors below."""
PUBLIC_TYPES = {("_core.permit", "breaker")}
"""Arrows that run up: `permit.breaker` is public, and its type is the class that gives permits."""


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in PACKAGE.rglob("*.py")}


def room(module: str) -> str:
    return module.partition(".")[0]


def imports(path: Path) -> Iterator[str]:
    """Return the modules that a file imports, those of its annotations included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole.removeprefix(PREFIX) in MODULES else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def own_imports(module: str) -> set[str]:
    """Return the modules of the package that one of them imports."""
    targets = {target for target in imports(MODULES[module]) if target.startswith(PREFIX)}
    return {target.removeprefix(PREFIX) for target in targets} & MODULES.keys() - {module}


ARROWS = {(module, target) for module in MODULES for target in own_imports(module)} - PUBLIC_TYPES


def test_every_module_is_in_a_room() -> None:
    assert {room(module) for module in MODULES} == set.union(*FLOORS)


def test_a_module_imports_from_its_own_room_and_from_floors_below() -> None:
    floor = {name: height for height, names in enumerate(FLOORS) for name in names}
    upward = [
        f"{module} -> {target}"
        for module, target in sorted(ARROWS)
        if room(module) != room(target) and floor[room(target)] >= floor[room(module)]
    ]
    assert upward == []


@pytest.mark.parametrize("name", sorted(set.union(*FLOORS)))
def test_the_modules_of_a_room_import_each_other_in_no_circle(name: str) -> None:
    graph: dict[str, set[str]] = {}
    for module, target in ARROWS:
        if room(module) == room(target) == name:
            graph.setdefault(module, set()).add(target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_the_core_needs_the_standard_library_only() -> None:
    allowed = {"breaker_asgi", "__future__", "annotationlib", *sys.stdlib_module_names}
    others = [
        f"{module} -> {target}"
        for module, path in MODULES.items()
        if room(module) in {"_core", "breaker", "listener", "registry", "failover"}
        for target in imports(path)
        if target.partition(".")[0] not in allowed
    ]
    assert others == []


def test_the_module_of_a_public_name_is_the_package() -> None:
    public = [getattr(breaker_asgi, name) for name in breaker_asgi.__all__]
    named = [thing for thing in public if hasattr(thing, "__qualname__")]
    assert [thing for thing in named if thing.__module__ != "breaker_asgi"] == []


def test_every_public_name_has_a_docstring() -> None:
    public = {name: getattr(breaker_asgi, name) for name in breaker_asgi.__all__}
    members = {
        f"{name}.{member}": vars(thing)[member]
        for name, thing in public.items()
        if isinstance(thing, type)
        for member in vars(thing)
        if not member.startswith("_") and callable(getattr(thing, member))
    }
    assert [name for name, thing in (public | members).items() if not thing.__doc__] == []
