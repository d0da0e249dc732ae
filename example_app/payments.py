"""The payment service: charges and refunds, with faults that can be set."""

import asyncio
import random
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from pydantic import BaseModel, ConfigDict, Field

CARD_LIMIT = 500


class Faults(BaseModel):
    """The faults of the service; one that is left out is healed."""

    model_config = ConfigDict(extra="forbid")

    error_rate: Annotated[float, Field(ge=0, le=1)] = 0
    latency_s: Annotated[float, Field(ge=0, le=60)] = 0


class Stats(BaseModel):
    calls: int = 0
    """Requests for charges and refunds, failed ones included."""


class Payment(BaseModel):
    amount: Annotated[int, Field(gt=0)]


class Service:
    def __init__(self) -> None:
        self.faults = Faults()
        self.stats = Stats()

    async def apply_faults(self) -> None:
        """Count a call, and apply the current faults to it."""
        self.stats.calls += 1
        faults = self.faults
        if faults.latency_s:
            await asyncio.sleep(faults.latency_s)
        if random.random() < faults.error_rate:
            raise HTTPException(503, "The bank does not answer.")


app = FastAPI(title="Payments")
service = Service()


@app.post("/charge", dependencies=[Depends(service.apply_faults)])
async def charge(payment: Payment) -> dict[str, int]:
    if payment.amount > CARD_LIMIT:
        raise HTTPException(402, "The card is declined.")
    return {"charged": payment.amount}


@app.post("/refund", dependencies=[Depends(service.apply_faults)])
async def refund(payment: Payment) -> dict[str, int]:
    return {"refunded": payment.amount}


@app.post("/_faults")
async def set_faults(faults: Faults) -> Faults:
    service.faults = faults
    return faults


@app.get("/_faults")
async def get_faults() -> Faults:
    return service.faults


@app.get("/_stats")
async def get_stats() -> Stats:
    return service.stats
