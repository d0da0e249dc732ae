"""The public API is the one that public_api.txt lists, so that a change of it shows in a diff.

`python -m tests.test_public_api` rewrites the file.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import breaker_asgi

LIST = Path(__file__).parent / "public_api.txt"
PACKAGE = Path(breaker_asgi.__file__).parent
MODULES = ["", ".errors", ".state", ".profiles", ".stores", ".telemetry", ".testing"]
SHARED = {"__init__", "bodies", "downstream", "guarding", "retry_after", "stainless", "transport"}
"""Modules of clients that no user imports."""
CLIENTS = sorted(path for path in (PACKAGE / "clients").glob("*.py") if path.stem not in SHARED)
"""Modules that are read, not imported: the libraries of their names may not be installed."""


def parameters(function: Any) -> str:
    """Return the parameters of a function: their kinds and names, and `=` for a default."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return "(...)"
    bare = [
        parameter.replace(
            annotation=parameter.empty,
            default=parameter.default if parameter.default is parameter.empty else ...,
        )
        for parameter in signature.parameters.values()
    ]
    return str(inspect.Signature(bare)).replace("=Ellipsis", "=")


def members(thing: type) -> Iterator[str]:
    """Return the public members of a class and of its bases in the package."""
    if "__init__" in vars(thing):
        yield f".__init__{parameters(thing)}"
    names = {
        name: value
        for base in reversed(thing.__mro__)
        if base.__module__.startswith("breaker_asgi")
        for name, value in vars(base).items()
        if not name.startswith("_")
    }
    for name, value in sorted(names.items()):
        callable_ = inspect.isfunction(value) or isinstance(value, staticmethod | classmethod)
        yield f".{name}{parameters(getattr(thing, name))}" if callable_ else f".{name}"


def names_of(module: str) -> Iterator[str]:
    """Return the exported names of a module, with those of its classes."""
    whole = import_module(f"breaker_asgi{module}")
    exported = getattr(whole, "__all__", None) or [n for n in vars(whole) if n == "instrument"]
    for name in sorted(exported):
        thing = getattr(whole, name)
        where = f"breaker_asgi{module}.{name}"
        if isinstance(thing, type):
            yield where
            if not module or thing.__module__ != "breaker_asgi":
                yield from (where + member for member in members(thing))
        else:
            yield where + (parameters(thing) if inspect.isfunction(thing) else "")


def names_of_client(path: Path) -> Iterator[str]:
    """Return the functions and classes that a module of clients defines, as they are written."""
    for node in ast.parse(path.read_text()).body:
        where = f"breaker_asgi.clients.{path.stem}."
        if isinstance(node, ast.FunctionDef):
            yield from written(where, node)
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield where + node.name
            for child in node.body:
                if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield from written(f"{where}{node.name}.", child)


def written(where: str, function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    if function.name == "__init__" or not function.name.startswith("_"):
        arguments = [node for node in ast.walk(function.args) if isinstance(node, ast.arg)]
        yield f"{where}{function.name}({', '.join(argument.arg for argument in arguments)})"


def listing() -> str:
    names = [name for module in MODULES for name in names_of(module)]
    names += [name for path in CLIENTS for name in names_of_client(path)]
    return "".join(f"{name}\n" for name in dict.fromkeys(names))


def test_the_public_api_is_the_one_that_is_listed() -> None:
    rewrite = "python -m tests.test_public_api rewrites the list"
    assert listing() == LIST.read_text(), rewrite


if __name__ == "__main__":
    LIST.write_text(listing())
