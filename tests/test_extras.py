"""Error messages for packages that are missing, or too old."""

from __future__ import annotations

import ast
import importlib
import re
import sys
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from breaker_asgi import breaker
from breaker_asgi._core.extras import PACKAGES, is_installed, needs
from tests.hiding import hide
from tests.test_architecture import MODULES

pytestmark = pytest.mark.filterwarnings("ignore:Please install grpcio-status:ImportWarning")

PROJECT: dict[str, Any] = tomllib.loads(
    (Path(__file__).parent.parent / "pyproject.toml").read_text()
)["project"]
OURS = {"annotationlib", "breaker_asgi", "__future__", *sys.stdlib_module_names}
"""Modules of Python, one of which is of 3.14, and of the package."""


def third_parties(node: ast.AST, *, is_called: bool = False) -> Iterator[tuple[str, bool]]:
    """Return the packages that are imported at runtime, and True for those in a function."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        names: list[str] = []
        if isinstance(child, ast.ImportFrom) and child.module:
            names = [child.module]
        elif isinstance(child, ast.Import):
            names = [alias.name for alias in child.names]
        for name in names:
            if (package := name.partition(".")[0]) not in OURS:
                yield package, is_called
        inside = is_called or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
        yield from third_parties(child, is_called=inside)


IMPORTS = {name: {*third_parties(ast.parse(path.read_text()))} for name, path in MODULES.items()}
HIDDEN = {package for imports in IMPORTS.values() for package, _ in imports}
DOORS = [name for name, imports in IMPORTS.items() if any(not called for _, called in imports)]


def import_without(
    packages: set[str], name: str, monkeypatch: pytest.MonkeyPatch
) -> pytest.ExceptionInfo[ModuleNotFoundError]:
    with suppress(ModuleNotFoundError):  # the group of tests may not have it at all
        importlib.import_module(f"breaker_asgi.{name}")  # and its parent packages
    with monkeypatch.context() as patch:  # pytest imports some of them, too
        hide(patch, *packages)
        patch.delitem(sys.modules, f"breaker_asgi.{name}", raising=False)
        with pytest.raises(ModuleNotFoundError) as raised:
            importlib.import_module(f"breaker_asgi.{name}")
    return raised


@pytest.mark.parametrize("name", DOORS)
def test_the_error_of_a_module_names_the_package_to_install(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised = import_without(HIDDEN, name, monkeypatch)
    assert raised.value.name in PACKAGES
    package = PACKAGES[raised.value.name]
    assert str(raised.value) == (
        f"breaker_asgi.{name} needs {package.distribution}, which is not installed. "
        f"Install it with: {package.command}"
    )


@pytest.mark.parametrize("name", DOORS)
def test_the_error_of_a_module_names_each_missing_package(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    brought_by_another = {"urllib3"}
    for hidden, _ in IMPORTS[name]:
        raised = import_without({hidden}, name, monkeypatch)
        is_own = hidden not in brought_by_another
        assert ("Install it with: pip install" in str(raised.value)) is is_own


def test_imports_in_functions_are_listed_here() -> None:
    """Check the list: FastAPI has a test below, or was imported before; Starlette is not needed."""
    lazy = {(name, package) for name in MODULES for package, called in IMPORTS[name] if called}
    assert lazy == {
        ("asgi.requests", "starlette"),
        ("fastapi", "fastapi"),
        ("fastapi", "starlette"),
        ("monitor.dependencies", "fastapi"),
        ("monitor.dependencies", "starlette"),
    }


def test_the_error_of_a_named_dependency_names_the_package_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hide(monkeypatch, "fastapi", "starlette")
    with pytest.raises(ModuleNotFoundError) as raised:
        breaker("needs-fastapi")
    assert str(raised.value) == (
        "breaker() needs fastapi, which is not installed. "
        'Install it with: pip install "breaker-asgi[fastapi]"'
    )


def test_an_import_error_within_an_installed_package_passes_unchanged() -> None:
    theirs = ModuleNotFoundError("No module named 'httpcore'", name="httpcore")
    with pytest.raises(ModuleNotFoundError) as raised, needs("shop", "httpx"):
        raise theirs
    assert raised.value is theirs


def has_version(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda _: version)


def test_the_error_for_an_old_package_has_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    importlib.import_module("breaker_asgi.stores.redis")
    has_version("7.4.1", monkeypatch)
    monkeypatch.delitem(sys.modules, "breaker_asgi.stores.redis")
    with pytest.raises(ImportError) as raised:
        importlib.import_module("breaker_asgi.stores.redis")
    assert raised.value.name == "redis"
    assert str(raised.value) == (
        "breaker_asgi.stores.redis needs redis 8 or later, and finds 7.4.1: its clients wait for "
        "servers without end, and show passwords. "
        'Install it with: pip install "breaker-asgi[redis]"'
    )


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (
            "aiohttp",
            (
                "shop needs aiohttp 3.12 or later, and finds 0.26.0: its sessions take no "
                'middlewares. Install it with: pip install "breaker-asgi[aiohttp]"'
            ),
        ),
        (
            "httpx",
            (
                "shop needs httpx 0.27 or later, and finds 0.26.0. "
                'Install it with: pip install "breaker-asgi[httpx]"'
            ),
        ),
    ],
)
def test_the_error_for_a_name_that_an_old_package_lacks_has_the_version(
    module: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_version("0.26.0", monkeypatch)
    lack = ImportError("cannot import name 'ClientHandlerType'", name=module)
    with pytest.raises(ImportError) as raised, needs("shop", module):
        raise lack
    assert (str(raised.value), raised.value.name) == (message, module)
    assert raised.value.__cause__ is lack


def test_a_module_of_a_package_that_is_not_installed_is_not_installed() -> None:
    assert not is_installed("no_such_package.module")
    assert is_installed("importlib.metadata")


@pytest.mark.parametrize("version", ["8", "8.0.0", "8.1", "8.0.0rc1", "10.0", "unknown"])
def test_a_package_that_is_new_enough_or_has_an_unknown_version_is_accepted(
    version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_version(version, monkeypatch)
    with needs("shop", "redis"):
        pass


def test_the_versions_and_extras_are_those_of_the_project() -> None:
    of_extras = {extra: wanted for extra, (wanted,) in PROJECT["optional-dependencies"].items()}
    for package in PACKAGES.values():
        if package.extra:
            distribution, _, least = of_extras[package.extra].partition(">=")
            assert package.distribution == distribution
            assert package.least in {least, ""}
    unlooked = {package.extra for package in PACKAGES.values() if not package.least}
    assert unlooked == {"", "fastapi"}


@pytest.mark.parametrize("package", PACKAGES.values(), ids=PACKAGES)
def test_a_package_without_an_extra_is_installed_by_its_name(package: Any) -> None:
    wanted = rf'"breaker-asgi\[{package.extra}\]"' if package.extra else package.distribution
    assert re.fullmatch(rf"pip install {wanted}", package.command)


def test_a_package_without_a_version_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(_: str) -> str:
        raise metadata.PackageNotFoundError

    monkeypatch.setattr(metadata, "version", version)
    with needs("breaker_asgi.clients.httpx", "httpx"):
        pass
