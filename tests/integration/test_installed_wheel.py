"""The built wheel beside an old FastAPI and an old httpx, from pip to an open breaker."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.integration.programs import uvicorn

ROOT = Path(__file__).parent.parent.parent
OLD = ["fastapi==0.115.0", "starlette==0.37.2", "httpx==0.27.0"]
SHOP = """
from typing import Annotated

import httpx
from fastapi import APIRouter, Depends, FastAPI

from breaker_asgi import BreakerConfig, BreakerMiddleware, Permit, breaker, install
from breaker_asgi.clients.httpx import AsyncBreakerTransport

app, router = FastAPI(), APIRouter()
app.add_middleware(BreakerMiddleware)
install(app)
client = httpx.AsyncClient(transport=AsyncBreakerTransport(config=BreakerConfig(fail_max=2)))


@router.get("/pay")
async def pay(permit: Annotated[Permit, Depends(breaker("payments", fail_max=3))]) -> None:
    await client.get("http://127.0.0.1:1/")


app.include_router(router, prefix="/shop")
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the wheel, and the oldest supported requirements."""
    folder = tmp_path_factory.mktemp("installed")
    python = folder / "venv/bin/python"
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv")
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", folder, ROOT)
    (wheel,) = folder.glob("*.whl")
    pip = sys.executable, "-m", "pip", "--python", python, "install"
    run(*pip, "uvicorn", *OLD, f"{wheel}[fastapi,httpx]")
    return python


def run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def shop(python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    monkeypatch.delenv("PYTHONPATH", raising=False)  # it may lead to the source
    (tmp_path / "shop.py").write_text(SHOP)
    with uvicorn(tmp_path, "shop:app", python) as client:
        yield client


def test_the_installed_wheel_opens_a_breaker(shop: httpx.Client) -> None:
    answers = [shop.get("/shop/pay").status_code for _ in range(3)]
    assert answers == [500, 500, 503]
    states = {b["name"]: b["state"] for b in shop.get("/breakers").json()["breakers"]}
    assert states == {"GET /shop/pay": "closed", "http://127.0.0.1:1": "open", "payments": "closed"}


def test_the_schema_documents_the_503(shop: httpx.Client) -> None:
    operation = shop.get("/openapi.json").json()["paths"]["/shop/pay"]["get"]
    assert operation["responses"]["503"]["description"] == "Temporarily unavailable."
