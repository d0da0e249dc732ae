"""Notes of calls while the store is out."""

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


def test_notes_are_taken_once(notes: Notes) -> None:
    notes.add(Counts(1), now=100, keep=10)
    assert notes
    notes.take(100)
    assert not notes
    assert notes.take(100) == ()


def test_old_calls_share_a_note(notes: Notes) -> None:
    for now in range(100, 130):
        notes.add(Counts(1, 1), now=now, keep=10)
    seconds = notes.take(129)
    assert [second.age for second in seconds] == list(range(11))
    assert seconds[-1].counts == Counts(20, 20)


def test_without_a_window_one_note_has_the_age_of_the_youngest(notes: Notes) -> None:
    for now in range(100, 130):
        notes.add(Counts(1, 1), now=now, keep=0)
    assert notes.take(131) == (Second(2, Counts(30, 30)),)


def test_number_of_notes_is_bounded(notes: Notes) -> None:
    for now in range(10_000):
        notes.add(Counts(1), now=now, keep=3600)
    seconds = notes.take(10_000)
    assert len(seconds) <= 62
    assert sum(second.counts.calls for second in seconds) == 10_000
    assert sum(second.counts.calls for second in seconds if second.age < 3600) == pytest.approx(
        3600, 60
    )


def test_a_clock_that_goes_back_makes_no_age_negative(notes: Notes) -> None:
    notes.add(Counts(1), now=100, keep=10)
    assert notes.take(90) == (Second(0, Counts(1)),)
