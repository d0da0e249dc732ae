"""Settings of breakers by name or pattern, as a registry has them."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from breaker_asgi._core import validation
from breaker_asgi._core.config import BreakerConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

SettingsByName: TypeAlias = "Mapping[str, Mapping[str, Any] | BreakerConfig]"


class Request(NamedTuple):
    """A request by which a registry has made a breaker."""

    defaults: BreakerConfig | None
    settings: Mapping[str, Any]


class NamedSettings:
    """Settings that add to a config: by name, or by the first pattern that fits.

    Raises `BreakerConfigError` for wrong settings: all are tried on top of `config`.
    """

    __slots__ = ("_by_pattern",)

    def __init__(self, config: BreakerConfig, settings: SettingsByName | None) -> None:
        remedy = "Write BreakerConfig(failure_rate=0.3)"
        validation.instance("config", config, BreakerConfig, remedy)
        self._by_pattern = {
            pattern: dict(values.given() if isinstance(values, BreakerConfig) else values)
            for pattern, values in (settings or {}).items()
        }
        for values in self._by_pattern.values():
            config.replace(**values)

    def on(self, config: BreakerConfig) -> NamedSettings:
        """Return the same settings on top of another config."""
        return NamedSettings(config, self._by_pattern)

    def config_of(self, name: str, request: Request, config: BreakerConfig) -> BreakerConfig:
        """Return the config of the breaker called `name`, made from `config` by a request."""
        with validation.without_warnings():
            config = (request.defaults or config).replace(**self._of(name))
        return config.replace(**request.settings) if request.settings else config

    def _of(self, name: str) -> dict[str, Any]:
        if name in self._by_pattern:
            return self._by_pattern[name]
        fitting = (
            settings for pattern, settings in self._by_pattern.items() if fnmatchcase(name, pattern)
        )
        return next(fitting, {})
