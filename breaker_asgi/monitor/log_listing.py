"""The log as JSON: events, stories, and the traffic on which they are marked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

from breaker_asgi.monitor.bars import MINUTES
from breaker_asgi.monitor.event_log import EVENT_KINDS
from breaker_asgi.monitor.listing import VERSION, Json, mask, worker
from breaker_asgi.monitor.moments import now, outage_json
from breaker_asgi.monitor.query import LogQuery
from breaker_asgi.monitor.story import KINDS
from breaker_asgi.monitor.traffic import as_rows

if TYPE_CHECKING:
    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.monitor.event_log import EventLog
    from breaker_asgi.monitor.history import History
    from breaker_asgi.monitor.scope import Elsewhere
    from breaker_asgi.monitor.scope import Scope as Workers
    from breaker_asgi.monitor.story import Story
    from breaker_asgi.registry import BreakerRegistry


class LogListing:
    """The JSON of a registry's events, stories and traffic."""

    def __init__(self, registry: BreakerRegistry, event_log: EventLog, history: History) -> None:
        self._registry = registry
        self._event_log = event_log
        self._history = history

    def events(
        self, params: dict[str, list[str]], breaker: str | None = None, *, details: bool
    ) -> Json:
        """Return the events that a request asks for. Raises `WrongQueryError`."""
        query = LogQuery.of(params, EVENT_KINDS)._replace(names=None)
        selected = (
            mask(event, details=details)
            for event in self._event_log.newest_first()
            if breaker in {None, event["breaker"]}
            and query.fits(event["id"], event["kind"], event["breaker"])
        )
        events = [*islice(selected, query.limit)]
        return {"version": VERSION, "worker": worker(), "events": events}

    def log(
        self, params: dict[str, list[str]], breaker: str | None = None, *, details: bool
    ) -> Json:
        """Return the stories that a request asks for. Raises `WrongQueryError`."""
        query = LogQuery.of(params, KINDS)
        stories, following = self._select(query, breaker)
        return {
            "version": VERSION,
            "worker": worker(),
            "stories": [self.story(story, details=details) for story in stories],
            "next": following,
        }

    def latest(self, breaker: str | None = None, *, details: bool) -> list[Json]:
        """Return the newest hundred stories of one breaker or of all."""
        stories, _ = self._select(LogQuery(), breaker)
        return [self.story(story, details=details) for story in stories]

    def _select(self, query: LogQuery, breaker: str | None) -> tuple[list[Story], int | None]:
        """Return a page of stories, and the `before` of the next one."""
        stories = self._event_log.stories
        stories.complete(self._registry)
        selected = (
            story
            for story in stories.newest_first()
            if breaker in {None, story.event["breaker"]}
            and query.fits(story.id, story.kind, story.event["breaker"])
        )
        page = [*islice(selected, query.limit + 1)]
        if len(page) <= query.limit:
            return page, None
        return page[:-1], page[-2].id

    def story(self, story: Story, *, details: bool) -> Json:
        """Return one story; its author is a detail."""
        event = story.event
        head = {"id": story.id, "kind": story.kind, "breaker": event["breaker"], "at": event["at"]}
        if story.kind != "outage":
            change = {name: event[name] for name in ("from", "to", "reason", "who")}
            return mask(head | change, details=details)
        outage, breaker, rejected = self._event_log.stories.outage_of(story), story.breaker, 0.0
        if breaker is not None and story.goes_on:
            rejected = self._history.figures(breaker, fleet=True)["rejected_per_second"]
        figures = outage_json(outage, rejected, details=details) or {}
        return {**head, **figures, "changes": story.changes, "state": story.state}

    def traffic(self, breaker: CircuitBreaker | Elsewhere | None, workers: Workers) -> Json:
        """Return the calls of the last minute and fifteen minutes, and the changes of state.

        Those of another worker alone are not known.
        """
        history, fleet = self._history, workers.worker is None
        if not workers.has_own:
            seconds, bars = [], []
        elif breaker is None:
            seconds, bars = history.all_seconds(fleet=fleet), history.all_bars(fleet=fleet)
        else:
            seconds = history.seconds(breaker, fleet=fleet)
            bars = history.bars(breaker, fleet=fleet)
        return {
            "version": VERSION,
            "now": now(),
            "seconds": as_rows(seconds),
            "bars": [[*bar] for bar in bars],
            "marks": self.marks(None if breaker is None else breaker.name),
        }

    def marks(self, breaker: str | None = None) -> list[Json]:
        """Return the changes of state of the last fifteen minutes, the oldest first."""
        since = datetime.now(UTC) - timedelta(minutes=MINUTES)
        return [
            mark(event)
            for event in self._event_log.marks(since)
            if breaker in {None, event["breaker"]}
        ]


def mark(event: Json) -> Json:
    """Return a change of state as it is marked on a chart of traffic."""
    at = int(datetime.fromisoformat(event["at"]).timestamp())
    return {"at": at, "breaker": event["breaker"], "from": event["from"], "to": event["to"]}
