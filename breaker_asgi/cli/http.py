"""One kept connection, so that the live table shows one worker, not another each second."""

from __future__ import annotations

import base64
import http.client
import ipaddress
import time
import urllib.request
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit

from breaker_asgi.cli.errors import CommandError, Exit
from breaker_asgi.cli.formatting import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

TIMEOUT = 5.0
_LARGEST = 64 * 2**20
_PIECE = 2**16


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A response with its whole body."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


class KeepAliveConnection:
    """A connection to one origin, through the environment's proxy if there is one."""

    def __init__(self, origin: SplitResult, timeout: float = TIMEOUT) -> None:
        self._origin = origin
        self._timeout = timeout
        self._proxy = _proxy_for(origin)
        self._kept: HTTPConnection | None = None

    def request(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> HttpAnswer:
        """Send one request; replace a kept connection that the server has closed."""
        url = f"{self._origin.scheme}://{self._origin.netloc}{target}"
        kept = self._kept
        try:
            try:
                return self._exchange(method, target, headers, body)
            except (ConnectionError, http.client.CannotSendRequest):
                self.close()
                if kept is None or method != "GET":
                    raise
                return self._exchange(method, target, headers, body)
        except (OSError, HTTPException, UnicodeError) as error:
            self.close()
            tried = f"{method} {printable(url)}"
            raise CommandError(
                Exit.NO_MONITOR, f"{tried}: {_words(error, self._timeout)}"
            ) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._kept:
            self._kept.close()
        self._kept = None

    def _exchange(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None
    ) -> HttpAnswer:
        deadline = time.monotonic() + self._timeout
        through, own = "", {}
        if self._proxy and self._origin.scheme == "http":
            through, own = f"http://{self._origin.netloc}", _credentials(self._proxy)
        if self._kept is None:
            self._kept = self._connect()
        self._kept.request(method, through + target, body, {**headers, **own})
        response = self._kept.getresponse()
        return HttpAnswer(response.status, response.headers, _read_body(response, deadline))

    def _connect(self) -> HTTPConnection:
        host, port = self._origin.hostname or "", self._origin.port
        kind = HTTPSConnection if self._origin.scheme == "https" else HTTPConnection
        if self._proxy is None:
            return kind(host, port, timeout=self._timeout)
        proxy_host, proxy_port = self._proxy.hostname or "", self._proxy.port or 80
        connection = kind(proxy_host, proxy_port, timeout=self._timeout)
        if kind is HTTPSConnection:
            connection.set_tunnel(host, port, _credentials(self._proxy))
        return connection


def _read_body(response: HTTPResponse, deadline: float) -> bytes:
    pieces, length = [], 0
    while piece := response.read1(_PIECE):
        pieces.append(piece)
        length += len(piece)
        if time.monotonic() > deadline:
            raise TimeoutError
        if length > _LARGEST:
            raise HTTPException(f"an answer of more than {_LARGEST:,} bytes")
    if response.length:
        raise http.client.IncompleteRead(b"", response.length)
    response.close()  # read1 does not, and the connection would not be free
    return b"".join(pieces)


def _words(error: Exception, timeout: float) -> str:
    match error:
        case TimeoutError():
            return f"no answer within {timeout:g} s"
        case http.client.RemoteDisconnected():
            return "the server closed the connection without an answer"
        case http.client.IncompleteRead():
            return "the answer was cut off"
        case OSError():
            return printable(error.strerror or str(error) or type(error).__name__)
        case http.client.BadStatusLine():
            return "what answers there does not speak HTTP"
        case _:
            return printable(str(error) or type(error).__name__)


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _proxy_for(origin: SplitResult) -> SplitResult | None:
    host = origin.hostname or ""
    if _is_loopback(host) or urllib.request.proxy_bypass(origin.netloc):
        return None
    proxies = urllib.request.getproxies()
    address = proxies.get(origin.scheme) or proxies.get("all")
    if not address:
        return None
    try:
        proxy = urlsplit(address if "://" in address else f"http://{address}")
        if proxy.scheme == "http" and proxy.hostname and proxy.port != 0:
            return proxy
    except ValueError:
        pass
    message = f"the environment names a proxy for {origin.scheme} that is no HTTP proxy"
    raise CommandError(Exit.USAGE, message, f"Set NO_PROXY={printable(host)} to go without one.")


def _credentials(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
