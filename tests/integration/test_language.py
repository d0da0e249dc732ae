"""The rules of language of CONTRIBUTING.md, as far as a program can check them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
FOLDERS = ["breaker_asgi", "tests", "example_app", "benchmarks"]
FILES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
RIDDLE = re.compile(r"(What|Whether|Who|Whose|Whom|How|Those|That|Of)\b")
"""No docstring begins with one of these: they hide the noun or the verb."""
NO_VERB = re.compile(
    r"(A|An|The|This|These|It|Its|There|Not|No|One|All|Some|Each|Every|Any|Seconds|True|False|None|So|"
    r"As|Until|In|On|At|By|Of|For|From|With|If|Where|When|While|Here|Now|Soon|Such|Both|Which|We|You)\b"
)
"""The docstring of a function does not begin with one of these, but with a verb."""
PARTICIPLES = {"each", "said", "told", "seen", "found", "given", "known", "asked", "heard", "shown"}
"""Names that do not describe a value, as its noun would."""
UNCLEAR_TEST = re.compile(r"test_(who|what|it|whatever|those|that|so)_")

Definition = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@cache
def nodes(path: Path) -> list[ast.AST]:
    return [*ast.walk(ast.parse(path.read_text()))]


def place(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"


def docstrings(path: Path) -> Iterator[tuple[ast.AST, str]]:
    """Return the docstrings of definitions, and those of attributes and constants."""
    for node in nodes(path):
        if isinstance(node, Definition) and (text := ast.get_docstring(node)):
            yield node, text
        for before, after in pairwise(body(node)):
            if not isinstance(before, ast.Assign | ast.AnnAssign):
                continue
            if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                yield after, str(after.value.value)


def body(node: ast.AST) -> list[ast.stmt]:
    return node.body if isinstance(node, Definition) else []


def is_property(node: ast.AST) -> bool:
    decorators = getattr(node, "decorator_list", [])
    return any("property" in ast.unparse(decorator) for decorator in decorators)


def test_no_docstring_begins_with_a_riddle() -> None:
    breaches = [
        f"{place(path, node)} {text.splitlines()[0]}"
        for path in FILES
        for node, text in docstrings(path)
        if RIDDLE.match(text)
    ]
    assert breaches == []


def test_the_docstring_of_a_function_begins_with_a_verb() -> None:
    breaches = [
        f"{place(path, node)} {text.splitlines()[0]}"
        for path in FILES
        if path.is_relative_to(ROOT / "breaker_asgi")
        for node, text in docstrings(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if not is_property(node) and NO_VERB.match(text)
    ]
    assert breaches == []


def test_a_value_is_named_by_its_noun() -> None:
    breaches = [
        f"{place(path, node)} {name}"
        for path in FILES
        for node in nodes(path)
        for name in (getattr(node, "id", None), getattr(node, "arg", None))
        if name in PARTICIPLES and not isinstance(getattr(node, "ctx", None), ast.Load)
    ]
    assert breaches == []


def test_the_name_of_a_test_says_who_does_what() -> None:
    breaches = [
        f"{place(path, node)} {node.name}"
        for path in FILES
        for node in nodes(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if UNCLEAR_TEST.match(node.name)
    ]
    assert breaches == []
