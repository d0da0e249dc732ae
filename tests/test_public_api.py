"""The public API is the one that public_api.txt lists, so that a change of it shows in a diff.

`python -m tests.test_public_api` rewrites the file.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from difflib import unified_diff
from functools import cache
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

import breaker_asgi

LIST = Path(__file__).parent / "public_api.txt"
PACKAGE = Path(breaker_asgi.__file__).parent
MODULES = [
    "",
    ".errors",
    ".state",
    ".profiles",
    ".stores",
    ".stores.redis",
    ".clients",
    ".telemetry",
    ".telemetry.prometheus",
    ".telemetry.opentelemetry",
    ".testing",
    ".testing.stores",
]
CLIENTS = MappingProxyType(
    {path.stem: ast.parse(path.read_text()) for path in (PACKAGE / "clients").glob("*.py")}
)
"""Modules that are read, not imported: the libraries of their names may not be installed."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def is_public(name: str) -> bool:
    """Return True for names that users call; a contract's tests are for pytest."""
    return name == "__init__" or not name.startswith(("_", "test_"))


def parameters(function: Any) -> str:
    """Return the parameters of a function: their kinds and names, and `=` for a default."""
    bare = [
        parameter.replace(
            annotation=parameter.empty,
            default=parameter.default if parameter.default is parameter.empty else ...,
        )
        for parameter in inspect.signature(function).parameters.values()
    ]
    return str(inspect.Signature(bare)).replace("=Ellipsis", "=")


def members(thing: type) -> Iterator[str]:
    """Yield the public members of a class, with those of its bases in the package."""
    if hasattr(thing, "_fields"):  # a tuple, whose fields have an order
        yield parameters(thing)
    names = {
        name: value
        for base in reversed(thing.__mro__)
        if base.__module__.startswith("breaker_asgi")
        for name, value in vars(base).items()
        if is_public(name)
    }
    if getattr(thing, "_is_protocol", False):
        names.pop("__init__", None)  # typing's own
    for name, value in sorted(names.items()):
        is_method = inspect.isfunction(value) or isinstance(value, staticmethod | classmethod)
        yield f".{name}{parameters(getattr(thing, name)) if is_method else ''}"


def names_of(module: str) -> Iterator[str]:
    """Yield the exported names of a module, with the members of its classes."""
    whole = import_module(f"breaker_asgi{module}")
    for name in sorted(whole.__all__):
        thing = getattr(whole, name)
        path = f"breaker_asgi{module}.{name}"
        if isinstance(thing, type):
            yield path
            if not module or thing.__module__ != "breaker_asgi":
                yield from (path + member for member in members(thing))
        else:
            yield path + (parameters(thing) if inspect.isfunction(thing) else "")


@cache
def definitions(module: str) -> dict[str, ast.ClassDef | Function]:
    """Return the classes and functions of a module of clients."""
    body = CLIENTS[module].body
    return {node.name: node for node in body if isinstance(node, ast.ClassDef | Function)}


def exported(module: str) -> list[str]:
    """Return the `__all__` of a module of clients."""
    for node in CLIENTS[module].body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return sorted(ast.literal_eval(node.value))
    return []


def written(function: Function) -> str:
    """Return the parameters of a function that is only read, in the same form."""
    arguments = function.args
    for argument in ast.walk(arguments):
        if isinstance(argument, ast.arg):
            argument.annotation = None
    arguments.defaults = [ast.Constant(...) for _ in arguments.defaults]
    arguments.kw_defaults = [default and ast.Constant(...) for default in arguments.kw_defaults]
    return f"({ast.unparse(arguments).replace('=...', '=')})"


def written_members(module: str, node: ast.ClassDef) -> dict[str, str]:
    """Return the public members of a class, with those of its bases among the clients."""
    names: dict[str, str] = {}
    for base in reversed(node.bases):
        title = ast.unparse(base).partition("[")[0]
        for home in (module, *CLIENTS):
            parent = definitions(home).get(title)
            if isinstance(parent, ast.ClassDef) and (home == module or title not in exported(home)):
                names |= written_members(home, parent)
                break
    for child in node.body:
        if isinstance(child, Function) and is_public(child.name):
            decorators = map(ast.unparse, child.decorator_list)
            is_property = any("property" in decorator for decorator in decorators)
            names[child.name] = f".{child.name}{'' if is_property else written(child)}"
    return names


def names_of_clients(module: str) -> Iterator[str]:
    """Yield the exported names of a module of clients, as they are written."""
    for name in exported(module):
        path = f"breaker_asgi.clients.{module}.{name}"
        node = definitions(module).get(name)
        yield path + (written(node) if isinstance(node, Function) else "")
        if isinstance(node, ast.ClassDef):
            yield from (path + text for _, text in sorted(written_members(module, node).items()))


def listing() -> str:
    names = [name for module in MODULES for name in names_of(module)]
    for module in sorted(CLIENTS.keys() - {"__init__"}):
        names += names_of_clients(module)
    return "".join(f"{name}\n" for name in names)


def test_the_public_api_is_the_one_that_is_listed() -> None:
    listed, actual = LIST.read_text().splitlines(), listing().splitlines()
    diff = "\n".join(unified_diff(listed, actual, "public_api.txt", "breaker_asgi", "", "", 0, ""))
    assert not diff, f"`python -m tests.test_public_api` rewrites the list:\n{diff}"


if __name__ == "__main__":
    LIST.write_text(listing())
