"""The house stands: layers import downwards only, and the core needs nothing."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import breaker_asgi

PACKAGE = Path(breaker_asgi.__file__).parent

LAYERS = [
    "state",
    "forks",
    "extras",
    "errors",
    "checks",
    "log",
    "signatures",
    "events",
    "window",
    "fallback",
    "outcome",
    "stream_events",
    "streams",
    "rejections",
    "predicates",
    "statuses",
    "judgement",
    "profiles.profile",
    "profiles.http",
    "profiles.language_models",
    "profiles.databases",
    "profiles.services",
    "profiles",
    "config",
    "generation",
    "permit",
    "blocks",
    "counted",
    "tally",
    "snapshot",
    "machine",
    "circuit",
    "wrapper",
    "admission",
    "reading",
    "generators",
    "awaited",
    "results",
    "guard",
    "aiobreaker",
    "breaker",
    "failover",
    "health",
    "named",
    "registry",
    # The core ends here.
    "asgi",
    "asgi.types",
    "asgi.headers",
    "asgi.responses",
    "asgi.last_good",
    "asgi.fallback",
    "asgi.protection",
    "asgi.versions",
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
    "asgi.head",
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
    "clients.retry_after",
    "clients.downstream",
    "clients.guarding",
    "clients",
    "clients.bodies",
    "clients.transport",
    "clients.httpx",
    "clients.httpx2",
    "clients.aiohttp",
    "clients.requests",
    "clients.grpc",
    "clients.stainless",
    "clients.openai",
    "clients.anthropic",
    "clients.google_genai",
    "clients.google_cloud",
    "clients.botocore",
    "clients.redis",
    "clients.sqlalchemy",
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
    "testing.fresh",
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
    "cli.keyboard",
    "cli.table",
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


def own_imports(name: str) -> list[str]:
    """Return the layers that a module imports."""
    prefix = "breaker_asgi."
    imports = runtime_imports(MODULES[name])
    own = [target.removeprefix(prefix) for target in imports if target.startswith(prefix)]
    return [target for target in own if target in LAYERS]


def test_a_module_imports_only_from_the_layers_below_it() -> None:
    height = {name: index for index, name in enumerate(LAYERS)}
    above = [
        f"{name} -> {target}"
        for name in MODULES
        for target in own_imports(name)
        if height[target] >= height[name]
    ]
    assert above == []


def test_the_core_needs_the_standard_library_only() -> None:
    allowed = {"breaker_asgi", "__future__", "annotationlib", *sys.stdlib_module_names}
    others = [
        f"{name} -> {target}"
        for name in CORE
        for target in runtime_imports(MODULES[name])
        if target.partition(".")[0] not in allowed
    ]
    assert others == []


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
