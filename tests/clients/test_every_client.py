"""Settings that every guarded client refuses."""

from __future__ import annotations

from typing import Any

import pytest

from breaker_asgi import (
    BreakerConfig,
    BreakerConfigError,
)
from tests.clients.callers import MakeCaller


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"registry": {}}, "registry={} is not allowed: give a BreakerRegistry"),
        ({"config": {}}, "config={} is not allowed: give a BreakerConfig"),
        ({"name": 5}, "name=5 is not allowed: give a text, or a function"),
        ({"is_failure": 500}, "is_failure=500 is not allowed: give a function"),
        ({"fallback": "sorry"}, "fallback='sorry' is not allowed: give a function"),
        ({"honour_retry_after": 5}, "honour_retry_after=5 is not allowed: give True or False"),
        ({"config": BreakerConfig(fallback=1)}, "config.fallback=1 has no effect"),
        ({"config": BreakerConfig(is_failure=bool)}, "config.is_failure=.* has no effect"),
    ],
)
async def test_a_wrong_setting_is_refused(
    setting: dict[str, Any], says: str, make: MakeCaller
) -> None:
    with pytest.raises(BreakerConfigError, match=says):
        make(**setting)
