"""The profile of HTTP, and of the client libraries that all SDKs are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from breaker_asgi._core.outcome import FAILURE, IGNORED, SUCCESS, Outcome
from breaker_asgi._core.profiles.profile import Profile, named
from breaker_asgi._core.statuses import http_status

if TYPE_CHECKING:
    from breaker_asgi._core.profiles.profile import Rule

_REQUEST_TIMEOUT, _TOO_MANY_REQUESTS, _SERVER_ERROR = 408, 429, 500


def outcome_of_status(status: int) -> Outcome:
    """Return the outcome of a response: below 500 an answer.

    But 408 means that the server has not got to the request, and a limit of requests is no sign of
    its health.
    """
    if status == _TOO_MANY_REQUESTS:
        return IGNORED
    return FAILURE if status == _REQUEST_TIMEOUT or status >= _SERVER_ERROR else SUCCESS


def outcome_of_full_queue(status: int) -> Outcome:
    """Return the outcome of a response where 429 means that the service can't keep up."""
    return FAILURE if status == _TOO_MANY_REQUESTS else outcome_of_status(status)


def by_status(exception: Any) -> Outcome | None:
    """Return the outcome by the status that an exception carries."""
    status = http_status(exception)
    return None if status is None else outcome_of_status(status)


def _of_aiohttp(exception: Any) -> Outcome | None:
    """Return a failure for an answer that is no HTTP: aiohttp gives it the status 400."""
    cause = type(exception.__cause__)
    return FAILURE if cause.__module__ == "aiohttp.http_exceptions" else by_status(exception)


CLIENTS: Final[dict[str, Rule]] = {
    **named("httpx httpx2", SUCCESS, "TooManyRedirects"),
    **named("httpx httpx2", by_status, "HTTPStatusError"),
    **named("httpx httpx2", IGNORED, "PoolTimeout LocalProtocolError UnsupportedProtocol"),
    **named("httpx httpx2", IGNORED, "InvalidURL CookieConflict StreamError"),
    **named("httpx httpx2", FAILURE, "RequestError"),
    **named("requests", SUCCESS, "TooManyRedirects"),
    **named("requests", by_status, "HTTPError"),
    **named("requests", IGNORED, "InvalidURL MissingSchema InvalidSchema InvalidHeader"),
    **named("requests", IGNORED, "URLRequired StreamConsumedError UnrewindableBodyError"),
    **named("requests", FAILURE, "ConnectionError Timeout ChunkedEncodingError"),
    **named("requests", FAILURE, "ContentDecodingError RetryError"),
    **named("urllib3", IGNORED, "ClosedPoolError EmptyPoolError FullPoolError"),
    **named("urllib3", IGNORED, "LocationValueError InvalidHeader UnrewindableBodyError"),
    **named("urllib3", FAILURE, "HTTPError"),
    **named("aiohttp", SUCCESS, "TooManyRedirects RedirectClientError"),
    **named("aiohttp", _of_aiohttp, "ClientResponseError"),
    **named("aiohttp", IGNORED, "InvalidURL NonHttpUrlClientError UploadAbortedError"),
    **named("aiohttp", FAILURE, "ClientConnectionError ClientPayloadError"),
}
"""Rules for the errors of httpx, httpx2, requests, urllib3 and aiohttp."""

http = Profile("http", CLIENTS, by_status=outcome_of_status)
