"""A fleet in one process: many workers, one store and one dependency, on a clock set by hand.

All that happens is drawn from one seed, so that a failing seed fails again in the same way. The
workers are real registries, breakers and fleets; the store is real, too, behind lines that lose
questions and answers, and that take their time: meanwhile the worker's calls go on, and others
come in between. Workers die, hang, pause and cancel; the store is flushed, put back, drops
records, and is slow for a while; it goes back to a snapshot, and has records that can't be read.
These last faults can be switched on one by one: see faults.py.

    python -m tests.stores.simulation --seeds 1000000       all cores
    python -m tests.stores.simulation --seed 4711           one, with its history
    python -m tests.stores.simulation --seed 11 --faults snapshots
"""
