"""The Python examples of the documents: each runs on its own, or as `main` before the next."""

from __future__ import annotations

import ast
import asyncio
import inspect
import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from breaker_asgi.fastapi import _dependency
from breaker_asgi.testing import fresh_registry

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "example_app/*.md", "benchmarks/**/*.md")
    for path in ROOT.glob(pattern)
)
_NEEDS_MORE = re.compile(
    r"(import|from) (blacksheep|django|falcon|grpc|litestar|quart|sanic|sqlalchemy)"
    r"|other\.fleet\.stop"
)
"""Pattern of examples that need more than the group `test` of pyproject.toml, or time."""


def examples(*, needs_more: bool) -> Iterator[Any]:
    """Yield the examples that `make test` can run, or those that need more."""
    for document in DOCUMENTS:
        if document.name == "sdks.md":
            continue  # its examples need servers: tests/integration/sdks has them
        text = document.read_text()
        before = ""
        for block in re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            line = text[: block.start()].count("\n") + 2
            where = f"{document.relative_to(ROOT)}:{line}"
            if bool(_NEEDS_MORE.search(block[1])) is needs_more:
                yield pytest.param(block[1], before, document, line, id=where)
            before = block[1]


def run_example(
    code: str, before: str, document: Path, line: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run an example with an empty default registry, and leave the log as it was."""
    _dependency.cache_clear()
    module = type(sys)("example")
    monkeypatch.setitem(sys.modules, "example", module)
    if "from main import" in code:  # the example before it
        main = type(sys)("main")
        monkeypatch.setitem(sys.modules, "main", main)
        exec(before, vars(main))
    for variable in re.findall(r'os\.environ\["(\w+)"\]', code):
        monkeypatch.setenv(variable, "of-the-test")
    source = ast.parse("\n" * (line - 1) + code)
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    compiled = compile(source, str(document), "exec", flags, dont_inherit=True)

    async def run() -> None:
        result = eval(compiled, vars(module))
        if inspect.iscoroutine(result):
            await asyncio.wait_for(result, timeout=10)

    loggers = [logging.getLogger(), logging.getLogger("breaker_asgi")]
    states = [(logger, logger.level, [*logger.handlers]) for logger in loggers]
    try:
        with fresh_registry():
            asyncio.run(run())
    finally:  # examples set up the log, and frameworks bring handlers of their own
        for logger, level, handlers in states:
            logger.setLevel(level)
            logger.handlers[:] = handlers
