"""Examples of the documents that need more packages than `make test` installs, or time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.examples import examples, run_example


@pytest.mark.parametrize(("code", "before", "document", "line"), [*examples(needs_more=True)])
def test_the_example_runs_as_it_stands(
    code: str, before: str, document: Path, line: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_example(code, before, document, line, monkeypatch)
