"""What is noted while there is nobody to tell."""

from __future__ import annotations

import pytest

from breaker_asgi._fleet.pending_counts import Notes
from breaker_asgi.stores.protocol import Counts, Second


@pytest.fixture
def notes() -> Notes:
    return Notes()


def test_calls_keep_their_time(notes: Notes) -> None:
    notes.add(Counts(1), now=100, keep=10)
    notes.add(Counts(2, 1), now=103.5, keep=10)
    assert notes.take(104) == (Second(0, Counts(2, 1)), Second(4, Counts(1)))


def test_they_are_taken_once(notes: Notes) -> None:
    notes.add(Counts(1), now=100, keep=10)
    assert notes
    notes.take(100)
    assert not notes
    assert notes.take(100) == ()


def test_those_that_are_too_old_to_matter_are_noted_together(notes: Notes) -> None:
    for now in range(100, 130):
        notes.add(Counts(1, 1), now=now, keep=10)
    seconds = notes.take(129)
    assert [each.age for each in seconds] == list(range(11))
    assert seconds[-1].counts == Counts(20, 20)


def test_where_no_time_matters_there_is_one_note_as_old_as_the_youngest(notes: Notes) -> None:
    for now in range(100, 130):
        notes.add(Counts(1, 1), now=now, keep=0)
    assert notes.take(131) == (Second(2, Counts(30, 30)),)


def test_there_are_never_many(notes: Notes) -> None:
    for now in range(10_000):
        notes.add(Counts(1), now=now, keep=3600)
    seconds = notes.take(10_000)
    assert len(seconds) <= 62
    assert sum(each.counts.calls for each in seconds) == 10_000
    assert sum(each.counts.calls for each in seconds if each.age < 3600) == pytest.approx(3600, 60)


def test_a_clock_that_goes_back_makes_no_age_negative(notes: Notes) -> None:
    notes.add(Counts(1), now=100, keep=10)
    assert notes.take(90) == (Second(0, Counts(1)),)
