"""The shop: two routes that need the payment service, and some that do not.

`BreakerMiddleware` gives each route a breaker of its own, `GET /breakers`, and a standard 503 for
every rejection. Those breakers are the safety net: it takes half of twenty requests to open one.

`payments` is stricter, as its calls are all of one kind. It guards two places. A checkout does more
than pay, so the breaker guards the one request to the payment service, in the client's transport. A
refund is nothing but a payment, so its whole route is guarded, by name. Failures at one
place open it for the other.

Never both at once: a call inside a guarded route that has the same breaker would count twice.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import httpx
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from breaker_asgi import (
    BreakerMiddleware,
    CircuitBreaker,
    CountWindow,
    Permit,
    breaker,
    default_registry,
    install,
    unprotected,
)
from breaker_asgi.clients.httpx import AsyncBreakerTransport
from breaker_asgi.monitor import this_host
from breaker_asgi.telemetry import instrument
from breaker_asgi.telemetry.prometheus import generate_latest
from example_app.event_log import EventLog

PRODUCTS = {"tea": 4, "teapot": 30, "samovar": 900}
PAYMENTS_URL = os.environ.get("SHOP_PAYMENTS_URL", "http://127.0.0.1:8001")
OPEN_SECONDS = float(os.environ.get("SHOP_OPEN_SECONDS", "1"))
PATIENCE = 1.0


class CardDeclinedError(Exception):
    """The payment service works, and declines the card."""


payments = CircuitBreaker(
    name="payments",
    fail_max=5,
    failure_rate=0.5,
    slow_call_rate=0.5,
    slow_call_duration=PATIENCE / 2,
    window=CountWindow(20),
    timeout_duration=OPEN_SECONDS,
    backoff=1.5,
    max_timeout_duration=3 * OPEN_SECONDS,
    half_open_calls=3,
)


def guarded_by(request: httpx.Request) -> str | None:
    """Return the breaker's name for a request; a refund's route has it already."""
    return None if request.url.path == "/refund" else "payments"


client = httpx.AsyncClient(
    base_url=PAYMENTS_URL,
    timeout=PATIENCE,
    transport=AsyncBreakerTransport(httpx.AsyncHTTPTransport(), name=guarded_by),
)
event_log = EventLog()
default_registry.add_listener(event_log)
instrument()


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    async with client:
        yield


app = FastAPI(title="Shop", lifespan=lifespan)
install(
    app
)  # a rejection is an httpx.HTTPError too: this handler answers it, not `payments_failed`
if os.environ.get("SHOP_BREAKERS") == "off":  # the demo plays its story without breakers too
    payments.disable()
else:
    # The monitor with all its controls, for this host alone: in production give operators a login.
    app.add_middleware(BreakerMiddleware, authorize=this_host, authorize_control=this_host)


async def charge(amount: int) -> None:
    response = await client.post("/charge", json={"amount": amount})
    if response.status_code == 402:
        raise CardDeclinedError
    response.raise_for_status()


async def price(product: str = "tea") -> int:
    if product not in PRODUCTS:
        raise HTTPException(404, f"We have {', '.join(PRODUCTS)}.")
    return PRODUCTS[product]


@app.get("/products")
async def products() -> dict[str, int]:
    return PRODUCTS


@app.post("/checkout")
async def checkout(amount: Annotated[int, Depends(price)]) -> dict[str, int]:
    await charge(amount)
    return {"paid": amount}


@app.post("/refunds")
async def refund(
    _: Annotated[Permit, Depends(breaker("payments"))], amount: Annotated[int, Depends(price)]
) -> dict[str, int]:
    response = await client.post("/refund", json={"amount": amount})
    response.raise_for_status()
    return {"refunded": amount}


@app.get("/diary")
async def read_event_log() -> list[dict[str, Any]]:
    """Return the state changes of the breakers, the oldest first."""
    return list(event_log.entries)


@app.get("/metrics")
@unprotected
def metrics() -> Response:
    """Export the metrics for Prometheus: those of all workers in its multiprocess mode."""
    exported = REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        exported = CollectorRegistry()
        MultiProcessCollector(exported)  # type: ignore[no-untyped-call]
    return Response(generate_latest(exported), media_type=CONTENT_TYPE_LATEST)


@app.exception_handler(CardDeclinedError)
async def declined(_request: Request, _error: Exception) -> JSONResponse:
    return JSONResponse({"detail": "The card is declined."}, 402)


@app.exception_handler(httpx.HTTPError)
async def payments_failed(_request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, httpx.TimeoutException):
        return JSONResponse({"detail": "The payment service takes too long."}, 504)
    return JSONResponse({"detail": "The payment service fails."}, 502)
