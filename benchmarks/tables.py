"""Plain tables with pipes, for a terminal or a document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_HUNDRED = 100


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under a title; all columns but the first align to the right."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    footnotes: Sequence[str] = ()

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        widths = [max(map(len, column)) for column in zip(self.header, *self.rows, strict=True)]
        yield f"### {self.title}"
        yield ""
        if self.note:
            yield self.note
            yield ""
        yield _line(self.header, widths)
        rule = (f"{'-' * (width - 1)}:" for width in widths[1:])
        yield _line(["-" * widths[0], *rule], widths)
        for row in self.rows:
            yield _line(row, widths)
        if self.footnotes:
            yield ""
            yield from (f"- {footnote}" for footnote in self.footnotes)


def number(value: float) -> str:
    """Format a number with about three significant digits."""
    return f"{value:.2f}" if value < _HUNDRED else f"{value:,.0f}"


def mark(*, met: bool) -> str:
    return "met" if met else "MISSED"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
    return f"| {' | '.join(padded)} |"
