"""Servers for SDKs."""

from __future__ import annotations

import gc
import importlib
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest
from redis import Redis

from breaker_asgi import BreakerRegistry
from breaker_asgi.testing import fresh_registry
from tests.integration.programs import redis_server
from tests.integration.sdks.postgres import Postgres
from tests.integration.sdks.server import Provider
from tests.integration.stores.conftest import free_port

with warnings.catch_warnings(action="ignore"):  # it misses grpcio-status
    importlib.import_module("google.cloud.storage")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Ignore the warnings of SDKs, also of connections left to the garbage collector."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.filterwarnings("ignore"))


@pytest.fixture(scope="module", autouse=True)
def _forgotten() -> Iterator[None]:
    """Collect the clients that SDKs keep, and their sockets, while warnings are ignored."""
    yield
    boto3.DEFAULT_SESSION = None
    if litellm := sys.modules.get("litellm"):
        litellm.in_memory_llm_clients_cache.flush_cache()
    gc.collect()


@pytest.fixture
def registry() -> Iterator[BreakerRegistry]:
    with fresh_registry() as registry:
        yield registry


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    """The fake server, which the variables of the environment lead all SDKs to."""
    server = Provider()
    for name, value in {
        "OPENAI_API_KEY": "k",
        "OPENAI_BASE_URL": f"{server.url}/v1",
        "ANTHROPIC_API_KEY": "k",
        "ANTHROPIC_BASE_URL": server.url,
        "GEMINI_API_KEY": "k",
        "GOOGLE_GEMINI_BASE_URL": server.url,
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": "k",
        "AWS_SECRET_ACCESS_KEY": "k",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_MAX_ATTEMPTS": "2",
        "STORAGE_EMULATOR_HOST": server.url,
        "GOOGLE_CLOUD_PROJECT": "p",
        "ELASTICSEARCH_URL": server.url,
        "STRIPE_API_KEY": "k",
        "STRIPE_API": server.url,
        "SUPABASE_URL": server.url,
        "SUPABASE_KEY": "k",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("GOOGLE_API_KEY", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    cache = "google.cloud.storage._bucket_metadata_cache.BucketMetadataCache.get_or_queue_fetch"
    monkeypatch.setattr(cache, lambda *_: None)  # it sends requests of its own, from a thread
    yield server
    server.close()


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    folder = Path(tempfile.mkdtemp())
    server = Postgres(folder)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def redis_on(port: int, *options: str, folder: Path) -> Iterator[None]:
    """Run a redis-server."""
    command = [redis_server(), "--port", str(port), "--save", "", "--bind", "127.0.0.1"]
    with subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, text=True, cwd=folder
    ) as process:
        assert process.stdout is not None
        try:
            while "Ready to accept connections" not in process.stdout.readline():
                assert process.poll() is None
            yield
        finally:
            process.kill()


@pytest.fixture(scope="module")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    port = free_port()
    with redis_on(port, folder=tmp_path_factory.mktemp("redis")):
        yield port


@pytest.fixture(scope="module")
def cluster_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a Cluster of one node."""
    port = free_port()
    folder = tmp_path_factory.mktemp("cluster")
    with redis_on(port, "--cluster-enabled", "yes", folder=folder), Redis(port=port) as client:
        client.execute_command("CLUSTER", "ADDSLOTS", *range(16384))
        while "cluster_state:ok" not in str(client.execute_command("CLUSTER", "INFO")):
            pass
        yield port
