"""For OpenTelemetry: instruments that are read when they are collected, and span events.

Only the API is used: without an SDK nothing is collected, and no span records.
"""

from __future__ import annotations

from collections.abc import Mapping
from threading import RLock
from typing import TYPE_CHECKING, TypeAlias
from weakref import WeakKeyDictionary, WeakSet, ref

from breaker_asgi._core.extras import needs

with needs(__name__, "opentelemetry.metrics"):
    from opentelemetry import metrics
    from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation

from breaker_asgi._core import validation
from breaker_asgi._core.counters import Recent
from breaker_asgi._core.errors import BreakerConfigError
from breaker_asgi._core.logs import log_once
from breaker_asgi.registry import BreakerRegistry, default_registry
from breaker_asgi.telemetry.collector import LIMIT, ExportedBreakers
from breaker_asgi.telemetry.durations import BUCKETS, clockwork
from breaker_asgi.telemetry.metrics import (
    CALL_DURATION,
    METRICS,
    CumulativeCounters,
    Metric,
    samples_beside,
)
from breaker_asgi.telemetry.spans import NAME, SpanEvents, spans_may_record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from opentelemetry.metrics import Meter
    from opentelemetry.util.types import Attributes

__all__ = ["Instrumentation", "instrument"]

SCOPE = "breaker_asgi"
"""The name of the meter."""
_UNITS = {
    "circuitbreaker_state": "{breaker}",
    "circuitbreaker_calls": "{call}",
    "circuitbreaker_slow_calls": "{call}",
    "circuitbreaker_calls_under_way": "{call}",
    "circuitbreaker_slow_calls_under_way": "{call}",
    "circuitbreaker_rejected_calls": "{call}",
    "circuitbreaker_consecutive_failures": "{call}",
    "circuitbreaker_consecutive_failures_threshold": "{call}",
    "circuitbreaker_transitions": "{transition}",
    "circuitbreaker_probes": "{call}",
    "circuitbreaker_outage_seconds": "s",
    "circuitbreaker_outage_probes_failed": "{opening}",
    "circuitbreaker_outage_rejected": "{call}",
    "circuitbreaker_store_up": "{store}",
    "circuitbreaker_not_exported": "{breaker}",
}
"""Units by metric; ratios have the unit 1."""
_PREFIX = "circuitbreaker."
DURATION = "circuitbreaker.call.duration"

Observed: TypeAlias = dict[Metric, list[Observation]]


class Instruments:
    """The instruments of one meter provider.

    They are made once, for all instrumentations: an SDK keeps an instrument for ever, with the
    callback that it was first made with, and with its earlier values.
    """

    def __init__(self, meter: Meter) -> None:
        self.readers: WeakSet[Instrumentation] = WeakSet()
        self._totals: WeakKeyDictionary[BreakerRegistry, CumulativeCounters] = WeakKeyDictionary()
        makers = {
            "counter": meter.create_observable_counter,
            "gauge": meter.create_observable_gauge,
        }
        for metric in METRICS:
            if metric == CALL_DURATION:
                continue
            make = makers[metric.kind]
            if metric.mode == "livesum":  # of several workers, the sum is meaningful
                make = meter.create_observable_up_down_counter
            unit = _UNITS.get(metric.name, "1")
            make(_dotted(metric), [self._observe(metric)], unit, metric.text)
        self.durations = meter.create_histogram(
            DURATION, "s", CALL_DURATION.text, explicit_bucket_boundaries_advisory=BUCKETS
        )

    def totals(self, registry: BreakerRegistry, limit: int) -> CumulativeCounters:
        """Return the counters of a registry, which continue when it is instrumented again."""
        totals = self._totals.setdefault(registry, CumulativeCounters(0))
        totals.most = max(totals.most, 2 * limit)
        return totals

    def _observe(self, metric: Metric) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_options: CallbackOptions) -> Iterable[Observation]:
            return [
                observation
                for reader in list(self.readers)
                for observation in reader.observe(metric)
            ]

        return observe


