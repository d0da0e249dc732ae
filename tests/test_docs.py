"""Documents: every Python example in them runs, and every link leads somewhere."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

import breaker_asgi
from breaker_asgi import BreakerConfig, BreakerSnapshot, CircuitBreakerListener
from tests.examples import DOCUMENTS, ROOT, examples, run_example


@pytest.mark.parametrize(("code", "before", "document", "line"), [*examples(needs_more=False)])
def test_the_example_runs_as_it_stands(
    code: str, before: str, document: Path, line: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_example(code, before, document, line, monkeypatch)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_link_to_a_file_leads_to_one(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", document.read_text())
    local = [link for link in links if "://" not in link and not link.startswith("mailto:")]
    assert [link for link in local if not (document.parent / link).exists()] == []


def anchors(document: Path) -> set[str]:
    """Return the anchors of the headings of a document."""
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
        *(setting.name for setting in fields(BreakerConfig) if setting.init),
        *(attribute.name for attribute in fields(BreakerSnapshot)),
        *(name for name in vars(CircuitBreakerListener) if not name.startswith("_")),
        *(name for name in vars(breaker_asgi.CircuitBreaker) if not name.startswith("_")),
        *(name for name in vars(breaker_asgi.Permit) if not name.startswith("_")),
        *(state.name.lower() for state in breaker_asgi.CircuitBreakerState),
    ],
)
def test_the_reference_documents_every_public_name(name: str) -> None:
    assert re.search(rf"\b{name}\b", (ROOT / "docs/reference.md").read_text())
