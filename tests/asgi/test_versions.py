"""Unsupported versions of FastAPI are refused, with the command to install another."""

from collections.abc import Callable, Iterator
from typing import Any

import fastapi
import pytest

from breaker_asgi import BreakerMiddleware, breaker, install
from breaker_asgi.asgi.versions import version_of

REMEDY = r'pip install --upgrade "breaker-asgi\[fastapi\]"'


@pytest.fixture
def with_version(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Return a function that sets the version of FastAPI."""

    def be(version: str) -> None:
        monkeypatch.setattr(fastapi, "__version__", version)
        version_of.cache_clear()

    yield be
    version_of.cache_clear()


def add_middleware() -> None:
    BreakerMiddleware(fastapi.FastAPI())


USES = [lambda: breaker("payments"), lambda: install(fastapi.FastAPI()), add_middleware]


@pytest.mark.parametrize("use", USES[:2], ids=["breaker", "install"])
@pytest.mark.parametrize("version", ["0.114.2", "0.99.0"])
def test_a_version_before_0_115_is_refused(
    use: Callable[[], Any], version: str, with_version: Callable[[str], None]
) -> None:
    with_version(version)
    with pytest.raises(RuntimeError, match=rf"0\.115 or later; installed is {version}.*{REMEDY}"):
        use()


@pytest.mark.parametrize("use", USES, ids=["breaker", "install", "middleware"])
@pytest.mark.parametrize("version", ["0.137.0", "0.137.1"])
def test_a_version_whose_included_routers_hide_their_routes_is_refused(
    use: Callable[[], Any], version: str, with_version: Callable[[str], None]
) -> None:
    with_version(version)
    with pytest.raises(RuntimeError, match=rf"included routers.* installed is {version}.*{REMEDY}"):
        use()


@pytest.mark.parametrize("use", USES, ids=["breaker", "install", "middleware"])
@pytest.mark.parametrize("version", ["0.115.0", "0.137.2", "0.200.0rc1", "1.0"])
def test_any_other_version_is_taken(
    use: Callable[[], Any], version: str, with_version: Callable[[str], None]
) -> None:
    with_version(version)
    use()
