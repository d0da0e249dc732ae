from __future__ import annotations

import shutil

import pytest


def _installed(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"no {program} (apt-get install prometheus): nobody read the rules and queries")
    return path


@pytest.fixture(scope="session")
def promtool() -> str:
    return _installed("promtool")


@pytest.fixture(scope="session")
def prometheus_program() -> str:
    return _installed("prometheus")
