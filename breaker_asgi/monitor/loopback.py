"""Requests of this host itself, and the names by which a browser may address it.

A reverse proxy on the same host is a peer on loopback as well. It is recognized by the headers that
proxies add, by HTTP/1.0, and by the public name in `Host`.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Any

from breaker_asgi.asgi.headers import headers_of

if TYPE_CHECKING:
    from breaker_asgi.asgi.types import Scope

_TEST_CLIENT = "testclient"
"""The peer's host in requests of Starlette's `TestClient`; no server gives such an address."""
_TEST_HOSTS = {"test", "testserver"}
"""Hosts of requests that httpx and test clients make in this process; no DNS server has them."""
_FORWARDING = re.compile(
    rb"via|.*forwarded.*|(.*-)?(client|connecting|real|remote|original|cluster)-?(ip|addr|host|url)"
    rb"|(cf|cdn|fastly|fly|l5d|x-amz|x-amzn|x-appengine|x-azure|x-envoy|x-original|x-vercel)-.*"
)
"""Names of the headers that proxies, load balancers and content delivery networks add."""
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\[\]:/@?#\\]+))(?::[0-9]{1,5})?", re.IGNORECASE)
_UNPROXIED = "1.1"


def is_local(scope: Scope) -> bool:
    """Return True if a process of this host made the request, and no proxy passed it on.

    A `Host` that does not name this host is refused: DNS rebinding has another site's page send
    its requests here from the operator's own browser.
    """
    if any(_FORWARDING.fullmatch(_name(name)) for name, _ in headers_of(scope)):
        return False
    peer = peer_of(scope)
    if peer == _TEST_CLIENT:
        return True
    if scope.get("http_version", _UNPROXIED) < _UNPROXIED:
        return False
    address = _address(peer)
    is_loopback = address is not None and bool(address.is_loopback)
    return is_loopback and _names_loopback(host_of(scope))


def peer_of(scope: Scope) -> str:
    """Return the address of the request's peer; empty where there is none, as on Unix sockets."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def host_of(scope: Scope) -> str:
    """Return the host that the request names, without its port; empty unless it is one host."""
    hosts = [value for name, value in headers_of(scope) if name == b"host"]
    match = _HOST.fullmatch(hosts[0].decode("latin-1")) if len(hosts) == 1 else None
    return (match[1] or match[2]).lower() if match else ""


def rebinds_never(host: str) -> bool:
    """Return True for an IP address and a name of loopback: no DNS server can redirect these."""
    return _address(host) is not None or _names_loopback(host)


def address_of_peer(scope: Scope) -> Any:
    """Return the peer's IP address; None if it has none."""
    return _address(peer_of(scope))


def _names_loopback(host: str) -> bool:
    """Return True for `localhost`, test hosts, and addresses that lead to this host only."""
    address = _address(host)
    if address is not None:
        return bool(address.is_loopback or address.is_unspecified)
    return host in {"localhost", *_TEST_HOSTS} or host.endswith(".localhost")


def _address(text: str) -> Any:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _name(header: bytes) -> bytes:
    return header.lower().replace(b"_", b"-")
