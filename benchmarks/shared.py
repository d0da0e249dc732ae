"""State that processes share: what it costs, how fast it is known, and the same of others."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks import agreement, commands, growth, pauses, probers, shared_calls, shared_peers
from benchmarks.servers import Server, has_redis, redis
from benchmarks.tables import Table


def tables(rounds: int) -> Iterator[Table]:
    with _elsewhere(), ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(redis()) if has_redis() else None
        yield shared_calls.table(rounds, folder, server)
        yield pauses.table(rounds, folder, server)
        yield commands.table(rounds, folder, server)
        yield agreement.ours(rounds, folder, server)
        if server is not None:
            yield from _over_redis(rounds, server)
    yield growth.table()


def _over_redis(rounds: int, server: Server) -> Iterator[Table]:
    yield shared_peers.table(rounds, server)
    yield agreement.peers(rounds, server)
    yield probers.table(rounds, server)


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
