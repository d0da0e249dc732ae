"""The text of `docs/telemetry.md`."""

from __future__ import annotations

from pathlib import Path

GUIDE = (Path(__file__).parent.parent.parent / "docs/telemetry.md").read_text()
