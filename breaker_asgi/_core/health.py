"""The health of a service, by the breakers of its dependencies."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal

from breaker_asgi._core import validation
from breaker_asgi._core.state import CLOSING, FORCED_OPEN, HALF_OPEN, OPEN

if TYPE_CHECKING:
    from breaker_asgi._core.engine import Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryHealth:
    """Result of `BreakerRegistry.health`."""

    status: Literal["ok", "degraded", "down"]
    """`ok`: all breakers are closed (or admit calls because an operator set them so), and the store
    works. `degraded`: not all that, but the service answers. `down`: a critical breaker rejects."""
    open: tuple[str, ...]
    """Names of the breakers that are open; as all that follow, sorted."""
    forced_open: tuple[str, ...]
    half_open: tuple[str, ...]
    closing: tuple[str, ...]
    critical: tuple[str, ...]
    """Critical ones of them, which reject every call for now."""
    store: str | None
    """`works`, or what is wrong with it; None without a store."""

    @property
    def is_ready(self) -> bool:
        """True if requests should be sent here: unless the status is `down`."""
        return self.status != "down"

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON. They are not for strangers."""
        return {name: _plain(value) for name, value in asdict(self).items()}


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def take_health(
    engines: Iterable["Engine"], critical: Iterable[str], store: str | None
) -> RegistryHealth:
    items = validation.listed("critical", critical, "names or patterns of breakers")
    named = [validation.text("an item of critical", item) for item in items]
    names: dict[str, list[str]] = {OPEN: [], FORCED_OPEN: [], HALF_OPEN: [], CLOSING: []}
    rejecting = []
    for engine in engines:
        state = engine._generation.state
        if state not in names or _has_closed(engine):
            continue
        names[state].append(engine.name)
        if _is_among(named, engine.name) and _rejects_all(engine):
            rejecting.append(engine.name)
    well = not any(names.values()) and store in {None, "works"}
    return RegistryHealth(
        status="down" if rejecting else "ok" if well else "degraded",
        open=_names(names[OPEN]),
        forced_open=_names(names[FORCED_OPEN]),
        half_open=_names(names[HALF_OPEN]),
        closing=_names(names[CLOSING]),
        critical=_names(rejecting),
        store=store,
    )


def _has_closed(engine: "Engine") -> bool:
    """Return True if the next call finds that the ramp of a breaker is over."""
    generation = engine._generation
    return generation.state is CLOSING and generation.has_ended(engine.config.clock())


def _names(names: list[str]) -> tuple[str, ...]:
    """Return names in their order, one that several breakers have once."""
    return tuple(sorted(set(names)))


def _is_among(named: list[str], name: str) -> bool:
    return name in named or any(fnmatchcase(name, pattern) for pattern in named)


def _rejects_all(engine: "Engine") -> bool:
    """Return True if no call is admitted, not even a probe.

    Who is sent no request can't probe: that a critical breaker may do so has to bring them back.
    """
    generation = engine._generation
    wait = generation.wait(engine.config.clock())
    return generation.state is not HALF_OPEN and (wait is None or wait > 0)
