"""The text of a scrape: prometheus-client's, with the lines of breakers written at less cost."""

from __future__ import annotations

from functools import cached_property, lru_cache
from time import sleep
from typing import TYPE_CHECKING, TypeVar

from breaker_asgi._core.extras import needs

with needs(__name__, "prometheus_client"):
    import prometheus_client
    from prometheus_client import REGISTRY
    from prometheus_client import Metric as Family
    from prometheus_client.samples import Sample
    from prometheus_client.utils import floatToGoString

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from prometheus_client.registry import Collector

    from breaker_asgi.telemetry.metrics import Metric

T = TypeVar("T")

_LINES = 2_000
"""Lines between two breaths: about a millisecond."""
_BREATH = 0.00005
"""Seconds for other threads to take the interpreter, which they get after 5 ms otherwise."""
_number = lru_cache(4096)(floatToGoString)


def generate_latest(registry: Collector = REGISTRY) -> bytes:
    """Return the text that prometheus-client's `generate_latest` returns, in less time.

    Call it in a thread, as a route that is a plain function does: other requests go on meanwhile.
    """
    return b"".join(
        family.text() if isinstance(family, BreakerFamily) else _text_of(family)
        for family in registry.collect()
    )


def with_breaths(items: Iterable[T], size: int) -> Iterator[T]:
    """Yield all items, and after each `size` of them let other threads run: an event loop's."""
    for number, item in enumerate(items, 1):
        yield item
        if not number % size:
            sleep(_BREATH)


class BreakerFamily(Family):
    """A metric of all breakers. The first label is the breaker's name; `constants` are added.

    Samples are made when they are first read: the text is written without them.
    """

    def __init__(self, metric: Metric, constants: Mapping[str, str]) -> None:
        super().__init__(metric.name, metric.text, metric.kind)
        del self.samples
        self._suffix = "_total" if metric.kind == "counter" else ""
        self._labels = (*metric.labels, "le")
        self._constants = constants
        self._values: list[tuple[str, tuple[str, ...], float]] = []

    def __bool__(self) -> bool:
        """Return True if there is a value."""
        return bool(self._values)

    def add(self, labels: tuple[str, ...], value: float) -> None:
        """Add the value of a gauge or a counter."""
        self._values.append((self._suffix, labels, value))

    def add_histogram(
        self, name: str, buckets: Iterable[tuple[str, int]], number: int, total: float
    ) -> None:
        """Add a histogram, with its buckets by their bounds."""
        self._values += [("_bucket", (name, bound), count) for bound, count in buckets]
        self._values += [("_count", (name,), number), ("_sum", (name,), total)]

    @cached_property
    def samples(self) -> list[Sample]:  # type: ignore[override]
        return [
            Sample(self.name + suffix, self._named(self._labels, labels), value)
            for suffix, labels, value in self._values
        ]

    def text(self) -> bytes:
        """Return the lines of the metric."""
        lines: list[str] = []
        around: dict[tuple[str, tuple[str, ...]], tuple[str, str]] = {}
        for suffix, labels, value in with_breaths(self._values, _LINES):
            series = suffix, labels[1:]
            if series not in around:
                around[series] = self._around(*series)
            start, end = around[series]
            lines.append(f"{start}{_escaped(labels[0])}{end}{_number(value)}\n")
        header = Family(self.name, self.documentation, self.type)
        return _text_of(header) + "".join(lines).encode()

    def _around(self, suffix: str, others: tuple[str, ...]) -> tuple[str, str]:
        """Return the text of a line before the breaker's name, and from there to the value."""
        first, *names = self._labels
        pairs = {
            label: f'{label}="{_escaped(text)}"'
            for label, text in sorted(self._named(names, others).items())
        }
        before = "".join(f"{pair}," for label, pair in pairs.items() if label < first)
        after = "".join(f",{pair}" for label, pair in pairs.items() if label > first)
        return f'{self.name}{suffix}{{{before}{first}="', f'"{after}}} '

    def _named(self, names: Iterable[str], labels: tuple[str, ...]) -> dict[str, str]:
        return {**dict(zip(names, labels, strict=False)), **self._constants}


class _Alone:
    """A collector of one family."""

    def __init__(self, family: Family) -> None:
        self._family = family

    def collect(self) -> list[Family]:
        return [self._family]


def _text_of(family: Family) -> bytes:
    return prometheus_client.generate_latest(_Alone(family))


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
