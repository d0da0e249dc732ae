"""Server processes for the tests of clients."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent.parent


@contextmanager
def started(module: str, *arguments: str) -> Iterator[str]:
    """Run a process that prints its port, and ends with its input; yield its address."""
    with subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout
            yield f"127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()
