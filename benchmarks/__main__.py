"""`python -m benchmarks [table...]` measures, and prints tables of ratios."""

from __future__ import annotations

import argparse
import logging
import os
import platform
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version

from benchmarks import clients, core, fire, http, monitor, page, peers, telemetry
from benchmarks.shared import storages, suite
from benchmarks.tables import Table
from benchmarks.tuning import suite as tuning
from benchmarks.tuning.policies import chosen

TABLES: dict[str, Callable[[int], Iterator[Table]]] = {
    "core": core.tables,
    "http": http.tables,
    "clients": clients.tables,
    "monitor": monitor.tables,
    "page": page.tables,
    "telemetry": telemetry.tables,
    "fire": fire.tables,
    "shared": suite.tables,
}
"""Tables by their names on the command line; each takes the number of rounds."""
_TUNING = "tuning"
"""The table that is simulated; it takes seeds, not rounds."""
_NAMES = [*TABLES, _TUNING]
_DEFAULT = ("core", "http", "clients")

_TABLES_HELP = f"any of: {', '.join(_NAMES)}; without one: {', '.join(_DEFAULT)}"
_ROUNDS = 31
_QUICK_ROUNDS = 2


def main() -> None:
    options = _options()
    logging.getLogger("breaker_asgi").setLevel(logging.ERROR)  # breakers open all the time here
    rounds = options.rounds or (_QUICK_ROUNDS if options.quick else _ROUNDS)
    print(
        f"{platform.python_implementation()} {platform.python_version()}, {platform.system()} "
        f"{platform.machine()}, {os.cpu_count()} cores, {rounds} rounds\n"
    )
    distributions = sorted({*peers.DISTRIBUTIONS, *storages.DISTRIBUTIONS})
    print(f"Beside {', '.join(f'{name} {_version(name)}' for name in distributions)}")
    for name in options.tables or _DEFAULT:
        tables = _tuning(options) if name == _TUNING else TABLES[name](rounds)
        for table in tables:
            print(f"\n{table}", flush=True)


def _tuning(options: argparse.Namespace) -> Iterator[Table]:
    usual = tuning.Options(seeds=(0,), rates=0.1) if options.quick else tuning.Options()
    return tuning.tables(
        tuning.Options(
            seeds=options.seeds or usual.seeds,
            rates=options.rates or usual.rates,
            phases=options.phases,
            workers=options.workers,
            policies=chosen(options.policies),
        )
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="What a guarded call costs, as tables of ratios."
    )
    parser.add_argument("tables", nargs="*", metavar="table", help=_TABLES_HELP)
    parser.add_argument("--quick", action="store_true", help="few rounds: a first look")
    parser.add_argument("--rounds", type=int, metavar="N", help="the number of rounds")
    group = parser.add_argument_group("tuning")
    group.add_argument("--seeds", type=int, nargs="+", metavar="N", help="without: 0 1")
    group.add_argument("--rates", type=float, metavar="X", help="the factor of all rates of calls")
    group.add_argument(
        "--phases", type=float, default=1.0, metavar="X", help="the factor of all durations"
    )
    group.add_argument("--workers", type=int, default=8, metavar="N", help="of the fleet")
    group.add_argument(
        "--policies", nargs="+", default=[], metavar="NAME", help="parts of names; candidates"
    )
    options = parser.parse_args()
    if unknown := set(options.tables).difference(_NAMES):
        parser.error(f"no such table: {', '.join(sorted(unknown))}")
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds has to be 1 or more")
    return options


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "(not installed)"


if __name__ == "__main__":
    main()
