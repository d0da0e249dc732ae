"""`python -m benchmarks [table...]` measures, and prints tables of ratios."""

from __future__ import annotations

import argparse
import logging
import os
import platform
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version

from benchmarks import clients, core, fire, http, monitor, peers, telemetry
from benchmarks.shared import storages, suite
from benchmarks.tables import Table

TABLES: dict[str, Callable[[int], Iterator[Table]]] = {
    "core": core.tables,
    "http": http.tables,
    "clients": clients.tables,
    "monitor": monitor.tables,
    "telemetry": telemetry.tables,
    "fire": fire.tables,
    "shared": suite.tables,
}
"""Tables by their names on the command line; each takes the number of rounds."""
_DEFAULT = ("core", "http", "clients")

_TABLES_HELP = f"any of: {', '.join(TABLES)}; without one: {', '.join(_DEFAULT)}"
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
        for table in TABLES[name](rounds):
            print(f"\n{table}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="What a guarded call costs, as tables of ratios."
    )
    parser.add_argument("tables", nargs="*", metavar="table", help=_TABLES_HELP)
    parser.add_argument("--quick", action="store_true", help="few rounds: a first look")
    parser.add_argument("--rounds", type=int, metavar="N", help="the number of rounds")
    options = parser.parse_args()
    if unknown := set(options.tables) - TABLES.keys():
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
