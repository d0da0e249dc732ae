"""For `MultiProcessCollector`, which reads no collectors: real metrics, kept up to date.

Each worker updates them each second, when its application has shut down, and when the process
ends. The counts of a killed worker since its last tick are lost.
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

from breaker_asgi._core.extras import needs

with needs(__name__, "prometheus_client"):
    from prometheus_client import Counter, Gauge
    from prometheus_client import Histogram as RealHistogram

from breaker_asgi._core import validation
from breaker_asgi._core.counters import Recent
from breaker_asgi._core.errors import BreakerConfigError
from breaker_asgi.telemetry.collector import ExportedBreakers
from breaker_asgi.telemetry.durations import clockwork
from breaker_asgi.telemetry.metrics import (
    CALL_DURATION,
    Metric,
    Series,
    counters_of,
    gauges_of,
    samples_beside,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.registry import BreakerRegistry
    from breaker_asgi.telemetry.collector import Row

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""prometheus-client's environment variable."""

_LIVE = re.compile(r"gauge_live[a-z]+_(\d+)\.db")
_all: list[Workers] = []
"""The metrics of all registries. They outlive the registries: a gauge keeps its last value."""
_beginning = RLock()


class Workers:
    """The metrics of one registry in this process, for a scrape that merges all workers."""

    def __init__(
        self,
        registry: BreakerRegistry,
        limit: int,
        labels: Mapping[str, str],
        bounds: tuple[float, ...],
    ) -> None:
        self._registry = ref(registry)
        self._exported = ExportedBreakers(registry, limit, keeps_names=True)
        self._labels = dict(labels)
        self._bounds = bounds
        self._is_over = False
        self._is_worker = True
        """False in a child process until it uses a breaker: not every child is a worker."""
        self._recent = Recent()
        self._counted: WeakKeyDictionary[CircuitBreaker, dict[Series, float]] = WeakKeyDictionary()
        """The counts of each breaker that are in the metrics already."""
        self._shown: dict[Series, float] = {}
        """The gauges, as they were last set."""
        self._reals: dict[Series, Any] = {}
        clockwork.tick_for(self)

    @staticmethod
    def begin(
        registry: BreakerRegistry,
        limit: int,
        labels: Mapping[str, str],
        bounds: tuple[float, ...],
    ) -> None:
        """Begin, unless begun already: two would count each call twice.

        Raises `BreakerConfigError` if there is no directory to keep them in, if the registry has
        other settings already, or if another registry has the same labels.
        """
        if not _folder().is_dir():
            remedy = "Make it, and empty it, before the service starts"
            raise validation.not_allowed(
                VARIABLE, str(_folder()), "a directory that exists", remedy
            )
        with _beginning:
            _all[:] = (workers for workers in _all if not workers._is_over)
            before = next((workers for workers in _all if workers._has(labels)), None)
            if before is None:
                _all.append(Workers(registry, limit, labels, bounds))
            else:
                before._check(registry, limit, bounds)

    def _has(self, labels: Mapping[str, str]) -> bool:
        return self._labels == labels and self._registry() is not None

    def _check(self, registry: BreakerRegistry, limit: int, bounds: tuple[float, ...]) -> None:
        """Raise `BreakerConfigError` if these would be other metrics under the same labels."""
        if self._registry() is not registry:
            raise BreakerConfigError(
                f"where {VARIABLE} is set, the metrics of two registries of breakers with the same "
                "labels are as those of one. Register BreakerCollector(registry, "
                'labels={"registry": "payments"}), with labels that no other registry has.'
            )
        if (limit, bounds) != (self._exported.limit, self._bounds):
            raise BreakerConfigError(
                f"where {VARIABLE} is set, the metrics of a registry are kept once, and this one "
                f"has a collector with limit={self._exported.limit} and buckets={self._bounds} "
                "already. Give the same ones, or other labels."
            )

    def tick(self) -> None:
        """Update the metrics from the breakers."""
        gauges: dict[Series, float] = {}
        rows = self._exported.rows()
        self._is_worker = self._is_worker or self._has_counted(rows)
        if not self._is_worker:
            return
        for row in rows:
            for metric, labels, value in gauges_of(row):
                self._bring(metric, labels, value, gauges)
            durations = self._series(CALL_DURATION, (row.name,))
            for alike in row.alike:
                counted = self._counted.setdefault(alike.breaker, {})
                for metric, labels, value in counters_of(alike):
                    self._bring(metric, labels, value, counted)
                for seconds in self._recent.take(alike.breaker):
                    durations.observe(seconds)
        for metric, labels, value in samples_beside(self._exported):
            self._bring(metric, labels, value, gauges)
        for series in self._shown.keys() - gauges.keys():
            # A gauge can't be removed once it was set: this value leaves the others to decide.
            self._series(*series).set(1 if series[0].mode == "livemin" else 0)
        self._shown = gauges
        self._is_over = not rows and self._registry() is None
        _forget_dead_workers()

    def _has_counted(self, rows: Iterable[Row]) -> bool:
        """Return True if a breaker has had a call or a change since the fork."""
        return any(
            value != self._counted.get(alike.breaker, {}).get((metric, labels), 0)
            for row in rows
            for alike in row.alike
            for metric, labels, value in counters_of(alike)
        )

    def _bring(
        self, metric: Metric, labels: tuple[str, ...], value: float, values: dict[Series, float]
    ) -> None:
        series = metric, labels
        real = self._series(metric, labels)
        if metric.kind == "gauge":
            if value != self._shown.get(series):
                real.set(value)
        elif new := value - values.get(series, 0):
            real.inc(new)
        values[series] = value

    def _series(self, metric: Metric, labels: tuple[str, ...]) -> Any:
        series = metric, labels
        if series not in self._reals:
            real = _real(metric, (*metric.labels, *self._labels), self._bounds)
            values = *labels, *self._labels.values()
            self._reals[series] = real.labels(*values) if values else real
        return self._reals[series]

    def start_anew(self) -> None:
        """Begin in a child process; earlier counts are the parent's, which reports them."""
        self._exported.start_anew()
        self._recent, self._shown, self._is_worker = Recent(), {}, False
        for row in self._exported.rows():
            for alike in row.alike:
                self._counted[alike.breaker] = {
                    (metric, labels): value for metric, labels, value in counters_of(alike)
                }


@cache
def _real(metric: Metric, labels: tuple[str, ...], bounds: tuple[float, ...]) -> Any:
    """Return the metric itself, in no registry: the collector reads its file."""
    if metric.kind == "gauge":
        mode = metric.mode
        return Gauge(metric.name, metric.text, labels, registry=None, multiprocess_mode=mode)
    if metric.kind == "counter":
        return Counter(metric.name, metric.text, labels, registry=None)
    return RealHistogram(metric.name, metric.text, labels, registry=None, buckets=bounds)


def _folder() -> Path:
    return Path(os.environ[VARIABLE])


def _forget_dead_workers() -> None:
    """Remove the live gauges of processes that are gone: not all servers report a killed one."""
    for path in _folder().glob("gauge_live*.db"):
        name = _LIVE.fullmatch(path.name)
        if name is not None and not _lives(int(name[1])):
            with suppress(OSError):  # removed already, or owned by another user
                path.unlink()


def _lives(pid: int) -> bool:
    """Return False for a process that is gone. Not tested on Windows: that would send a Ctrl-C."""
    if sys.platform == "win32":
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True
