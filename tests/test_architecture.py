"""The house stands: layers import downwards only, and the core needs nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import breaker_asgi

PACKAGE = Path(breaker_asgi.__file__).parent

LAYERS = [
    "state",
    "forks",
    "errors",
    "checks",
    "log",
    "events",
    "window",
    "fallback",
    "outcome",
    "config",
    "generation",
    "permit",
    "snapshot",
    "tally",
    "machine",
    "circuit",
    "wrapper",
    "admission",
    "generators",
    "guard",
    "aiobreaker",
    "breaker",
    "health",
    "registry",
    # The core ends here.
    "asgi",
    "asgi.types",
    "asgi.headers",
    "asgi.responses",
    "asgi.last_good",
    "asgi.fallback",
    "asgi.protection",
    "asgi.routes",
    "asgi.lifespan",
    "monitor.journal",
    "monitor.history",
    "monitor.hints",
    "monitor.fleet",
    "monitor.listing",
    "monitor.control",
    "monitor.access",
    "monitor.ending",
    "monitor.stream",
    "monitor.hub",
    "monitor.words",
    "monitor.icons",
    "monitor.rows",
    "monitor.detail",
    "monitor.page",
    "monitor.app",
    "monitor",
    "asgi.guard",
    "asgi.departures",
    "asgi.settling",
    "asgi.handlers",
    "asgi.exchange",
    "asgi.websocket",
    "asgi.signals",
    "asgi.ownership",
    "asgi.endpoints",
    "asgi.middleware",
    "fastapi",
    "stores.protocol",
    "stores.record",
    "stores.memory",
    "stores.labels",
    "stores.file",
    "stores.sqlite",
    "stores.servers",
    "stores.scripts",
    "stores.subscription",
    "stores.redis",
    "stores.urls",
    "stores",
    "clients",
    "clients.downstream",
    "clients.transport",
    "clients.httpx",
    "clients.httpx2",
    "clients.aiohttp",
    "clients.requests",
    "clients.grpc",
    "stores.watch",
    "stores.seen",
    "stores.waiting",
    "stores.probes",
    "stores.member",
    "stores.reports",
    "stores.news",
    "stores.quorum",
    "stores.agreement",
    "stores.alarm",
    "stores.ear",
    "stores.pulse",
    "stores.board",
    "stores.lifetime",
    "stores.fleet",
    "sharing",
    "telemetry.figures",
    "telemetry.durations",
    "telemetry.series",
    "telemetry.spans",
    "telemetry.multiprocess",
    "telemetry.prometheus",
    "telemetry.opentelemetry",
    "telemetry",
    "testing",
    "testing.model",
    "testing.stores.base",
    "testing.stores.changes",
    "testing.stores.evidence",
    "testing.stores.probes",
    "testing.stores.figures",
    "testing.stores.use",
    "testing.stores",
    "cli",
    "cli.text",
    "cli.errors",
    "cli.reading",
    "cli.connection",
    "cli.client",
    "cli.minute",
    "cli.table",
    "cli.keyboard",
    "cli.top",
    "cli.main",
    "cli.__main__",
]
CORE = LAYERS[: LAYERS.index("registry") + 1]


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = {name: path for path in PACKAGE.rglob("*.py") if (name := module_name(path))}


def runtime_imports(path: Path) -> Iterator[str]:
    """The modules that `path` imports, but for those that only its annotations need."""

    def visit(node: ast.AST) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                continue
            if isinstance(child, ast.ImportFrom) and child.module:
                yield child.module
                yield from (f"{child.module}.{alias.name}" for alias in child.names)
            elif isinstance(child, ast.Import):
                yield from (alias.name for alias in child.names)
            yield from visit(child)

    return visit(ast.parse(path.read_text()))


def test_every_module_has_its_place_among_the_layers() -> None:
    assert sorted(MODULES) == sorted(LAYERS)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_module_imports_only_from_the_layers_below_it(name: str) -> None:
    found = [each for each in runtime_imports(MODULES[name]) if each.startswith("breaker_asgi.")]
    own = [each.removeprefix("breaker_asgi.") for each in found]
    above = [each for each in own if each in LAYERS and LAYERS.index(each) >= LAYERS.index(name)]
    assert above == []


@pytest.mark.parametrize("name", CORE)
def test_the_core_needs_the_standard_library_only(name: str) -> None:
    roots = {each.partition(".")[0] for each in runtime_imports(MODULES[name])}
    assert roots <= {"breaker_asgi", "__future__", *sys.stdlib_module_names}


def test_importing_the_package_imports_no_extra() -> None:
    clients = "httpx httpx2 aiohttp requests grpc redis"
    extras = f"fastapi starlette {clients} prometheus_client opentelemetry uvicorn anyio rich"
    script = f"import breaker_asgi, sys; print(*sys.modules.keys() & set({extras.split()!r}))"
    found = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert found.stdout.split() == []


def test_only_the_live_table_needs_rich() -> None:
    script = "import breaker_asgi.cli.main, sys; print('rich' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert found.stdout.split() == ["False"]


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
