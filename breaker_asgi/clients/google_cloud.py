"""The clients of google-cloud that speak HTTP: `guard(storage.Client())`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from breaker_asgi._core.extras import needs

with needs(__name__, "requests"), needs(__name__, "google.api_core"):
    import requests
    from google.api_core.exceptions import GoogleAPIError

from breaker_asgi._core import validation
from breaker_asgi.clients.downstream import RejectedError
from breaker_asgi.clients.requests import guard as guard_session

if TYPE_CHECKING:
    from google.cloud.client import Client

__all__ = ["RequestRejectedError", "guard"]


class RequestRejectedError(RejectedError, GoogleAPIError):
    """The rejection of a request by its breaker; `request` was not sent.

    A `CircuitBreakerError`, and an error of google-cloud's. Not one of requests': the SDKs would
    repeat that, for two minutes.
    """

    @property
    def request(self) -> requests.PreparedRequest | None:
        """The request that was not sent."""
        request: requests.PreparedRequest | None = self._request
        return request


def guard(client: Client, **settings: Any) -> Client:
    """Guard a client that exists, by its session; return it."""
    session: Any = client._http
    if not isinstance(session, requests.Session):
        allowed = "a session of requests, as storage, BigQuery, DNS and others have"
        remedy = "Decorate the function that makes the calls with a CircuitBreaker"
        raise validation.not_allowed("client._http", session, allowed, remedy)
    guard_session(session, **settings, rejected=RequestRejectedError)
    return client
