"""One seed, from its beginning to its end."""

from __future__ import annotations

import logging
import traceback
from collections import Counter
from typing import Any

from tests.stores.simulation.end import check_end
from tests.stores.simulation.faults import HELD, Faults
from tests.stores.simulation.scenarios import (
    after_the_store_has_forgotten,
    when_each_worker_sees_a_failure,
    when_two_workers_are_sick,
)
from tests.stores.simulation.snapshots import (
    SINCE,
    after_a_lifted_force_open,
    when_one_record_is_unreadable,
)
from tests.stores.simulation.terms import Violation
from tests.stores.simulation.world import World


class FailedSeedError(AssertionError):
    """A failed seed, with the command to run it again."""


def run(seed: int, events: int = 250, faults: Faults = HELD, **settings: Any) -> World:
    """Run a world with faults, and then without: all must agree, and all must be closed."""
    world: World | None = None
    logger = logging.getLogger("breaker_asgi")
    disabled, logger.disabled = logger.disabled, True
    try:
        world = World(seed, faults=faults, **settings)
        for _ in range(events):
            world.now += world.random.expovariate(20)
            world.happen()
        world.heal()
        check_end(world)
        if not settings and seed % 10 == 0:
            after_the_store_has_forgotten(seed)
            when_two_workers_are_sick(seed)
            when_each_worker_sees_a_failure(seed)
            if faults.snapshots:
                after_a_lifted_force_open(seed, world.random.choice(SINCE))
            if faults.unreadable:
                when_one_record_is_unreadable(seed)
    except (Exception, Violation) as error:
        history = "\n".join(world.history[-200:]) if world else ""
        raise FailedSeedError(
            f"{history}\n\nseed {seed} of {settings}: {error!r}\n"
            f"again: python -m tests.stores.simulation --seed {seed} --faults '{faults}'"
        ) from error
    finally:
        logger.disabled = disabled
    return world


def outcome(seed: int, faults: Faults = HELD) -> tuple[int, str | None, Counter[str]]:
    try:
        return seed, None, run(seed, faults=faults).happened
    except FailedSeedError as error:
        cause = error.__cause__
        where = traceback.extract_tb(cause.__traceback__)[-1] if cause else None
        return seed, f"{cause!r} {where.name if where else ''}"[:300], Counter()
