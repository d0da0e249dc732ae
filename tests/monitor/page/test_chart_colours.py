"""The colours of the charts, computed from the variables of the style sheets."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

STATIC = files("breaker_asgi.monitor.html") / "static"
LEAST = 3.0
"""The ratio that WCAG asks for the parts of a graphic (1.4.11)."""
DRAWN = ["ok", "slow", "failed", "rejected", "axis", "line", "limit", "outage", "hand"]


def variables(scheme: str) -> dict[str, str]:
    """Return the custom properties of a colour scheme; the light one comes first in each file."""
    colours: dict[str, str] = {}
    for file in ("base.css", "charts.css"):
        blocks = re.findall(r":root \{(.*?)\}", (STATIC / file).read_text(), re.DOTALL)
        for block in blocks[: 1 if scheme == "light" else 2]:
            colours |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]+)", block))
    return colours


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_of_black_and_white_is_21() -> None:
    assert contrast("#000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", DRAWN)
def test_a_colour_is_seen_on_the_ground(scheme: str, name: str) -> None:
    colours = variables(scheme)
    assert contrast(colours[f"chart-{name}"], colours["chart-ground"]) >= LEAST


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_ground_of_the_charts_is_that_of_the_cards(scheme: str) -> None:
    colours = variables(scheme)
    assert colours["chart-ground"] == colours["surface"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_text_of_the_axes_can_be_read(scheme: str) -> None:
    colours = variables(scheme)
    assert contrast(colours["muted"], colours["chart-ground"]) >= 4.5
