"""A board: the rows and the sums of all workers, or of one, as the streams have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import ref

from breaker_asgi.monitor.log_listing import mark
from breaker_asgi.monitor.query import WrongQueryError
from breaker_asgi.monitor.scope import Elsewhere
from breaker_asgi.monitor.story import is_mark
from breaker_asgi.monitor.table import LATE, Table
from breaker_asgi.monitor.traffic import as_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.monitor.event_log import Event
    from breaker_asgi.monitor.history import History
    from breaker_asgi.monitor.listing import Listing
    from breaker_asgi.monitor.log_listing import LogListing
    from breaker_asgi.monitor.scope import Scope

Json: TypeAlias = dict[str, Any]
Listed: TypeAlias = "ref[CircuitBreaker] | Elsewhere"


class Board:
    """The table of one scope, with the sums that were sent last."""

    def __init__(
        self, listing: Listing, history: History, worker: str | None, *, details: bool
    ) -> None:
        self._listing = listing
        self._history = history
        self._worker = worker
        self._details = details
        self.table = Table(listing, history, self._scope())
        self._sent: Json = {}

    @property
    def summary(self) -> Json:
        """The summary as it was when something was last sent."""
        summary: Json = self._sent["summary"]
        return summary

    def look(self) -> list[Listed]:
        """Look at the workers anew, and return their breakers; none is kept alive."""
        self.table.scope = self._scope()
        breakers = self.table.scope.breakers().values()
        return [breaker if isinstance(breaker, Elsewhere) else ref(breaker) for breaker in breakers]

    def _scope(self) -> Scope:
        try:
            return self._listing.scope(self._worker, details=self._details)
        except WrongQueryError:  # the worker has ended
            scope = self._listing.scope()
            scope.worker, scope.has_own, scope.others = self._worker, False, []
            return scope

    def read(self, breakers: list[Listed]) -> Iterator[None]:
        """Read the figures of breakers, in each step one that may have changed."""
        for breaker in breakers:
            if self._read(breaker):
                yield

    def _read(self, reference: Listed) -> bool:
        breaker = reference if isinstance(reference, Elsewhere) else reference()
        if breaker is None or not (self.table.scope.has_own or self._has(breaker)):
            return False
        return self.table.read(breaker)

    def _has(self, breaker: CircuitBreaker | Elsewhere) -> bool:
        return bool(self.table.scope.elsewhere(breaker))

    def end_look(self) -> None:
        """Remove the rows of breakers that are there no more."""
        self.table.keep(self.table.scope.breakers().values())

    def traffic(self, log: LogListing) -> Json:
        """Return the traffic of all breakers together."""
        traffic = log.traffic(None, self.table.scope)
        return {name: traffic[name] for name in ("seconds", "bars", "marks")}

    def _seconds(self) -> list[list[int]]:
        scope = self.table.scope
        if not scope.has_own:
            return []
        return as_rows(self._history.all_seconds(fleet=scope.worker is None)[-LATE:])

    def news(self, events: list[Event]) -> Json:
        """Return what is new but for rows."""
        sent, seconds = self._sent, self._seconds()
        self._sent = {
            "summary": self._listing.summary(self.table.scope),
            "store": self._listing.store(details=True),
            "seconds": seconds,
        }
        news = {
            name: self._sent[name]
            for name in ("summary", "store")
            if self._sent[name] != sent.get(name)
        }
        if traffic := [second for second in seconds if second not in sent.get("seconds", ())]:
            news["traffic"] = traffic
        if marks := [mark(event) for event in events if is_mark(event)]:
            news["marks"] = marks
        return news
