"""The simulation of `benchmarks.tuning`: its calls, its figures, and rules with a closed form."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from benchmarks.tuning import aims, load, sharing, situations
from benchmarks.tuning.calls import Call, Draw, Phase, Situation, draw
from benchmarks.tuning.guards import Rule
from benchmarks.tuning.policies import (
    ADAPTIVE,
    AIOBREAKER,
    CANDIDATES,
    CLASSIC,
    DEFAULT,
    GUIDE,
    NEVER,
    OURS,
    PEERS,
    ROUTES,
    Policy,
    chosen,
)
from benchmarks.tuning.rules import Envoy, SemianAdaptive, SemianClassic, Throttling
from benchmarks.tuning.scores import Figures, figures_of, mean, possible, text
from benchmarks.tuning.sharing import Sharing
from benchmarks.tuning.simulation import FAILED, Simulation
from breaker_asgi.testing import FakeClock

RATE = 10


def quick(situation: Situation, draw: Draw) -> tuple[bool, float]:
    return draw.luck < situation.phases[draw.phase].failing, 0.01


def outage(seconds: float = 60) -> Situation:
    """Return a minute of good calls, an outage, and a minute of good calls."""
    phases = [Phase(60, 0.0), Phase(seconds, 1.0, is_sick=True), Phase(60, 0.0)]
    return Situation("outage", phases, quick, rate=RATE, workers=1, has_frontier=True)


def steady(situation: Situation) -> list[Call]:
    """Return calls at equal distances; all of a failing phase fail."""
    calls, ends = [], situation.ends
    for number in range(int(situation.seconds * RATE)):
        at = number / RATE
        phase = sum(at >= end for end in ends)
        failed = situation.phases[phase].failing == 1
        calls.append(Call(number, at, phase, number, 0, 0.0, failed, 0.01))
    return calls


def policy(name: str) -> Policy:
    [only] = [policy for policy in [*OURS, *PEERS] if policy.name == name]
    return only


def figures(
    situation: Situation,
    name: str,
    share: Sharing = sharing.as_one,
    calls: list[Call] | None = None,
) -> Figures:
    calls = draw(situation, 0) if calls is None else calls
    simulation = Simulation(situation, calls, 0)
    guards = share(policy(name), situation, simulation, 0)
    assert guards is not None
    simulation.guards = guards
    return figures_of(situation, calls, simulation.run())


# Calls


def test_a_seed_draws_the_same_calls_again_and_another_one_draws_others() -> None:
    situation = outage()
    assert draw(situation, 1) == draw(situation, 1)
    assert draw(situation, 1) != draw(situation, 2)


def test_the_drawn_calls_arrive_at_the_rate_and_fail_by_the_share_of_their_phase() -> None:
    spike = situations.ERRORS[1].stretched(rate=0.2, phases=1)
    calls = draw(spike, 0)
    assert len(calls) / spike.seconds == pytest.approx(60, rel=0.05)
    assert all(call.failed for call in calls if spike.phases[call.phase].failing == 1)
    healthy = [call.failed for call in calls if spike.phases[call.phase].failing < 1]
    assert sum(healthy) / len(healthy) == pytest.approx(0.01, abs=0.005)


def test_a_situation_can_have_other_rates_and_durations_and_keeps_its_load() -> None:
    storm = load.STORM.stretched(rate=0.5, phases=2)
    assert (storm.rate, storm.seconds) == (40, 480)
    assert load.Queue(storm).answer(draw(storm, 0)[0], 0.0)[1] == pytest.approx(1 / 50 + 0.05)


def test_neighbouring_sick_phases_are_one_stretch_and_the_worst_one_is_measured() -> None:
    healthy, ill, dead = Phase(10), Phase(5, 0.2, is_sick=True), Phase(7, 1.0, is_sick=True)
    situation = Situation("two", [healthy, ill, ill, healthy, dead, healthy], quick)
    assert situation.worst() == (30, 37)
    assert replace(situation, phases=[healthy, ill, ill]).worst() == (10, 20)


@pytest.mark.parametrize("share", [sharing.alone, sharing.fleet_of(3), sharing.as_one])
def test_a_run_gives_the_same_figures_again(share: Sharing) -> None:
    situation = replace(outage(20), workers=3)
    assert figures(situation, DEFAULT, share) == figures(situation, DEFAULT, share)


def test_every_situation_can_be_drawn_and_has_titles_of_its_own() -> None:
    every = [*situations.ERRORS, *situations.SLOW, *situations.HARDER, *load.LOAD]
    assert len({situation.title for situation in every}) == len(every) == 22
    for situation in every:
        assert draw(situation.stretched(rate=0.01, phases=1), 0)


# Rules with a closed form


def test_a_breaker_that_never_opens_has_the_fates_that_were_drawn() -> None:
    measured = figures(outage(), NEVER, calls=steady(outage()))
    assert (measured.ok, measured.errors, measured.lost) == pytest.approx((200 / 3, 100 / 3, 0))
    assert (text(measured.detect), measured.recover, measured.load) == ("-", 0, RATE)


def test_five_failures_in_a_row_open_after_five_calls() -> None:
    measured = figures(outage(), DEFAULT, calls=steady(outage()))
    assert measured.first_rejection == pytest.approx(5 / RATE)


def test_half_of_a_window_of_twenty_calls_opens_after_ten() -> None:
    measured = figures(outage(), GUIDE, calls=steady(outage()))
    assert measured.first_rejection == pytest.approx(10 / RATE)


def test_half_of_a_window_of_fifty_calls_opens_after_twenty_five() -> None:
    measured = figures(outage(), ROUTES, calls=steady(outage()))
    assert measured.first_rejection == pytest.approx(25 / RATE)


def test_an_open_time_that_outlasts_the_outage_loses_the_good_calls_of_its_rest() -> None:
    measured = figures(outage(20), AIOBREAKER, calls=steady(outage(20)))
    assert measured.recover == pytest.approx(60 - 20 + 1, abs=1)
    assert measured.lost_of_good == pytest.approx(100 * 40.5 / 120, abs=0.2)


def test_no_more_can_be_answered_than_the_errors_allow_that_are_spent_where_they_are_fewest() -> (
    None
):
    shares = [0.01] * 4 + [0.2] * 10 + [0.01] * 4
    situation = Situation("sustained", [Phase(1, share) for share in shares], quick)
    calls = [
        Call(0, 0.0, phase, 0, 0, 0.0, number < 1000 * share, 0.0)
        for phase, share in enumerate(shares)
        for number in range(1000)
    ]
    fates = bytearray(len(calls))
    fates[: int(0.0434 * len(calls))] = bytes([FAILED]) * int(0.0434 * len(calls))
    assert 100 * possible(situation, calls, fates) / len(calls) == pytest.approx(59.6, abs=0.05)


# Load


def test_a_retry_storm_without_a_breaker_does_not_end_and_with_one_it_does() -> None:
    storm = load.STORM.stretched(rate=0.5, phases=1)
    assert figures(storm, NEVER).ok == pytest.approx(25, abs=2)
    assert figures(storm, DEFAULT).ok > 80


def test_a_server_that_refuses_serves_its_capacity_and_no_more() -> None:
    assert figures(load.HALF, NEVER).ok == pytest.approx(100 * (5 + 60) / 125, abs=1)


def test_an_empty_cache_is_slow_until_its_answers_have_filled_it() -> None:
    cache = load.Cache(load.COLD)
    assert cache.capacity(0.0) == 120
    assert cache.capacity(75.0) == 0
    assert cache.capacity(91.0) == 20
    call = draw(load.COLD, 0)[0]
    for number in range(500):
        cache.answer(call, 91.0 + number)
    assert cache.capacity(600.0) == pytest.approx(70)


def test_slots_make_a_call_wait_and_refuse_it_after_a_second() -> None:
    slots = load.Slots(outage(), slots=1)
    call = steady(outage())[0]._replace(seconds=0.7)
    assert slots.answer(call, 0.0) == (False, 0.7)
    assert slots.answer(call, 0.0)[1] == pytest.approx(1.4)
    assert slots.answer(call, 0.0) == (True, 1.0)


# Sharing


def test_calls_under_way_are_counted_until_they_end() -> None:
    hang = situations.HARDER[0]
    measured = figures(hang, NEVER)
    assert measured.most_under_way == pytest.approx(50 * 30, rel=0.1)


def test_the_trip_of_one_worker_opens_the_others_of_its_fleet_soon() -> None:
    situation = replace(outage(), workers=4)
    alone = figures(situation, DEFAULT, sharing.alone)
    fleet = figures(situation, DEFAULT, sharing.fleet_of(4))
    assert fleet.errors < alone.errors
    assert fleet.load < alone.load / 2


def test_rules_of_others_have_no_fleet() -> None:
    simulation = Simulation(outage(), [], 0)
    assert sharing.fleet_of(2)(policy(CLASSIC), outage(), simulation, 0) is None


# Rules of others


def settle(rule: Rule, times: int, *, failed: bool) -> None:
    for _ in range(times):
        rule.settle(rule.clock.now, failed=failed)


def test_semian_opens_at_its_errors_and_closes_after_two_successes() -> None:
    rule = SemianClassic(FakeClock(), errors=3)
    settle(rule, 3, failed=True)
    assert not rule.admits(14.9)
    assert rule.admits(15.0)
    settle(rule, 2, failed=False)
    settle(rule, 2, failed=True)
    assert rule.admits(15.0)


def test_semian_forgets_errors_after_twenty_seconds() -> None:
    rule = SemianClassic(clock := FakeClock(), errors=2)
    settle(rule, 1, failed=True)
    clock.advance(21)
    settle(rule, 1, failed=True)
    assert rule.admits(clock.now)


def test_semians_adaptive_breaker_rejects_a_share_while_calls_fail() -> None:
    rule = SemianAdaptive(clock := FakeClock(), Random(0))
    admitted = 0
    for number in range(3_000):
        clock.advance(0.01)
        if ticket := rule.admit():
            admitted += 1
            (ticket.failure if number % 2 else ticket.success)()
    assert 300 < admitted < 2_000


def test_throttling_tolerates_half_of_the_calls_and_envoy_a_twentieth() -> None:
    for kind, tolerated in ((Throttling, 0.5), (Envoy, 0.05)):
        rule = kind(FakeClock(), Random(0))
        settle(rule, int(1000 * tolerated), failed=True)
        settle(rule, 1000 - int(1000 * tolerated), failed=False)
        assert all(rule.admits(1.0) for _ in range(100))


def test_envoy_admits_a_fifth_of_the_calls_when_all_fail() -> None:
    rule = Envoy(FakeClock(), Random(0))
    settle(rule, 1000, failed=True)
    assert sum(rule.admits(1.0) for _ in range(1000)) == pytest.approx(200, abs=40)


# Tables


def test_policies_are_chosen_by_parts_of_their_names() -> None:
    assert [policy.name for policy in chosen(["Semian"])] == [CLASSIC, ADAPTIVE]
    assert chosen([]) == [*OURS, *PEERS]
    assert set(map(id, CANDIDATES)) <= set(map(id, chosen(["candidates"])))


def test_an_aim_is_met_missed_or_not_measured() -> None:
    measured = figures(outage(20), DEFAULT)
    results: aims.Results = {
        (situations.ERRORS[1].title, DEFAULT, aims.ALONE): measured._replace(lost_of_good=9),
        (situations.ERRORS[1].title, DEFAULT, aims.ONE): measured._replace(lost_of_good=11),
    }
    marks = {(row[0], row[1]): row[-1] for row in aims.table(results).rows}
    name = f"{DEFAULT}: % of good lost, spike 100"
    assert marks[name, aims.ALONE] == "met"
    assert marks[name, aims.ONE] == "MISSED"
    assert marks[name, aims.FLEET] == "not measured"


def test_the_figures_of_several_seeds_are_their_means() -> None:
    one = figures(outage(20), NEVER)
    assert mean([one, one._replace(ok=one.ok + 2)]).ok == pytest.approx(one.ok + 1)
