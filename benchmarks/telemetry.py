"""The cost of telemetry for calls, for requests, and for its observers."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cache, partial
from statistics import median
from time import perf_counter_ns, thread_time_ns
from typing import NamedTuple

import prometheus_client
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.trace import Tracer
from prometheus_client import CollectorRegistry, make_asgi_app

from benchmarks.calls import (
    FAIL_IF,
    FAILING,
    REJECTED,
    SUCCEED,
    SUCCEEDING,
    Mix,
    Target,
    runner,
    warm,
)
from benchmarks.guards import LIMIT
from benchmarks.http import nothing, requests
from benchmarks.tables import Table, mark, number
from benchmarks.timing import Case, Run, Timings, measure, problems, ratio
from breaker_asgi import BreakerMiddleware, BreakerRegistry
from breaker_asgi.asgi.types import Message
from breaker_asgi.telemetry.opentelemetry import instrument
from breaker_asgi.telemetry.prometheus import BreakerCollector, generate_latest
from breaker_asgi.telemetry.spans import SpanEvents

AIM = 1.10
SIZES = (10, 100, 500)
SCRAPE_AIM, PAUSE_AIM = 50.0, 10.0
"""Milliseconds."""
OFF = "off"

_MOST_REPEATS = 15
_LONG = 1e6
"""Seconds."""

logger = logging.getLogger("breaker_asgi")

Look = Callable[[], object]
"""The work of a hook once a second."""


def _off(_registry: BreakerRegistry) -> Look:
    return lambda: None


def _prometheus(registry: BreakerRegistry) -> Look:
    return BreakerCollector(registry).tick


def _opentelemetry(registry: BreakerRegistry) -> Look:
    provider = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
    return instrument(registry, meter_provider=provider).tick


def _api_alone(registry: BreakerRegistry) -> Look:
    """Switch on OpenTelemetry without an SDK, as in a service that has none."""
    return instrument(registry).tick


def _tracing(registry: BreakerRegistry) -> Look:
    """Switch on span events, with an SDK."""
    registry.add_listener(SpanEvents({}))
    return _off(registry)


@cache
def _tracer() -> Tracer:
    """Return a tracer of an SDK without an exporter, and hide the SDK from the API's case."""
    from opentelemetry.sdk import trace  # noqa: PLC0415

    del sys.modules[trace.__name__]
    return trace.TracerProvider(shutdown_on_exit=False).get_tracer("benchmark")


def _in_a_span() -> AbstractContextManager[object]:
    return _tracer().start_as_current_span("a request")


def _logging(registry: BreakerRegistry) -> Look:
    """Handle all log records; in the other cases none is handled."""
    logger.setLevel(logging.DEBUG)
    return _off(registry)


class Hook(NamedTuple):
    """A kind of telemetry, and the context of its calls."""

    switch_on: Callable[[BreakerRegistry], Look]
    around: Callable[[], AbstractContextManager[object]] = nullcontext


HOOKS = {
    OFF: Hook(_off),
    "Prometheus": Hook(_prometheus),
    "OpenTelemetry, metrics": Hook(_opentelemetry),
    "OpenTelemetry, no SDK": Hook(_api_alone),
    "tracing, in no span": Hook(_tracing),
    "tracing, in a span that records": Hook(_tracing, _in_a_span),
    "logging": Hook(_logging),
}
_TRACED = "A service with tracing has a span that records around each request that is sampled."


class Kind(NamedTuple):
    """Calls with the same outcome."""

    name: str
    target: Target
    mix: Mix
    is_open: bool = False


KINDS = (
    Kind("succeeding", SUCCEED, SUCCEEDING),
    Kind("failing", FAIL_IF, FAILING),
    Kind("rejected", SUCCEED, REJECTED, is_open=True),
)


def tables(rounds: int) -> Iterator[Table]:
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    yield _calls(rounds)
    yield _requests(rounds)
    yield _looks(rounds)


def _calls(rounds: int) -> Table:
    cases = [
        Case(f"{kind.name}, {name}", partial(_calling, kind, hook))
        for kind in KINDS
        for name, hook in HOOKS.items()
    ]
    timings = measure(cases, rounds)
    rows = [
        _row(f"{kind.name}, {hook}", f"{kind.name}, {OFF}", timings)
        for kind in KINDS
        for hook in HOOKS
    ]
    return Table(
        "A call with telemetry",
        ["case", "ns", "x off", "aim", "is"],
        rows,
        "An async function, guarded by `fail_max`. What is done once a second is done before each "
        f"piece of a slice, hundreds of times as often, and has calls timed. {_TRACED}",
        problems(timings),
    )


