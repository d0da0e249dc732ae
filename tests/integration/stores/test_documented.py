"""The store that `docs/stores.md` shows, and the variable for a store."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import breaker_asgi
from breaker_asgi.testing import FakeClock
from breaker_asgi.testing.stores import StoreContract

DOCUMENTS = Path(breaker_asgi.__file__).parent.parent / "docs"
ASK = """
from breaker_asgi import CircuitBreaker, default_registry
bank = CircuitBreaker(name="bank")
fleet = default_registry.fleet
print(fleet and (fleet.store.label, fleet.quorum))
"""


def documented_store(clock: FakeClock) -> Any:
    """Return the class in `docs/stores.md`, with a fake clock."""
    (code,) = re.findall(  # without its usage
        r"^```python\n(.*?class FileStore.*?)^with ",
        (DOCUMENTS / "stores.md").read_text(),
        re.DOTALL | re.MULTILINE,
    )
    defined: dict[str, Any] = {"__name__": "example"}
    exec(compile(code, "docs/stores.md", "exec", dont_inherit=True), defined)
    defined["time"] = SimpleNamespace(time=clock, monotonic=time.monotonic, sleep=time.sleep)
    return defined["FileStore"]


# The store writes its whole file at each change: ten seconds for ten thousand breakers.
class TestTheDocumentedStore(StoreContract):
    advances = True

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "breakers.json"
        self.clock = FakeClock(1_000)

    def open(self) -> Any:
        return documented_store(self.clock)(self.path)

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def damage(self, store: Any, name: str) -> None:
        kept = json.loads(self.path.read_text())
        kept[name][0] = '{"state":'
        self.path.write_text(json.dumps(kept))


def test_the_variable_is_for_the_default_registry(tmp_path: Path) -> None:
    path = tmp_path / "folder/breakers.db"
    where = {**os.environ, "BREAKER_ASGI_STORE": f"sqlite:///{path}"}
    output = subprocess.check_output([sys.executable, "-c", ASK], env=where, text=True)
    assert output.strip() == f"('sqlite:{path}', 1)"
    assert path.exists()
