"""An audience: the streams with one filter and the same rights, which get the same texts."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from breaker_asgi.monitor.compression import Piece, make_piece
from breaker_asgi.monitor.event_text import dumps
from breaker_asgi.monitor.query import Query, worker_of
from breaker_asgi.monitor.rows import NAME, STATE

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from breaker_asgi.monitor.table import Changes, Row, Second, Table

Json: TypeAlias = dict[str, Any]

_CHUNK = 8_192
"""Characters in one step of making a text: one or two milliseconds."""


class View(NamedTuple):
    """The rights of a stream's reader, and the filter."""

    details: bool
    controls: bool
    states: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    worker: str | None = None

    @classmethod
    def of(cls, params: dict[str, list[str]], *, details: bool, controls: bool) -> View:
        """Return the view of a request's parameters. Raises `WrongQueryError`."""
        view = cls(
            details,
            controls,
            frozenset(params.get("state", ())),
            frozenset(filter(None, params.get("name", ()))),
            worker_of(params),
        )
        view.query()
        return view

    @property
    def board(self) -> tuple[str | None, bool]:
        """The key of the board; names of workers are other ones for readers without details."""
        return self.worker, self.details or self.worker is None

    def query(self) -> Query:
        """Return the filter."""
        return Query.of({"state": [*self.states], "name": sorted(self.names)})


class Member(Protocol):
    """A stream of an audience."""

    @property
    def is_packed(self) -> bool: ...

    def push(self, text: Piece) -> None: ...


class RowTexts:
    """The JSON of changed rows, made once for all audiences."""

    def __init__(self, table: Table, changes: Changes) -> None:
        self._table = table
        self._changes = changes
        self._texts: dict[tuple[str, int, bool], str] = {}
        self.gone = changes.gone
        self.rows = [table.rows[number] for number in changes.ids]
        """The rows of which something has changed."""

    def new(self, row: Row, *, details: bool) -> str:
        return self._once(("new", row.id, details), lambda: row_text(row, details=details))

    def pairs(self, row: Row, *, details: bool) -> str:
        """Return a row's changed values; empty if there are none."""
        before = self._changes.rows.get(row.id)
        if before is None:
            return ""

        def make() -> str:
            pairs = row.pairs(before, details=details)
            return dumps([row.id, *pairs]) if pairs else ""

        return self._once(("set", row.id, details), make)

    def history(self, row: Row) -> str:
        """Return the seconds of a row's last minute."""
        key = ("history", row.id, False)
        return self._once(key, lambda: _seconds_text(row, self._table.seconds(row)))

    def seconds(self, row: Row) -> str:
        """Return the changed seconds of a row."""
        latest = self._changes.seconds.get(row.id, [])
        return self._once(("seconds", row.id, False), lambda: _seconds_text(row, latest))

    def _once(self, key: tuple[str, int, bool], make: Callable[[], str]) -> str:
        text = self._texts.get(key)
        if text is None:
            text = self._texts[key] = make()
        return text


def _seconds_text(row: Row, seconds: list[Second]) -> str:
    return ",".join([dumps([row.id, *second]) for second in seconds])


class Audience:
    """The streams of one view."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.members: set[Member] = set()
        self.waiting: list[Member] = []
        self.streams: set[Member] = set()
        """The members that have got their first text."""
        self.start: Piece | None = None
        """The first text of a new stream, until something changes."""
        self.sent_at = 0.0
        self._query = view.query()
        self._is_filtered = bool(view.states or view.names)
        self._ids: set[int] = set()
        """The rows that its readers have."""

    @property
    def is_packed(self) -> bool:
        """True if one of its streams is compressed."""
        return any(stream.is_packed for stream in self.streams)

    def begin(self, start: Piece) -> None:
        """Send the first text to all streams that wait for it."""
        self.start = start
        for stream in self.waiting:
            if stream in self.members:
                self.streams.add(stream)
                stream.push(start)
        self.waiting.clear()

    def push(self, piece: Piece, now: float) -> None:
        """Send a text to all streams."""
        self.start, self.sent_at = None, now
        for stream in [*self.streams]:
            stream.push(piece)

    def snapshot(self, table: Table, head: str, *, packed: bool) -> Generator[None, None, Piece]:
        """Make the text of everything; `head` has the members other than rows and seconds."""
        rows = [row for row in table.rows.values() if self._fits(row)]
        self._ids = {row.id for row in rows}
        packed = packed or self.is_packed
        return (yield from make_piece(self._snapshot(table, rows, head), packed=packed))

    def _snapshot(self, table: Table, rows: list[Row], head: str) -> Iterator[str]:
        yield head
        details = self.view.details
        yield from _member("rows", "[]", (row_text(row, details=details) for row in rows))
        seconds = (f'"{row.id}":{dumps(latest)}' for row in rows if (latest := table.seconds(row)))
        yield from _member("seconds", "{}", seconds)
        yield "}\n\n"

    def figures(
        self, texts: RowTexts, head: str, end: Iterator[str]
    ) -> Generator[None, None, Piece]:
        """Make the text of changes, with the members in `head`; `end` follows it."""
        chunks = chain(self._figures(texts, head), end)
        return (yield from make_piece(chunks, packed=self.is_packed))

    def _figures(self, texts: RowTexts, head: str) -> Iterator[str]:
        had, details = self._ids, self.view.details
        fitting = {row.id for row in texts.rows if self._fits(row)}
        gone = had & ({*texts.gone, *(row.id for row in texts.rows)} - fitting)
        added, same = fitting - had, fitting & had
        new = [row for row in texts.rows if row.id in added]
        kept = [row for row in texts.rows if row.id in same]
        self._ids = (had | fitting) - gone
        yield head
        members = {
            "gone": map(str, sorted(gone)),
            "rows": (texts.new(row, details=details) for row in new),
            "set": (texts.pairs(row, details=details) for row in kept),
            "seconds": chain(map(texts.history, new), map(texts.seconds, kept)),
        }
        for name, parts in members.items():
            if (first := next(parts := filter(None, parts), None)) is not None:
                yield from _member(name, "[]", chain([first], parts))
        yield "}\n\n"

    def _fits(self, row: Row) -> bool:
        """Return True if the filter selects a row."""
        breaker = row.breaker()
        return breaker is not None and (
            not self._is_filtered
            or self._query.fits(row.values[NAME], breaker.name, row.values[STATE])
        )


def row_text(row: Row, *, details: bool) -> str:
    """Return the JSON of a whole row."""
    return dumps([row.id, *row.current(details=details)])


def _member(name: str, brackets: str, texts: Iterable[str]) -> Iterator[str]:
    """Yield a member of an object, in chunks that are not long."""
    chunk, begin = [], f',"{name}":{brackets[0]}'
    size = 0
    for text in texts:
        chunk.append(text)
        size += len(text)
        if size >= _CHUNK:
            yield begin + ",".join(chunk)
            chunk, begin, size = [], ",", 0
    if chunk or begin != ",":
        yield begin + ",".join(chunk)
    yield brackets[1]
