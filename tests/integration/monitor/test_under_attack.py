"""A monitor whose process forks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent.parent
FORKS = """
import asyncio, json, logging, os, sys
from breaker_asgi import BreakerRegistry, CircuitBreakerMonitor
from breaker_asgi.monitor.history import History
from breaker_asgi.monitor.event_log import EventLog
from tests.asgi.visitor import visit
from tests.monitor.test_under_attack import reading, settle

logging.getLogger("breaker_asgi").setLevel(logging.ERROR)
registry = BreakerRegistry()
monitor = CircuitBreakerMonitor(registry=registry)
payments = registry.get("payments")
history = History.of(registry)

async def child():
    listed = (await visit(monitor)).json
    assert listed["worker"]["pid"] == os.getpid()
    assert history._loop is asyncio.get_running_loop()
    async with reading(monitor) as reader:
        assert len(EventLog.of(registry)._readers) == 1
        payments.close()
        await settle()
        assert reader.names == ["payments"], reader.events
    ticks = history.ticks
    while history.ticks == ticks:
        await asyncio.sleep(0.05)

async def parent():
    await visit(monitor)
    async with reading(monitor) as reader:
        payments.open()
        await settle()
        if (pid := os.fork()) == 0:
            asyncio._set_running_loop(None)
            try:
                asyncio.run(child())
            except BaseException:
                sys.excepthook(*sys.exc_info())
                os._exit(1)
            os._exit(0)
        _, status = await asyncio.to_thread(os.waitpid, pid, 0)
        assert status == 0, status
        payments.close()
        await settle()
        assert reader.names == ["payments"] * 2, reader.events

asyncio.run(parent())
"""


def test_a_fork_begins_anew_and_does_not_disturb_its_parent() -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKS],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
