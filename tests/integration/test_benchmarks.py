"""The command line of the benchmarks."""

from __future__ import annotations

from tests.integration.benchmark_tables import benchmarks


def test_an_unknown_table_is_refused() -> None:
    ran = benchmarks("nonsense")
    assert ran.returncode == 2
    assert "no such table: nonsense" in ran.stderr
