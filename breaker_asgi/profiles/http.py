"""The profile of HTTP, and of the client libraries that all SDKs are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from breaker_asgi.outcome import FAILURE, IGNORED, SUCCESS, Outcome
from breaker_asgi.profiles.profile import Profile
from breaker_asgi.statuses import http_status

if TYPE_CHECKING:
    from breaker_asgi.profiles.profile import Rule

_REQUEST_TIMEOUT, _TOO_MANY_REQUESTS, _SERVER_ERROR = 408, 429, 500


def outcome_of_status(status: int) -> Outcome:
    """Return the outcome of a response: below 500 an answer.

    But 408 tells that the server has not got to the request, and a limit of requests says nothing
    of how it is.
    """
    if status == _TOO_MANY_REQUESTS:
        return IGNORED
    return FAILURE if status == _REQUEST_TIMEOUT or status >= _SERVER_ERROR else SUCCESS


def by_status(exception: Any) -> Outcome | None:
    """Return the outcome by the status that an exception carries."""
    status = http_status(exception)
    return None if status is None else outcome_of_status(status)


def _of_httpx(package: str) -> dict[str, Rule]:
    return {
        f"{package}:HTTPStatusError": by_status,
        f"{package}:TooManyRedirects": SUCCESS,
        f"{package}:PoolTimeout": IGNORED,
        f"{package}:LocalProtocolError": IGNORED,
        f"{package}:UnsupportedProtocol": IGNORED,
        f"{package}:InvalidURL": IGNORED,
        f"{package}:TransportError": FAILURE,
    }


CLIENTS: Final[dict[str, Rule]] = {
    **_of_httpx("httpx"),
    **_of_httpx("httpx2"),
    "requests:HTTPError": by_status,
    "requests:TooManyRedirects": SUCCESS,
    "requests:InvalidURL": IGNORED,
    "requests:MissingSchema": IGNORED,
    "requests:InvalidSchema": IGNORED,
    "requests:InvalidHeader": IGNORED,
    "requests:ConnectionError": FAILURE,
    "requests:Timeout": FAILURE,
    "aiohttp:ClientResponseError": by_status,
    "aiohttp:TooManyRedirects": SUCCESS,
    "aiohttp:InvalidURL": IGNORED,
    "aiohttp:ClientConnectionError": FAILURE,
    "aiohttp:ClientPayloadError": FAILURE,
}
"""Rules for the errors of httpx, httpx2, requests and aiohttp."""

http = Profile("http", CLIENTS, by_status=outcome_of_status)
