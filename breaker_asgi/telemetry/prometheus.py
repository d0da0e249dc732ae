"""For Prometheus: `REGISTRY.register(BreakerCollector())`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, ref

from breaker_asgi._core.extras import needs

with needs(__name__, "prometheus_client"):
    from prometheus_client import REGISTRY
    from prometheus_client import Metric as Family
    from prometheus_client.core import GaugeMetricFamily
    from prometheus_client.registry import Collector
    from prometheus_client.utils import floatToGoString

from breaker_asgi._core import validation
from breaker_asgi._core.counters import Recent
from breaker_asgi._core.errors import BreakerConfigError
from breaker_asgi.registry import BreakerRegistry, default_registry
from breaker_asgi.telemetry.collector import LIMIT, ExportedBreakers, Row, sendable
from breaker_asgi.telemetry.durations import BUCKETS, Histogram, checked_buckets, clockwork
from breaker_asgi.telemetry.metrics import (
    CALL_DURATION,
    METRICS,
    samples_beside,
    samples_of,
)
from breaker_asgi.telemetry.prometheus_multiprocess import VARIABLE, Workers
from breaker_asgi.telemetry.prometheus_text import BreakerFamily, generate_latest, with_breaths

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from breaker_asgi.breaker import CircuitBreaker

__all__ = ["BreakerCollector", "generate_latest"]

_ROWS = 50
"""Breakers that are read between two breaths: about a millisecond."""
_LABEL = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")
_TAKEN = frozenset(label for metric in METRICS for label in metric.labels) | {"le", "pid"}
_registered: list[tuple[ref[BreakerRegistry], BreakerCollector]] = []
"""The collectors that `switch_on` has registered, with their registries."""


class BreakerCollector(Collector):
    """The breakers of a registry as metrics, read at each scrape.

        REGISTRY.register(BreakerCollector())

    At most `limit` breakers are exported; `circuitbreaker_not_exported` counts the others.
    `labels` are added to each series, such as `{"registry": "payments"}`. `buckets` are the upper
    bounds in seconds of the histogram of durations. Where PROMETHEUS_MULTIPROC_DIR is set, the
    same metrics are kept for `MultiProcessCollector` too.

    Raises `BreakerConfigError` for a setting that is wrong.
    """

    def __init__(
        self,
        registry: BreakerRegistry = default_registry,
        *,
        limit: int = LIMIT,
        labels: Mapping[str, str] | None = None,
        buckets: Iterable[float] = BUCKETS,
    ) -> None:
        self._exported = ExportedBreakers(registry, limit)
        self._labels = _checked_labels(labels or {})
        self._bounds = checked_buckets(buckets)
        self._bound_texts = [*map(floatToGoString, self._bounds), "+Inf"]
        self._none = Histogram(self._bounds)
        self._recent = Recent()
        self._durations: WeakKeyDictionary[CircuitBreaker, Histogram] = WeakKeyDictionary()
        if os.environ.get(VARIABLE):
            Workers.begin(registry, self._exported.limit, self._labels, self._bounds)
        clockwork.tick_for(self)

    def describe(self) -> Iterator[Family]:
        """Yield the metrics without values: registration reads no breaker."""
        yield from (BreakerFamily(metric, {}) for metric in METRICS)

    def collect(self) -> Iterator[Family]:
        """Yield the metrics with their values."""
        families = {metric: BreakerFamily(metric, self._labels) for metric in METRICS}
        for row in with_breaths(self._exported.rows(), _ROWS):
            for metric, labels, value in samples_of(row):
                families[metric].add(labels, value)
            self._add_durations(families[CALL_DURATION], row)
        yield from (family for family in families.values() if family)
        for metric, labels, value in samples_beside(self._exported):
            names = [*metric.labels, *self._labels]
            family = GaugeMetricFamily(metric.name, metric.text, labels=names)
            family.add_metric([*labels, *self._labels.values()], value)
            yield family

    def tick(self) -> None:
        """Add the durations of the last second."""
        for breakers in self._exported.breakers().values():
            for breaker in breakers:
                for seconds in self._recent.take(breaker):
                    self._durations.setdefault(breaker, Histogram(self._bounds)).add(seconds)

    def start_anew(self) -> None:
        """Begin in a child process."""
        self._exported.start_anew()

    def _add_durations(self, family: BreakerFamily, row: Row) -> None:
        none = self._none  # a series that begins at its first call shows no increase
        durations = [self._durations.get(alike.breaker, none) for alike in row.alike]
        every = zip(*(histogram.cumulative() for histogram in durations), strict=True)
        counts = [sum(counts) for counts in every]
        seconds = sum(histogram.sum for histogram in durations)
        buckets = zip(self._bound_texts, counts, strict=True)
        family.add_histogram(row.name, buckets, counts[-1], seconds)


def _checked_labels(labels: Mapping[str, str]) -> dict[str, str]:
    remedy = 'Write labels={"registry": "payments"}'
    validation.instance("labels", labels, Mapping, remedy)
    for label, value in labels.items():
        validation.text(f"labels[{label!r}]", value)
        if not (isinstance(label, str) and _LABEL.fullmatch(label)):
            raise validation.not_allowed("a label", label, "letters, digits and `_`", remedy)
        if label in _TAKEN:
            raise validation.not_allowed("a label", label, "one that no metric has already", remedy)
    return {label: sendable(value) for label, value in labels.items()}


def switch_on(registry: BreakerRegistry) -> None:
    """Register a collector with prometheus-client's own registry, unless that has been done."""
    for registry_ref, collector in list(_registered):
        if registry_ref() is None:
            _registered.remove((registry_ref, collector))
            with suppress(KeyError):  # unregistered already
                REGISTRY.unregister(collector)
        elif registry_ref() is registry:
            with suppress(ValueError):  # still registered
                REGISTRY.register(collector)
            return
    collector = BreakerCollector(registry)
    try:
        REGISTRY.register(collector)
    except ValueError as error:
        raise BreakerConfigError(
            "REGISTRY has metrics called circuitbreaker_... already: of a BreakerCollector that "
            "was registered by hand, of another registry of breakers, or of another library. "
            "Register BreakerCollector(registry) with a CollectorRegistry of its own."
        ) from error
    _registered.append((ref(registry), collector))
