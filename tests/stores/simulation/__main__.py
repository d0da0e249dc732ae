from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections import Counter
from functools import partial

import tests.stores.simulation
from tests.stores.simulation.faults import HELD, Faults
from tests.stores.simulation.runs import outcome, run


def main() -> None:
    """Run many seeds on all cores, or one with its history."""
    parser = argparse.ArgumentParser(description=tests.stores.simulation.__doc__)
    parser.add_argument("--seeds", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--faults", type=Faults.parse, default=HELD)
    options = parser.parse_args()
    faults = options.faults
    if options.seed is not None:
        world = run(options.seed, faults=faults)
        print("\n".join(world.history))
        return
    began, bad, happened = time.monotonic(), 0, Counter[str]()
    with multiprocessing.Pool() as pool:
        seeds = range(options.first, options.first + options.seeds)
        for seed, failure, counts in pool.imap_unordered(
            partial(outcome, faults=faults), seeds, chunksize=50
        ):
            happened.update(counts)
            if failure is not None:
                bad += 1
                print(f"seed {seed}: {failure}", flush=True)
    took = time.monotonic() - began
    print(f"{options.seeds} seeds, {bad} failed, {took:.0f} s; what happened:")
    print(", ".join(f"{name} {count}" for name, count in happened.most_common()))
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
