"""All tables of shared state: its costs, the time to agree, and both of other libraries."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.shared import (
    agreement,
    commands,
    fleets,
    growth,
    pauses,
    probers,
    shared_calls,
    shared_peers,
)
from benchmarks.shared.servers import Server, has_redis, redis
from benchmarks.tables import Table


def tables(rounds: int) -> Iterator[Table]:
    """Yield the tables, each with stores of its own."""
    with _log_to_nowhere():
        for part in (shared_calls.table, pauses.table, commands.table, agreement.ours):
            with TemporaryDirectory() as folder, _redis_or_none() as server:
                yield part(rounds, Path(folder), server)
        for over_redis in (shared_peers.table, agreement.peers, probers.table):
            with _redis_or_none() as server:
                if server is not None:
                    yield over_redis(rounds, server)
        if has_redis():
            yield fleets.table(rounds)
    yield growth.table()


def _redis_or_none() -> AbstractContextManager[Server | None]:
    return redis() if has_redis() else nullcontext()


@contextmanager
def _log_to_nowhere() -> Iterator[None]:
    """Write the log to the null device: it costs time, and would spoil the tables."""
    logger = logging.getLogger("breaker_asgi")
    with Path(os.devnull).open("w") as nowhere:
        handler = logging.StreamHandler(nowhere)
        logger.addHandler(handler)
        logger.propagate = False
        try:
            yield
        finally:
            logger.propagate = True
            logger.removeHandler(handler)
