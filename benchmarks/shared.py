"""State that processes share: what it costs, how fast it is known, and the same of others."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import agreement, commands, growth, pauses, probers, shared_calls, shared_peers
from benchmarks.servers import Server, has_redis, redis
from benchmarks.tables import Table


def tables(rounds: int) -> Iterator[Table]:
    """Each has stores of its own, so that none sees what another one has left."""
    with _elsewhere():
        for part in (shared_calls.table, pauses.table, commands.table, agreement.ours):
            with TemporaryDirectory() as folder, _redis_or_none() as server:
                yield part(rounds, Path(folder), server)
        for over_redis in (shared_peers.table, agreement.peers, probers.table):
            with _redis_or_none() as server:
                if server is not None:
                    yield over_redis(rounds, server)
    yield growth.table()


def _redis_or_none() -> AbstractContextManager[Server | None]:
    return redis() if has_redis() else nullcontext()


@contextmanager
def _elsewhere() -> Iterator[None]:
    """What is logged is written, as it costs time, but to where nobody reads it."""
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
