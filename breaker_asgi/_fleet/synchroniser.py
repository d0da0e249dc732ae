"""The exchange with the store: batches of what the links have to say, and their answers."""

from __future__ import annotations

import logging
import math
from collections import deque
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from breaker_asgi._core.logs import log, one_line
from breaker_asgi._core.state import CLOSED
from breaker_asgi._fleet.drafts import draft, prepare
from breaker_asgi._fleet.leased_probes import LeasedProbes
from breaker_asgi._fleet.link import UNKNOWN
from breaker_asgi._fleet.outages import later
from breaker_asgi._fleet.reconcile import reconcile
from breaker_asgi._fleet.reports import Reports

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from breaker_asgi._fleet.drafts import Draft
    from breaker_asgi._fleet.link import Link
    from breaker_asgi._fleet.quorum import Quorum
    from breaker_asgi.stores.protocol import Answer, Shared, Store

COMPARE = 10.0
"""Seconds between two comparisons with the store, which may have lost a record unnoticed."""
_PORTION = 500
"""Breakers in one batch: these take a fraction of a second."""
_ROUNDS = 30
"""Batches of one step: an answer may call for a change, which another worker outruns."""


class Synchroniser:
    """Keeps the links of a process in step with the store.

    The rules are the core's; of two changes from one generation the store makes one.
    """

    def __init__(
        self, store: Store, quorum: Quorum, worker: str, clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._quorum = quorum
        self._clock = clock
        self._due: deque[Link] = deque()
        """Links with pending work, as calls and threads add them: perhaps more than once."""
        self._to_fetch: dict[str, None] = {}
        """Breakers whose records have to be fetched."""
        self._kept: dict[str, tuple[Shared, float]] = {}
        """Records of breakers that do not exist here, unless closed; and when they were fetched."""
        self._compared = -math.inf
        self.cursor = 0
        """The point up to which the changes of other workers are fetched."""
        self.asked_at = -math.inf
        """The time of the last request to the store."""
        self.reports = Reports(clock)
        self.worker = worker

    def start_anew(self, worker: str) -> None:
        """Begin as another worker, which has reported nothing yet."""
        self.worker = worker
        self.reports.start_anew()

    def schedule(self, link: Link) -> None:
        """Mark a link as one with pending work."""
        self._due.append(link)

    def take_remote_state(self, name: str) -> Shared | None:
        """Return the remote state of a breaker just created here."""
        record, fetched = self._kept.pop(name, (None, 0.0))
        if record is None:
            return None
        late, command = self._clock() - fetched, record.command
        command = command and command._replace(age=command.age + late)
        outage = later(record.outage, late)
        return replace(record, age=record.age + late, command=command, outage=outage)

    @property
    def is_due(self) -> bool:
        """True if it is time to compare."""
        return self._clock() - self._compared >= COMPARE * self.reports.pace

    def step(self, links: Sequence[Link], *, compare: bool, is_notified: bool) -> None:
        """Exchange all that is pending. With `compare`, look at the records of all breakers."""
        named: dict[str, list[Link]] = {}
        for link in links:
            named.setdefault(link.name, []).append(link)
            if link.status == UNKNOWN and link.unreadable is None:
                self._to_fetch[link.name] = None
        cursor = 0 if compare else self.cursor
        if compare:
            self._kept = {}
            self._to_fetch |= {
                name: None for name, links in named.items() if any(map(_may_be_lost, links))
            }
        asks = compare or is_notified
        for _ in range(_ROUNDS):
            drafts = self._drafts(named, links)
            for start in range(0, len(drafts), _PORTION) if drafts else range(asks):
                asks = self._exchange(drafts[start : start + _PORTION], cursor, named)
                cursor = self.cursor
            if not (drafts or asks or self._due or self._to_fetch):
                break
        else:
            raise RuntimeError("it keeps other changes than those made")
        if compare:
            self._compared = self._clock()
        self._due.extend(link for link in links if _holds_leases(link))

    def _drafts(self, named: dict[str, list[Link]], links: Sequence[Link]) -> list[Draft]:
        """Return drafts for all names with pending work."""
        due = self._take_due()
        names, tripped = dict(self._to_fetch), []
        try:
            for link in due:
                if link.unreadable is None and link.breaker is not None:
                    was_alone = link.alone
                    link.give_back()
                    prepare(link, self._quorum)
                    if link.alone and not was_alone:
                        tripped.append(link)
                    if link.has_work:
                        names[link.name] = None
        except BaseException:
            self._due.extend(due)
            raise
        self.reports.take_if_due(links, tripped)
        names |= dict.fromkeys(self.reports.names)
        return [draft(name, named.get(name, ()), self.reports, self.worker) for name in names]

    def _take_due(self) -> dict[Link, None]:
        due: dict[Link, None] = {}
        with suppress(IndexError):
            while True:
                due[self._due.popleft()] = None
        return due

    def _exchange(self, drafts: Sequence[Draft], cursor: int, named: dict[str, list[Link]]) -> bool:
        """Send a batch, and apply the answer. Return True if there are further changes."""
        batch = [made.entry for made in drafts]
        self.asked_at = self._clock()
        try:
            answer = self._store.sync(self.worker, self.reports.number, cursor, batch)
        except BaseException:
            self._due.extend(link for made in drafts for link in made.links)
            raise
        self.reports.workers = answer.workers
        self._quorum.count(answer.workers)
        self._to_fetch |= dict.fromkeys(answer.changed)
        is_back = answer.cursor < self.cursor
        if is_back or self.cursor == 0 < answer.cursor:
            self._to_fetch |= dict.fromkeys(named)  # the store does not know what has changed
        if is_back or cursor == self.cursor:  # a comparison lists no breakers that have closed
            self.cursor = answer.cursor
        for made in drafts:
            self._apply(made, answer)
        return self.cursor != answer.cursor

    def _apply(self, made: Draft, answer: Answer) -> None:
        name = made.entry.name
        self._to_fetch.pop(name, None)
        if made.entry.report is not None or name in self.reports.names:
            self.reports.confirm(name)
        reply, why = answer.replies.get(name), answer.unreadable.get(name)
        for link in made.links:
            self._set_readable(link, why)
        if reply is not None:
            made.confirm(reply)
            for link in made.links:
                reconcile(link, reply.shared, self._quorum)
            made.keep_leases(reply)
            if all(link.stands_in for link in made.links):
                self._keep(name, reply.shared)
        for link in made.links:
            if made.grant is None or made.grant.link is link:
                link.wake_waiters()

    def _keep(self, name: str, shared: Shared) -> None:
        """Keep the record of a breaker that does not exist here."""
        self._kept.pop(name, None)
        if shared.state is not CLOSED:
            self._kept[name] = shared, self._clock()

    def _set_readable(self, link: Link, why: str | None) -> None:
        """Have a worker decide alone about a breaker whose record can't be read, and say so."""
        before, link.unreadable = link.unreadable, why
        if why is not None and before is None:
            text = "the store %s has a record of breaker %r that can't be read: %s; "
            text += "each process decides alone about this breaker until it can"
            log(logging.WARNING, text, self._store.label, link.name, one_line(why))
            link.log_opening()
        elif before is not None and why is None:
            text = "the store %s has a record of breaker %r that can be read again"
            log(logging.WARNING, text, self._store.label, link.name)


def _may_be_lost(link: Link) -> bool:
    """Return True if the store may have lost the link's record."""
    return bool(link.generation or link.id or link.is_lost or link.unreadable)


def _holds_leases(link: Link) -> bool:
    breaker = link.breaker
    probes = None if breaker is None else breaker._generation.probes
    return isinstance(probes, LeasedProbes) and probes.holds_some
