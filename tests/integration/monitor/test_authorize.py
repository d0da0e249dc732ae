"""Plain functions that authorize, in processes that were forked."""

from __future__ import annotations

import subprocess
import sys

FORKED = """
import asyncio, os
from breaker_asgi import BreakerRegistry, CircuitBreakerMonitor
from tests.asgi.visitor import visit

monitor = CircuitBreakerMonitor(registry=BreakerRegistry(), authorize=lambda _: True)
statuses = [asyncio.run(visit(monitor)).status for _ in range(2)]
child = os.fork()
status = asyncio.run(asyncio.wait_for(visit(monitor), 5)).status
if not child:
    os._exit(status != 200)
print(status, os.waitpid(child, 0)[1])
"""


def test_a_forked_process_has_threads_of_its_own_to_authorize_in() -> None:
    command = [sys.executable, "-W", "ignore", "-c", FORKED]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    assert done.stdout.split() == ["200", "0"]
