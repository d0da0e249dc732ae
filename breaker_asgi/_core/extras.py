"""Errors for packages that a module works with, and that are missing or too old."""

from __future__ import annotations

import re
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator


class Package(NamedTuple):
    """A package of others: its name for pip, our extra that brings it, and how old it may be."""

    distribution: str
    extra: str = ""
    least: str = ""
    """The oldest version that does; empty where that is not looked at."""
    why: str = ""
    """Reason for the bound: the lack of older versions."""

    @property
    def command(self) -> str:
        """The command that installs it."""
        wanted = f'"breaker-asgi[{self.extra}]"' if self.extra else self.distribution
        return f"pip install {wanted}"


PACKAGES = {
    "aiohttp": Package("aiohttp", "aiohttp", "3.12", "its sessions take no middlewares"),
    "botocore": Package("boto3"),
    "fastapi": Package("fastapi", "fastapi"),
    "google.api_core": Package("google-cloud-core"),
    "grpc": Package("grpcio", "grpc", "1.66"),
    "httpx": Package("httpx", "httpx", "0.27"),
    "httpx2": Package("httpx2", "httpx2", "2.16"),
    "hypothesis": Package("hypothesis"),
    "opentelemetry.metrics": Package(
        "opentelemetry-api", "opentelemetry", "1.30", "its histograms take no boundaries"
    ),
    "prometheus_client": Package("prometheus-client", "prometheus", "0.17"),
    "pytest": Package("pytest"),
    "redis": Package(
        "redis", "redis", "8", "its clients wait for servers without end, and show passwords"
    ),
    "requests": Package("requests", "requests", "2.31"),
    "rich": Package("rich", "cli", "13"),
    "sqlalchemy": Package("sqlalchemy"),
}
"""Packages by the names of their modules."""


@contextmanager
def needs(who: str, module: str) -> Iterator[None]:
    """Import what `who` works with; `module` is one of `PACKAGES`.

    Raises `ModuleNotFoundError` if it is not installed, and `ImportError` if it is too old, which
    say what to install. What else the import raises passes.
    """
    package = PACKAGES[module]
    try:
        yield
    except ImportError as error:
        if is_installed(module):
            _check_age(who, module, package, error)
            raise
        raise ModuleNotFoundError(
            f"{who} needs {package.distribution}, which is not installed. "
            f"Install it with: {package.command}",
            name=module,
        ) from error
    _check_age(who, module, package)


def is_installed(module: str) -> bool:
    """Return True if a module can be found, whatever happens when it is imported."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # not even the package that it is in
        return False


def _check_age(who: str, module: str, package: Package, error: ImportError | None = None) -> None:
    """Raise `ImportError` if what is installed is older than the oldest version that does."""
    from importlib import metadata  # noqa: PLC0415 (it takes long, and many need no extra)

    if not package.least:
        return
    try:
        installed = metadata.version(package.distribution)
    except metadata.PackageNotFoundError:  # it was not installed by an installer
        return
    if (numbers := _numbers(installed)) and numbers < _numbers(package.least):
        why = f": {package.why}" if package.why else ""
        raise ImportError(
            f"{who} needs {package.distribution} {package.least} or later, "
            f"and finds {installed}{why}. Install it with: {package.command}",
            name=module,
        ) from error


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]
