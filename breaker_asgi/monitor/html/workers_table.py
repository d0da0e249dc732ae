"""The table of the workers that have a breaker, as HTML. `static/workers.js` makes the same."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from breaker_asgi.monitor.html.detail_wording import OF_A_WORKER, total_cells
from breaker_asgi.monitor.html.wording import Json, capital, worker_cells, workers_title

if TYPE_CHECKING:
    from collections.abc import Iterable


def workers_table(breaker: Json, store: Json | None) -> str:
    """Render a row for each worker and one for all; empty without a store."""
    workers: list[Json] = breaker["workers"]
    if not workers:
        return ""
    own, title = (store or {}).get("worker"), workers_title(store)
    heads = "".join(
        f'<th role="columnheader" scope="col">{capital(title)}</th>' for title in OF_A_WORKER
    )
    rows = [_row(worker_cells(worker, here=worker["worker"] == own), worker) for worker in workers]
    foot = ""
    if (total := breaker.get("total")) is not None:
        cells = total_cells(total, breaker.get("states") or {}, len(workers))
        foot = f'<tfoot role="rowgroup">{_row(cells, total)}</tfoot>'
    return (
        f'<h3>{title}</h3><div class="wide" role="region" tabindex="0" '
        'aria-label="Workers"><table role="table" class="workers">'
        f'<thead role="rowgroup"><tr role="row">{heads}</tr></thead>'
        f'<tbody role="rowgroup">{"".join(rows)}</tbody>{foot}</table></div>'
    )


def _row(texts: Iterable[str], worker: Json) -> str:
    name, *figures = map(escape, texts)
    head = f'<th role="rowheader" scope="row">{name}</th>'
    cells = "".join(f'<td role="cell">{figure}</td>' for figure in figures)
    return f'<tr role="row" data-state="{escape(worker["state"])}">{head}{cells}</tr>'
