"""Commands by stand-ins, in any order with those of workers that have the breaker."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from breaker_asgi import CircuitBreaker, CircuitBreakerError
from breaker_asgi._fleet.fleet import Fleet
from breaker_asgi._fleet.stand_ins import KEPT
from tests.stores.place import Place, Worker

COMMANDS = {
    "force_open": "forced_open",
    "disable": "disabled",
    "metrics_only": "metrics_only",
    "reset": "closed",
}
"""Methods of a breaker, and the state that each leads to."""
AS_SOON_AS_ORDERED = 2.5
"""Seconds between two commands of which the later one holds."""


def stand_in(worker: Worker, name: str = "stock") -> CircuitBreaker:
    """Return the worker's stand-in, in the fleet's state."""
    fleet: Fleet = worker.fleet
    if fleet.stand_ins.get(name) is None:
        fleet.stand_ins.keep(worker.registry._unlisted(name))
        worker.step()
    kept = fleet.stand_ins.get(name)
    assert kept is not None
    return kept


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("command"), st.integers(0, 2), st.sampled_from([*COMMANDS])),
        st.tuples(st.just("step"), st.integers(0, 2), st.just("")),
        st.tuples(st.just("fail"), st.integers(0, 1), st.just("")),
        st.tuples(st.just("wait"), st.integers(1, 40), st.just("")),
    ),
    max_size=25,
)


@given(STEPS)
def test_the_last_command_holds_in_all_workers(steps: list[tuple[str, int, str]]) -> None:
    place = Place()
    workers = [place.worker() for _ in range(3)]
    breakers = [worker.registry.get("stock") for worker in workers[:2]]
    place.later()
    last = None
    for kind, number, command in steps:
        if kind == "wait":
            place.clock.advance(number)
        elif kind == "step":
            workers[number].step()
        elif kind == "fail":
            with suppress(CircuitBreakerError):
                breakers[number].acquire().failure()
        else:
            place.clock.advance(AS_SOON_AS_ORDERED)
            changed = breakers[number] if number < len(breakers) else stand_in(workers[number])
            getattr(changed, command)()
            last = COMMANDS[command]
            workers[number].step()
    place.later()
    place.later()
    states = {breaker.state.value for breaker in breakers}
    assert len(states) == 1
    assert last in {None, "closed"} or states == {last}
    assert stand_in(workers[2]).state in states


def test_a_stand_in_that_is_closed_is_forgotten() -> None:
    place = Place()
    worker = place.worker()
    stand_in(worker).reset()
    place.later()
    place.later(KEPT + 1)
    assert worker.fleet.stand_ins.get("stock") is None
