"""Entries as the arguments of a script in Redis, and its answers as replies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from breaker_asgi._core.state import CircuitBreakerState
from breaker_asgi.stores import outages
from breaker_asgi.stores.protocol import (
    Change,
    Command,
    Counts,
    Entry,
    Reply,
    Shared,
    unidentified,
)
from breaker_asgi.stores.record import Record, UnreadableError, check, decode, encode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from breaker_asgi.stores.protocol import Report, SharedOutage

Argument = bytes | str | int
_DAMAGED = "it is damaged"


class Kept(NamedTuple):
    """The answer to an entry."""

    reply: Reply
    is_unsaid: bool
    """True if its last change is not announced yet, in a Cluster."""
    point: int
    """The point of its last change; 0 if it is not known."""


class Earlier(NamedTuple):
    """A record of version 0 that has to be taken over first."""

    generation: int
    clock: int
    text: bytes

    def change(self, name: str) -> tuple[Entry, int]:
        """Return the entry that takes it over, and the generation that it begins."""
        record = Record.load(self.text)
        shared = record.shared(record.now(self.clock), 0)
        change = Change(
            id=shared.id,
            state=shared.state,
            reason=shared.reason,
            by_hand=shared.by_hand,
            who=shared.who,
            worker=shared.worker,
            age=shared.age,
            lasts=shared.lasts,
            openings=shared.openings,
            command=shared.command,
        )
        entry = Entry(name=name, generation=self.generation, change=change)
        return entry, max(self.generation + 1, shared.generation)


def arguments(entry: Entry, begins: int | None = None) -> list[Argument]:
    """Return the arguments of an entry; a change begins the next generation, or the given one."""
    args: list[Argument] = [len(entry.settled)]
    for lease, generation, counts in entry.settled:
        args += encode(lease), generation, int(counts is not None), *(counts or ())
    args += _of_report(entry.report)
    args += _of_change(entry.change, begins or entry.generation + 1)
    args.append(len(entry.claims))
    for claim in entry.claims:
        args += claim.most, round(claim.seconds * 1000)
    return args


def _of_report(report: Report | None) -> Iterator[Argument]:
    yield int(report is not None)
    if report is not None:
        yield from (report.streak, int(report.unbroken), int(report.tripped), report.rejected)
        yield len(report.seconds)
        for age, counts in report.seconds:
            yield from (age, *counts)


def _of_change(change: Change | None, generation: int) -> Iterator[Argument]:
    yield int(change is not None)
    if change is not None:
        texts = {
            "id": change.id,
            "state": change.state.value,
            "reason": change.reason,
            "who": change.who,
            "worker": change.worker,
            "lasts": change.lasts if change.lasts is None else repr(float(change.lasts)),
            "command": change.command and change.command.id,
        }
        fields = {field: encode(text) for field, text in texts.items() if text is not None}
        numbers = {
            "generation": generation,
            "by_hand": int(change.by_hand),
            "openings": change.openings,
        }
        yield round(change.age * 1000)
        yield round(change.command.age * 1000) if change.command else 0
        yield from _of_outage(outages.begun_by(change))
        yield len(fields) + len(numbers)
        for field, value in (fields | numbers).items():
            yield from (field, value)


def _of_outage(outage: SharedOutage | None) -> Iterator[Argument]:
    yield int(outage is not None)
    if outage is not None:
        yield encode(outages.dump_cause(outage))
        for age in (outage.age, outage.ended, outage.last_probe):
            yield -1 if age is None else round(age * 1000)
        yield from (outage.probes_failed, outage.rejected)


def parse(answer: Sequence[Any]) -> Kept | Earlier:
    """Return the answer to an entry. Raises `UnreadableError`."""
    if answer[0] == b"earlier":
        return Earlier(*answer[1:])
    try:
        if answer[0] != b"unreadable":
            return _parse(answer)
        version, state = map(decode, answer[1:])
        check(int(version), state)
    except UnreadableError:
        raise
    except (ValueError, TypeError) as error:
        raise UnreadableError(_DAMAGED) from error
    raise UnreadableError(_DAMAGED)


def _parse(answer: Sequence[Any]) -> Kept:
    generation, change_id, state, reason, by_hand, who, worker, age, lasts, openings = answer[:10]
    command, command_age, *numbers = answer[10:22]
    calls, (streak, witnesses, tripped, probes), settled = numbers[:3], numbers[3:7], numbers[7:]
    unsaid, point, cause, ages, *leases = answer[22:]
    shared = Shared(
        generation=generation,
        id=_text(change_id) or unidentified(generation),
        state=CircuitBreakerState(decode(state)),
        reason=decode(reason),
        by_hand=by_hand == b"1",
        who=_text(who),
        worker=_text(worker),
        age=age / 1000 if generation else 0.0,
        lasts=None if lasts is None else float(lasts),
        openings=openings,
        command=Command(decode(command), command_age / 1000) if command else None,
        counts=Counts(*calls),
        streak=streak,
        witnesses=witnesses,
        tripped=tripped,
        probes=probes,
        settled=Counts(*settled),
        outage=outages.parse(decode(cause), decode(ages)) if cause else None,
    )
    reply = Reply(shared, tuple(map(decode, leases)))
    return Kept(reply, unsaid is not None, int(float(point or 0)))


def _text(value: bytes | None) -> str | None:
    return None if value is None else decode(value)
