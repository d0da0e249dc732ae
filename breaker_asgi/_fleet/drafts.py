"""Drafts of the entries of a batch: what the links of one name have to say to the store."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from breaker_asgi._core.generation import Transition
from breaker_asgi._core.state import CLOSED, HALF_OPEN, OPEN
from breaker_asgi._fleet.leased_probes import LeasedProbes
from breaker_asgi._fleet.link import PROPOSED, UNKNOWN, stored_state
from breaker_asgi._fleet.outages import NO_EVIDENCE
from breaker_asgi.stores.protocol import Claim, Entry, Settled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breaker_asgi._core.generation import Generation
    from breaker_asgi._fleet.link import Link
    from breaker_asgi._fleet.quorum import Quorum
    from breaker_asgi._fleet.reports import Reports
    from breaker_asgi.stores.protocol import Reply


class Grant(NamedTuple):
    """A request for leases, and how they are to be kept."""

    link: Link
    requested_at: float
    patience: float
    claims: tuple[Claim, ...]


class Draft(NamedTuple):
    """An entry, and the links that it speaks for: breakers may share a name."""

    entry: Entry
    links: Sequence[Link]
    settled: Sequence[tuple[Link, int]] = ()
    """The number of ended probes of each link."""
    changing: tuple[Link, Generation] | None = None
    grant: Grant | None = None

    def confirm(self, reply: Reply) -> None:
        """Take note of what the store has: ended probes, and the change if it was made."""
        for link, count in self.settled:
            for _ in range(count):
                link.ended.popleft()
        if self.changing is not None and self.entry.change is not None:
            link, local = self.changing
            if reply.shared.id == self.entry.change.id:
                link.adopt(reply.shared, local)

    def keep_leases(self, reply: Reply) -> None:
        """Give the leases to the breaker that has claimed them, or back."""
        grant, generation = self.grant, reply.shared.generation
        if grant is None:
            return
        link = grant.link
        breaker = link.breaker
        probes = None if breaker is None else breaker._generation.probes
        fits = isinstance(probes, LeasedProbes) and link.generation == generation
        for lease in reply.leases:
            if fits and isinstance(probes, LeasedProbes):
                probes.grant(lease, generation, grant.requested_at, grant.patience)
            else:
                link.ended.append(Settled(lease, generation, None))
        if len(reply.leases) < len(grant.claims):
            link.refused()


def prepare(link: Link, quorum: Quorum) -> None:
    """Decide about a change that was made here: for all, for this worker only, or none at all."""
    breaker = link.breaker
    if breaker is None or link.status == UNKNOWN:
        return
    generation = breaker._generation
    link.note_command(generation)
    may_probe = link.wanted and not link.alone
    if may_probe and generation.state is OPEN and generation.has_ended(breaker.config.clock()):
        breaker._change(Transition(HALF_OPEN, "the open time has passed"), expected=generation)
    local = breaker._generation
    was_closed = stored_state(link.local.state) is CLOSED
    if local is link.local or link.status != PROPOSED or not was_closed:
        return
    if local.transition.by_hand or local is link.for_all or link.commands.unsent is not None:
        return  # a command that has not been sent goes before what came after it
    if local.state is CLOSED:
        if not link.is_lost:
            link.rename(local)
    elif local.state is not OPEN or not quorum.is_one:
        link.keep_to_this_worker(breaker)


def draft(name: str, links: Sequence[Link], reports: Reports, worker: str) -> Draft:
    """Return all that there is to say of a name."""
    settled = [(link, len(link.ended)) for link in links]
    entry = Entry(
        name=name,
        generation=max((link.generation for link in links), default=0),
        window=max((link.window.seconds for link in links), default=0),
        settled=tuple(ended for link, count in settled for ended in list(link.ended)[:count]),
    )
    made = Draft(entry, links, settled)
    for link in links:
        change = link.change(worker) if link.owes_a_change else None
        if change is not None:
            entry = replace(entry, generation=link.generation, change=change[1])
            made = made._replace(changing=(link, change[0]))
            break
    taken = reports.of(name)
    if taken is not None:
        report = taken.report
        if taken.generation != entry.generation:  # the outage goes on, the evidence does not
            report = replace(NO_EVIDENCE, rejected=report.rejected)
        if report != NO_EVIDENCE:
            entry = replace(entry, window=taken.window, report=report)
    for link in links:
        grant = _claims(link)
        if grant is not None:
            entry = replace(entry, claims=grant.claims)
            made = made._replace(grant=grant)
            break
    return made._replace(entry=entry)


def _claims(link: Link) -> Grant | None:
    """Return the claims for the calls that wait for a probe."""
    breaker = link.breaker
    if breaker is None or not link.wanted or link.alone:
        return None
    probes, config = breaker._generation.probes, breaker.config
    if not isinstance(probes, LeasedProbes):
        return None
    requested_at = config.clock()
    patience = probes.patience(requested_at)
    claim = Claim(config.half_open_calls, probes.term(patience))
    return Grant(link, requested_at, patience, (claim,) * min(link.wanted, config.half_open_calls))
