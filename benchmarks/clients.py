"""The cost that a guarded transport adds to a request of a client."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from time import perf_counter_ns
from typing import Any

from benchmarks.tables import Table, mark, number
from benchmarks.timing import Case, Run, measure, problems, ratio
from breaker_asgi import BreakerRegistry

LIBRARIES = ("httpx", "httpx2")
_AIM = 1.05
_URL = "http://bank.example/rates?currency=EUR"


def tables(rounds: int) -> Iterator[Table]:
    yield _requests(rounds)


def _requests(rounds: int) -> Table:
    cases = [
        Case(name, partial(prepare, library, guarded=guarded))
        for library in LIBRARIES
        for kind, prepare in (("async", _async_client), ("sync", _client))
        for name, guarded in (
            (f"{library}, {kind}", False),
            (f"{library}, {kind}, ours", True),
        )
    ]
    timings = measure(cases, rounds)
    rows = []
    for name, timed in timings.items():
        base = timings[name.removesuffix(", ours")]
        if timed.problem is not None:
            rows.append([name, timed.blank, "-", "", ""])
            continue
        times = ratio(timed, base)
        judged = [number(_AIM), mark(met=times <= _AIM)] if timed is not base else ["", ""]
        rows.append([name, f"{timed.typical:,.0f}", number(times), *judged])
    return Table(
        "A request of a client, over a transport that answers at once",
        ["case", "ns", "x without", "aim", "is"],
        rows,
        "The client's own cost, without a network; a body of 20 bytes is read.",
        problems(timings),
    )


def _parts(name: str) -> tuple[Any, Any]:
    return import_module(name), import_module(f"breaker_asgi.clients.{name}")


def _answering(library: Any) -> Any:
    """Return a transport that answers by a stream, as a network does."""
    head = [("content-type", "application/json"), ("content-length", "20")]

    class Body(library.AsyncByteStream, library.SyncByteStream):  # type: ignore[misc]
        def __iter__(self) -> Iterator[bytes]:
            yield b'{"rate": 1.10000000}'

        async def __aiter__(self) -> Any:
            yield b'{"rate": 1.10000000}'

    def answer(_: Any) -> Any:
        return library.Response(200, headers=head, stream=Body())

    return library.MockTransport(answer)


def _async_client(name: str, *, guarded: bool) -> Run:
    library, ours = _parts(name)
    transport = _answering(library)
    if guarded:
        transport = ours.AsyncBreakerTransport(transport, registry=BreakerRegistry())
    client = library.AsyncClient(transport=transport)
    loop = asyncio.new_event_loop()

    async def drive(calls: int) -> int:
        start = perf_counter_ns()
        for _ in range(calls):
            await client.get(_URL)
        return perf_counter_ns() - start

    return _warm(lambda calls: loop.run_until_complete(drive(calls)) / calls)


def _client(name: str, *, guarded: bool) -> Run:
    library, ours = _parts(name)
    transport = _answering(library)
    if guarded:
        transport = ours.BreakerTransport(transport, registry=BreakerRegistry())
    client = library.Client(transport=transport)

    def run(calls: int) -> float:
        start = perf_counter_ns()
        for _ in range(calls):
            client.get(_URL)
        return (perf_counter_ns() - start) / calls

    return _warm(run)


def _warm(run: Run) -> Run:
    run(20)
    return run