class Instrumentation:
    """The export of a registry to OpenTelemetry, until `uninstrument()`."""

    def __init__(self, registry: BreakerRegistry, settings: _Settings) -> None:
        limit, self._attributes, self._provider = self.settings = settings
        self._exported = ExportedBreakers(registry, limit)
        self._registry = ref(registry)
        self._recent = Recent()
        self._observed: Observed = {}
        """Values that were read and that their instruments have not collected."""
        self._reading = RLock()
        self._is_over = False
        self._instruments = _instruments_of(self._provider)
        if self._instruments is not None:
            self._totals = self._instruments.totals(registry, limit)
            self._instruments.readers.add(self)
        self._events: SpanEvents | None = None
        self._begin_span_events()
        clockwork.tick_for(self)

    def uninstrument(self) -> None:
        """Stop the export. Doing it twice changes nothing."""
        with _instrumenting:
            if self._instruments is not None:
                self._instruments.readers.discard(self)
                self._instruments = None
            registry = self._registry()
            if registry is not None and _instrumented.get(registry) is self:
                del _instrumented[registry]
            with self._reading:
                self._is_over = True
                if registry is not None and self._events is not None:
                    registry.remove_listener(self._events)
                self._events = None

    def observe(self, metric: Metric) -> Iterable[Observation]:
        """Return the values of one instrument. All are read anew once one of them is used up."""
        try:
            with self._reading:
                if metric not in self._observed:
                    self._observed = self._read()
                return self._observed.pop(metric)
        except Exception as error:  # noqa: BLE001
            log_once(self, "being observed", error)
            return ()

    def _read(self) -> Observed:
        observed: Observed = {metric: [] for metric in METRICS}
        samples = [sample for row in self._exported.rows() for sample in self._totals.of(row)]
        for metric, labels, value in (*samples, *samples_beside(self._exported)):
            named = zip(metric.labels, labels, strict=True)
            attributes = {_PREFIX + label: text for label, text in named}
            # A bool is no number to some exporters.
            observed[metric].append(Observation(value + 0, {**self._attributes, **attributes}))
        return observed

    def tick(self) -> None:
        """Record the durations of the last second, if there is an SDK."""
        self._begin_span_events()
        instruments = self._instruments
        if instruments is None or _is_of_the_api(self._provider):
            return
        for name, breakers in self._exported.breakers().items():
            for breaker in breakers:
                for seconds in self._recent.take(breaker):
                    instruments.durations.record(seconds, {**self._attributes, NAME: name})

    def _begin_span_events(self) -> None:
        """Add the listener once there is an SDK, as it makes rejections slower."""
        with self._reading:
            registry = self._registry()
            done = self._is_over or self._events is not None
            if registry is not None and not done and spans_may_record():
                self._events = SpanEvents(self._attributes)
                registry.add_listener(self._events)

    def start_anew(self) -> None:
        """Begin in a child process."""
        self._reading = RLock()
        self._exported.start_anew()


class _GlobalProvider(MeterProvider):
    """The provider that is set for the process, now or later."""

    def get_meter(
        self,
        name: str,
        version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> Meter:
        return metrics.get_meter(name, version or "", schema_url=schema_url, attributes=attributes)


_GLOBAL = _GlobalProvider()
_Settings: TypeAlias = tuple[int, dict[str, str], MeterProvider]
_made: WeakKeyDictionary[MeterProvider, Instruments] = WeakKeyDictionary()
_instrumented: WeakKeyDictionary[BreakerRegistry, Instrumentation] = WeakKeyDictionary()
_instrumenting = RLock()


def instrument(
    registry: BreakerRegistry = default_registry,
    *,
    limit: int = LIMIT,
    attributes: Mapping[str, str] | None = None,
    meter_provider: MeterProvider | None = None,
) -> Instrumentation:
    """Export the breakers of a registry to OpenTelemetry: as metrics, and as span events.

    At most `limit` breakers are exported; `circuitbreaker.not_exported` counts the others.
    `attributes` are added to each point and event, such as `{"shop.registry": "payments"}`. The
    default `meter_provider` is the global one, which may be set later. Doing it twice changes
    nothing.

    Raises `BreakerConfigError` for a setting that is wrong, or differs from the first time.
    """
    validation.instance("registry", registry, BreakerRegistry, "Leave it out for the default one")
    if meter_provider is not None:
        remedy = "Leave it out for the global one"
        validation.instance("meter_provider", meter_provider, MeterProvider, remedy)
    if meter_provider is None or meter_provider is metrics.get_meter_provider():
        meter_provider = _GLOBAL
    settings = limit, _checked_attributes(attributes or {}), meter_provider
    with _instrumenting:
        before = _instrumented.get(registry)
        if before is None:
            before = _instrumented[registry] = Instrumentation(registry, settings)
        elif before.settings != settings:
            raise BreakerConfigError(
                "the registry is instrumented already, with other settings. Give them in one "
                "place, or call the uninstrument() of what instrument() returned first."
            )
    return before


def switch_on(registry: BreakerRegistry) -> None:
    """Instrument a registry, unless that has been done with settings of its own."""
    with _instrumenting:
        if registry not in _instrumented:
            instrument(registry)


def _checked_attributes(attributes: Mapping[str, str]) -> dict[str, str]:
    remedy = 'Write attributes={"shop.registry": "payments"}'
    validation.instance("attributes", attributes, Mapping, remedy)
    for name, value in attributes.items():
        validation.text(f"attributes[{name!r}]", value)
        if not isinstance(name, str) or name.startswith(_PREFIX) or name == "error.type":
            allowed = "a name that is not taken by breakers"
            raise validation.not_allowed("an attribute", name, allowed, remedy)
    return dict(attributes)


def _instruments_of(provider: MeterProvider) -> Instruments | None:
    """Return the instruments; None, logged, if the provider raises: the application starts."""
    try:
        if provider not in _made:
            _made[provider] = Instruments(provider.get_meter(SCOPE))
        return _made[provider]
    except Exception as error:  # noqa: BLE001
        log_once(provider, "making instruments", error)
        return None


def _is_of_the_api(provider: MeterProvider) -> bool:
    """Return True if no SDK is set: the API's own provider records nothing."""
    real = metrics.get_meter_provider() if provider is _GLOBAL else provider
    return type(real).__module__.startswith("opentelemetry.metrics")


def _dotted(metric: Metric) -> str:
    return metric.name.replace("_", ".", 1)
