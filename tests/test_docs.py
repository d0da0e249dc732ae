"""What the documents show is so: every Python example in them runs, on its own or as `main`."""

from __future__ import annotations

import ast
import asyncio
import inspect
import logging
import re
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import breaker_asgi
from breaker_asgi import BreakerConfig, BreakerSnapshot, CircuitBreakerListener
from breaker_asgi.fastapi import _dependency

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "example_app/*.md", "benchmarks/*.md")
    for path in ROOT.glob(pattern)
)


def examples() -> Iterator[Any]:
    for document in DOCUMENTS:
        text = document.read_text()
        before = ""
        for block in re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            line = text[: block.start()].count("\n") + 2
            where = f"{document.relative_to(ROOT)}:{line}"
            yield pytest.param(block[1], before, document, line, id=where)
            before = block[1]


@pytest.fixture
def _log_as_it_was() -> Iterator[None]:
    """Examples set up the log, and frameworks bring handlers of their own."""
    loggers = [logging.getLogger(), logging.getLogger("breaker_asgi")]
    before = [(each, each.level, [*each.handlers]) for each in loggers]
    yield
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers


@pytest.mark.usefixtures("_log_as_it_was")
@pytest.mark.parametrize(("code", "before", "document", "line"), [*examples()])
def test_the_example_runs_as_it_stands(
    code: str, before: str, document: Path, line: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker_asgi.default_registry, "_breakers", {})
    _dependency.cache_clear()
    module = type(sys)("example")
    monkeypatch.setitem(sys.modules, "example", module)
    if "from main import" in code:  # the example before it
        main = type(sys)("main")
        monkeypatch.setitem(sys.modules, "main", main)
        exec(before, vars(main))
    source = ast.parse("\n" * (line - 1) + code)
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    compiled = compile(source, str(document), "exec", flags, dont_inherit=True)

    async def run() -> None:
        result = eval(compiled, vars(module))
        if inspect.iscoroutine(result):
            await asyncio.wait_for(result, timeout=10)

    asyncio.run(run())


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_link_to_a_file_leads_to_one(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", document.read_text())
    local = [link for link in links if "://" not in link and not link.startswith("mailto:")]
    assert [link for link in local if not (document.parent / link).exists()] == []


def anchors(document: Path) -> set[str]:
    """What a link into a document can lead to."""
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_link_into_a_document_leads_to_one_of_its_headings(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s:]*)#([^)\s]+)\)", document.read_text())
    pages = [((document.parent / page) if page else document, anchor) for page, anchor in links]
    local = [(page, anchor) for page, anchor in pages if page.suffix == ".md"]
    assert [(page.name, anchor) for page, anchor in local if anchor not in anchors(page)] == []


@pytest.mark.parametrize(
    "name",
    [
        *breaker_asgi.__all__,
        *(each.name for each in fields(BreakerConfig) if each.init),
        *(each.name for each in fields(BreakerSnapshot)),
        *(name for name in vars(CircuitBreakerListener) if not name.startswith("_")),
        *(name for name in vars(breaker_asgi.CircuitBreaker) if not name.startswith("_")),
        *(name for name in vars(breaker_asgi.Permit) if not name.startswith("_")),
        *(state.name.lower() for state in breaker_asgi.CircuitBreakerState),
    ],
)
def test_the_reference_speaks_of_every_public_name(name: str) -> None:
    assert re.search(rf"\b{name}\b", (ROOT / "docs/reference.md").read_text())
