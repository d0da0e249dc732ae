"""Requests that a page of another site may have had a browser make."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from breaker_asgi.asgi.headers import headers_of
from breaker_asgi.monitor.loopback import host_of, rebinds_never

if TYPE_CHECKING:
    from breaker_asgi.asgi.types import Scope

_SAME_SITE = {b"same-origin", b"none"}


def is_cross_site(scope: Scope) -> bool:
    """Return True if a browser reports that another site's page made the request.

    The rule of Go's `http.CrossOriginProtection`: `Sec-Fetch-Site`, else `Origin` against
    `Host`. A client that sends neither is no browser.
    """
    if sites := _values(scope, b"sec-fetch-site"):
        return not _SAME_SITE.issuperset(sites)
    if origins := _values(scope, b"origin"):
        hosts = [host.decode("latin-1") for host in _values(scope, b"host")]
        return "" in hosts or any([_host_of(origin)] != hosts for origin in origins)
    return False


def may_be_rebound(scope: Scope) -> bool:
    """Return True if a browser made the request to a name, and sent no credential with it.

    So may the page of another site, whose name leads here by DNS rebinding. The check is a net
    below that of TrustedHostMiddleware: such a page may set a cookie of its own name.
    """
    is_by_browser = _values(scope, b"sec-fetch-site") or _values(scope, b"origin")
    has_credential = _values(scope, b"authorization") or _values(scope, b"cookie")
    return bool(is_by_browser) and not has_credential and not rebinds_never(host_of(scope))


def _values(scope: Scope, header: bytes) -> list[bytes]:
    return [value for name, value in headers_of(scope) if name == header]


def _host_of(origin: bytes) -> str:
    try:
        return urlsplit(origin.decode("latin-1")).netloc
    except ValueError:
        return ""