def _calling(kind: Kind, hook: Hook) -> Run:
    registry, look = _switch(hook)
    breaker = registry.get("bank", fail_max=LIMIT)
    run = runner(breaker(kind.target.of(asynchronous=True)), kind.mix, asynchronous=True)
    if kind.is_open:
        breaker.open(_LONG)  # not forced: a rejection with a time has the shortest path
    else:
        warm(run)
    return _after(look, run, hook)


def _switch(hook: Hook) -> tuple[BreakerRegistry, Look]:
    logger.setLevel(logging.ERROR)
    registry = BreakerRegistry()
    return registry, hook.switch_on(registry)


def _after(look: Look, run: Run, hook: Hook) -> Run:
    def after_a_look(calls: int) -> float:
        look()
        with hook.around():
            return run(calls)

    return after_a_look


def _requests(rounds: int) -> Table:
    timings = measure(
        [Case(name, partial(_requesting, hook)) for name, hook in HOOKS.items()], rounds
    )
    return Table(
        "A request with telemetry",
        ["case", "ns", "x off", "aim", "is"],
        [_row(hook, OFF, timings) for hook in HOOKS],
        "Through the middleware, to an application that does nothing; looked at as often. "
        f"{_TRACED}",
        problems(timings),
    )


def _requesting(hook: Hook) -> Run:
    registry, look = _switch(hook)
    return _after(look, requests(BreakerMiddleware(nothing, registry=registry)), hook)


def _row(name: str, base: str, timings: Mapping[str, Timings]) -> list[str]:
    timed = timings[name]
    if timed.problem is not None:
        return [name, timed.blank, "-", "", ""]
    times = ratio(timed, timings[base])
    judged = ["", ""] if name == base else [f"{AIM:.2f}", mark(met=times <= AIM)]
    return [name, f"{timed.typical:,.0f}", f"{times:.3f}", *judged]


def _looks(rounds: int) -> Table:
    repeats = min(rounds, _MOST_REPEATS)
    return Table(
        "Looking, in milliseconds",
        [
            "case", "a second", "a scrape", "aim", "is", "by the client library",
            "pause", "aim", "is", "pause by make_asgi_app", "kB",
        ],
        [_look_row(size, repeats) for size in SIZES],
        "Of breakers that are called all the time. A second is what the thread beside the calls "
        "does in one. A scrape is the processor's time of our `generate_latest`, and of "
        "prometheus-client's. A pause is the longest of an event loop during a scrape, in a thread "
        "or by prometheus-client's `make_asgi_app`; of all these the medians.",
    )  # fmt: skip


def _look_row(size: int, repeats: int) -> list[str]:
    registry, exported = BreakerRegistry(), CollectorRegistry()
    breakers = [registry.get(f"{place}") for place in range(size)]
    collector = BreakerCollector(registry)
    exported.register(collector)

    def call_all() -> None:
        for breaker in breakers:
            breaker.acquire().success()

    def typical(figure: Callable[[], float]) -> float:
        figures = []
        for _ in range(repeats + 1):
            call_all()
            figures.append(figure())
        return median(figures[1:]) / 1e6

    second = typical(lambda: _time(collector.tick))
    ours = typical(lambda: _time(lambda: generate_latest(exported)))
    theirs = typical(lambda: _time(lambda: prometheus_client.generate_latest(exported)))
    in_a_thread = partial(asyncio.to_thread, generate_latest, exported)
    pause = typical(lambda: asyncio.run(_pause(in_a_thread)))
    on_the_loop = typical(lambda: asyncio.run(_pause(partial(_get, make_asgi_app(exported)))))
    return [
        f"{size} breakers", number(second),
        number(ours), number(SCRAPE_AIM), mark(met=ours <= SCRAPE_AIM), number(theirs),
        number(pause), number(PAUSE_AIM), mark(met=pause <= PAUSE_AIM), number(on_the_loop),
        f"{len(generate_latest(exported)) / 1000:,.0f}",
    ]  # fmt: skip


def _time(look: Look) -> float:
    start = thread_time_ns()
    look()
    return thread_time_ns() - start


async def _pause(scrape: Callable[[], Awaitable[object]]) -> float:
    """Return the nanoseconds of the loop's longest turn until a scrape is done."""
    await asyncio.to_thread(bool)  # begins the thread, as the first request of a service does
    scraping = asyncio.ensure_future(scrape())
    longest, before = 0, perf_counter_ns()
    while not scraping.done():
        await asyncio.sleep(0)
        now = perf_counter_ns()
        longest, before = max(longest, now - before), now
    await scraping
    return longest


async def _get(app: Callable[..., Awaitable[None]]) -> None:
    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(_message: Message) -> None:
        pass

    await app({"type": "http", "headers": [], "query_string": b""}, receive, send)
