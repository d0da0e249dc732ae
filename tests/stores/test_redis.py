"""Settings that the store in Redis refuses before it connects."""

from __future__ import annotations

from typing import Any

import pytest

from breaker_asgi import BreakerConfigError
from breaker_asgi.stores.redis import RedisStore


@pytest.mark.parametrize("prefix", ["", "a:b", "{a}", "a b", "ä", 5, None])
def test_a_prefix_that_could_mix_up_names_is_refused(prefix: Any) -> None:
    with pytest.raises(BreakerConfigError, match=r"prefix=.*letters, digits"):
        RedisStore("redis://localhost", prefix)


@pytest.mark.parametrize("server", [None, 5, object()])
def test_invalid_server_is_refused(server: Any) -> None:
    with pytest.raises(BreakerConfigError, match="a client of redis-py"):
        RedisStore(server)


def test_refused_server_is_shown_by_its_type_only() -> None:
    class Pool:
        def __repr__(self) -> str:
            return "<Pool(password=s3cret)>"

    no_server: Any = Pool()
    with pytest.raises(BreakerConfigError, match="Pool") as raised:
        RedisStore(no_server)
    assert "s3cret" not in str(raised.value)
