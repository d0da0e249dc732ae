"""The examples of `docs/monitor.md`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import breaker_asgi

DOCUMENT = Path(breaker_asgi.__file__).parent.parent / "docs/monitor.md"


def example(heading: str) -> dict[str, Any]:
    """Return the names that the last Python block below a heading defines."""
    text = DOCUMENT.read_text()
    (section,) = re.findall(
        rf"^##+ {re.escape(heading)}\n(.*?)(?=^##|\Z)", text, re.DOTALL | re.MULTILINE
    )
    *_, code = re.findall(r"^```python\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    defined: dict[str, Any] = {"__name__": "example"}
    exec(compile(code, str(DOCUMENT), "exec", dont_inherit=True), defined)
    return defined
