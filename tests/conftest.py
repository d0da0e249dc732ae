"""What holds for all tests."""

import os
from collections.abc import Generator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where NOTHING_SKIPPED is set, a skipped test has failed."""
    report = yield
    if report.skipped and os.environ.get("NOTHING_SKIPPED"):
        report.outcome = "failed"
    return report
