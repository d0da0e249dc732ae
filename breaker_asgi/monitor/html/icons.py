"""A symbol for each state: their shapes differ, so that colours are not needed."""

from __future__ import annotations

_ON = 'class="on" stroke="#fff"'
_RING = '<circle cx="8" cy="8" r="6.25" fill="none" stroke="{0}" stroke-width="1.75"/>'
_DISC = '<circle cx="8" cy="8" r="7.25" fill="{0}"/>'
_STROKE = 'fill="none" stroke-width="1.9" stroke-linecap="round" stroke-linejoin="round"'


def _line(path: str, colour: str = 'stroke="{0}"') -> str:
    return f'<path d="{path}" {_STROKE} {colour}/>'


_SHAPES = {
    "closed": _RING + _line("M5.2 8.2l2 2 3.6-4.2"),
    "open": '<path d="M5 .75h6L15.25 5v6L11 15.25H5L.75 11V5z" fill="{0}"/>'
    + _line("M5.4 5.4l5.2 5.2M10.6 5.4l-5.2 5.2", _ON),
    "half_open": _RING + '<path d="M8 1.75a6.25 6.25 0 0 0 0 12.5z" fill="{0}"/>',
    "closing": _RING + '<path d="M8 1.75a6.25 6.25 0 1 1-6.25 6.25H8z" fill="{0}"/>',
    "forced_open": _DISC + _line("M4.6 8h6.8", _ON),
    "disabled": _RING + _line("M3.9 12.1l8.2-8.2"),
    "metrics_only": _line("M3 13V9M8 13V3M13 13V6"),
    "unknown": _RING + _line("M6.1 6.4a1.95 1.95 0 1 1 2.7 1.8c-.55.25-.8.6-.8 1.1M8 11.4v.05"),
    "rejections": _line("M2.5 8h7M6.5 4.5L10 8l-3.5 3.5M13.2 3v10"),
}

ICONS = {
    "closed": "#1d8a4e",
    "open": "#d92d20",
    "half_open": "#c77700",
    "closing": "#6b7d00",
    "forced_open": "#b4237f",
    "disabled": "#6b7480",
    "metrics_only": "#2b6cb8",
    "unknown": "#6b7480",
}
"""Colours that are visible on light and on dark tabs."""


def icon(state: str) -> str:
    """Render the icon of a browser's tab."""
    drawn = _SHAPES[state].format(ICONS[state])
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">{drawn}</svg>'


def sprite() -> str:
    """Render the symbols, once for the page, in the colour of the surrounding text."""
    symbols = "".join(
        f'<symbol id="i-{state}" viewBox="0 0 16 16">{shape.format("currentColor")}</symbol>'
        for state, shape in _SHAPES.items()
    )
    return f'<svg class="sprite" width="0" height="0" aria-hidden="true">{symbols}</svg>'
