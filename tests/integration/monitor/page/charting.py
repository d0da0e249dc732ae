"""Made-up calls and outages, and the scripts that draw them on the page of a real monitor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

NOW = 1_700_000_405
"""22:20:05 UTC, half of the way through a bar of ten seconds."""
END = NOW + 5
SHOWN = """async ({kind, data, now}) => {
  document.getElementById("stage")?.remove();
  const stage = Object.assign(document.createElement("section"), {id: "stage"});
  stage.style.marginTop = "3rem"; // room for the pointer outside of it
  document.querySelector("h1").closest("header").before(stage);
  const files = new URL(".", document.querySelector("script[type=module]").src);
  const load = (name) => import(new URL(name, files));
  const model = {now: () => window.now, dirty: new Set(), breakers: new Map(), stories: new Map()};
  Object.assign(window, {now, model, opened: []});
  const hooks = {open: (name) => window.opened.push(name)};
  if (kind === "chart") {
    const {Chart} = await load("chart.js");
    const chart = new Chart("payments");
    stage.append(chart.element);
    chart.show({...data, now});
  } else if (kind === "traffic") {
    const {Traffic} = await load("traffic.js");
    model.traffic = {seconds: [], bars: [], marks: [], ...data};
    window.shown = new Traffic(stage, model);
    window.shown.update();
  } else if (kind === "timeline") {
    const {Timeline} = await load("timeline.js");
    for (const story of data) model.stories.set(story.id, story);
    window.shown = new Timeline(stage, model, {base: "/shop/breakers", ...hooks});
    window.shown.update();
  } else {
    const {Panel} = await load("panel.js");
    for (const breaker of data) model.breakers.set(breaker.name, breaker);
    window.shown = new Panel(stage, model, "/shop/breakers", hooks);
    window.shown.update();
  }
}"""
LOADED = """async ([file, name, ...values]) => {
  const files = new URL(".", document.querySelector("script[type=module]").src);
  const found = (await import(new URL(file, files)))[name](...values);
  return found instanceof Map ? [...found.values()] : found;
}"""
BOXES = """nodes => nodes.map((node) => {
  const {x, y, width, height} = node.getBoundingClientRect();
  return {text: node.textContent, x, y, width, height};
})"""

Show: TypeAlias = "Callable[..., Any]"
Call: TypeAlias = "Callable[..., Any]"


def bar(ago: int, ok: int = 0, failed: int = 0, slow: int = 0, rejected: int = 0) -> list[Any]:
    """Return a bar of ten seconds that began so many bars before the last one."""
    return [END - 10 - 10 * ago, ok, failed, slow, rejected, 0.04, 0.2, 1.5]


def iso(ago: float) -> str:
    minutes, seconds = divmod(22 * 3600 + 20 * 60 + 5 - ago, 60)
    return f"2023-11-14T{int(minutes // 60):02}:{int(minutes % 60):02}:{int(seconds):02}Z"


def outage(number: int, breaker: str, began: int, ended: int | None, **more: Any) -> Any:
    return {
        "id": number,
        "kind": "outage",
        "breaker": breaker,
        "at": iso(began),
        "began_at": iso(began),
        "ended_at": None if ended is None else iso(ended),
        "state": "open" if ended is None else "closed",
        "reason": "60% of the last 100 calls failed",
        "failure_type": "TimeoutError",
        "by_hand": False,
        "who": None,
        "probes_failed": 2,
        "rejected": 1204,
        **more,
    }


def breaker(name: str, state: str = "closed", **more: Any) -> Any:
    return {
        "name": name,
        "state": state,
        "reason": "new",
        "changed_at": iso(3600),
        "outage": None,
        "retry_after": None,
        "due": None,
        "limits": {"failure_rate": 0.5},
        "history": [],
        "calls_per_second": 12.5,
        "failing_share": 0.25,
        "rejected_per_second": 0,
        "rejected_share": None,
        "p95": 0.2,
        **more,
    }


BUSY = [bar(ago, 100 + 7 * (ago % 9), 3, 4, 11 if ago < 30 else 0) for ago in range(90)]
MIXED: dict[str, Any] = {
    "bars": [bar(0, 40, 5, 5, 50), bar(2, 100, 0, 0, 0)],
    "limits": {"failure_rate": 0.5},
}


def mark(ago: int, name: str, before: str, after: str) -> dict[str, Any]:
    return {"at": NOW - ago, "breaker": name, "from": before, "to": after}


OUTAGES = [
    outage(9, "GET /orders", 215, None, state="half_open"),
    outage(7, "payments", 250, None, rejected=48211),
    outage(4, "stock", 570, 420),
    outage(8, "stock", 240, 200),
    outage(2, "tax", 5000, 4000),
]


def sick(name: str, ago: int) -> Any:
    trip = outage(1, name, ago, None)
    return breaker(name, "open", due=NOW + 12, outage=trip, owner="team-pay")
