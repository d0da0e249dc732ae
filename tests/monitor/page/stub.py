"""A monitor with made-up breakers that a test steers: `POST /_steer` with what to do.

Serves the page by the monitor's contract, below a prefix. Run it by hand with
`python -m tests.monitor.page.stub 8123` and `{"do": "traffic"}` for a page that lives.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, unquote

import uvicorn

from breaker_asgi.asgi.responses import HTML, JSON, PROBLEM_JSON, Headers, Response, wants_html
from breaker_asgi.asgi.types import Receive, Scope, Send
from breaker_asgi.monitor.page import PAGE_HEADERS, page, static
from breaker_asgi.monitor.words import WORST_FIRST, Json

BASE = "/ops/breakers"
BY_HAND = {
    "force-open": ("forced_open", "forced open by hand"),
    "open": ("open", "opened by hand"),
    "close": ("closed", "closed by hand"),
    "half-open": ("half_open", "half-opened by hand"),
    "disable": ("disabled", "disabled by hand"),
    "metrics-only": ("metrics_only", "set to metrics only by hand"),
    "reset": ("closed", "reset by hand"),
}
OPEN_TIME = 30.0


def utc() -> datetime:
    return datetime.now(UTC)


def breaker(name: str) -> Json:
    return {
        "name": name,
        "state": "closed",
        "reason": "new",
        "changed_at": (utc() - timedelta(minutes=34)).isoformat(),
        "generation": 0,
        "until": 0.0,
        "calls": 0,
        "failure_rate": None,
        "slow_call_rate": None,
        "consecutive_failures": 0,
        **dict.fromkeys(("successes", "failures", "ignored", "rejected", "excluded"), 0),
        "last_failure_type": None,
        "last_failure_at": None,
        "last_failure_message": None,
        "slow_calls": 0,
        "calls_per_second": 0.0,
        "p50": None,
        "p95": None,
        "limits": {
            "fail_max": None,
            "failure_rate": 0.5,
            "slow_call_rate": 0.8,
            "slow_call_duration": 1.0,
        },
        "history": [],
    }


class World:
    """All that the stub knows, and the streams that hear of it."""

    def __init__(self) -> None:
        self.control = self.detail = True
        self.lost = False
        self.refusal: int | None = None
        self.breakers: dict[str, Json] = {}
        self.events: list[Json] = []
        self.streams: set[asyncio.Queue[str | None]] = set()
        self.started = utc()
        self.traffic: asyncio.Task[None] | None = None

    # What a test may ask for

    def do(self, order: Json) -> None:
        getattr(self, "do_" + order.pop("do"))(**order)

    def do_reset(self) -> None:
        self.do_lose()
        if self.traffic:
            self.traffic.cancel()
        streams = self.streams
        self.__init__()  # type: ignore[misc]
        self.streams = streams

    def do_rights(self, *, control: bool, detail: bool) -> None:
        self.control, self.detail = control, detail

    def do_refuse(self, status: int | None) -> None:
        self.refusal = status

    def do_add(self, names: list[str]) -> None:
        for name in names:
            self.breakers[name] = breaker(name)
        self.tell_figures(names)

    def do_remove(self, name: str) -> None:
        del self.breakers[name]
        self.tell_figures([])

    def do_lose(self) -> None:
        self.lost = True
        for stream in self.streams:
            stream.put_nowait(None)

    def do_regain(self) -> None:
        self.lost = False

    def do_change(self, name: str, state: str, reason: str, who: str | None = None) -> None:
        found = self.breakers[name]
        event = {"kind": "transition", "from": found["state"], "to": state, "reason": reason}
        found["state"], found["reason"] = state, reason
        found["changed_at"] = utc().isoformat()
        found["generation"] += 1
        found["until"] = utc().timestamp() + OPEN_TIME if state == "open" else 0.0
        self.tell_event(name, event | {"who": who})
        self.tell_figures([name])

    def do_calls(
        self, name: str, ok: int = 0, failed: int = 0, slow: int = 0, rejected: int = 0
    ) -> None:
        found = self.breakers[name]
        found["successes"] += ok + slow
        found["failures"] += failed
        found["slow_calls"] += slow
        found["rejected"] += rejected
        found["calls"] = seen = min(100, found["calls"] + ok + failed + slow)
        found["consecutive_failures"] = found["consecutive_failures"] + failed if failed else 0
        if ok + failed + slow and seen >= 10:
            found["failure_rate"] = failed / (ok + failed + slow)
            found["slow_call_rate"] = slow / (ok + failed + slow)
        found["p50"], found["p95"] = 0.042, 0.310
        if failed:
            found["last_failure_type"] = "httpx.ConnectTimeout"
            found["last_failure_at"] = utc().isoformat()
            found["last_failure_message"] = "no answer from 10.0.4.17:8443"
        second = [int(utc().timestamp()), ok, failed, slow, rejected]
        last = found["history"].pop() if found["history"] else None
        if last and last[0] == second[0]:
            second[1:] = [one + other for one, other in zip(last[1:], second[1:], strict=True)]
        elif last:
            found["history"].append(last)
        found["history"] = [*found["history"], second][-60:]
        found["calls_per_second"] = sum(sum(each[1:]) for each in found["history"][-10:]) / 10
        if rejected:
            self.tell_event(name, {"kind": "rejections", "count": rejected})
        self.tell_figures([name])

    def do_past(self, name: str, minutes: float, seconds: list[list[int]]) -> None:
        """It has been as it is for so long, and its last seconds were these."""
        found = self.breakers[name]
        found["changed_at"] = (utc() - timedelta(minutes=minutes)).isoformat()
        now = int(utc().timestamp())
        found["history"] = [[now - 60 + place, *each] for place, each in enumerate(seconds)]

    def do_streak(self, name: str, failures: int, most: int) -> None:
        """It looks at failures in a row alone, and has seen so many."""
        limits = dict.fromkeys(("failure_rate", "slow_call_rate", "slow_call_duration"))
        self.breakers[name] |= {
            "limits": limits | {"fail_max": most},
            "consecutive_failures": failures,
            "failure_rate": None,
        }
        self.tell_figures([name])

    def do_set(self, name: str, **values: Any) -> None:
        self.breakers[name] |= values
        self.tell_figures([name])

    def do_traffic(self) -> None:
        self.traffic = asyncio.create_task(self.live())

    def do_burst(self) -> None:
        """Every breaker has calls, and one message tells of all."""
        tell, self.tell = self.tell, lambda *_: None  # type: ignore[method-assign]
        for name in self.breakers:
            self.do_calls(name, ok=random.randint(1, 60), slow=random.randint(0, 3))
        self.tell = tell  # type: ignore[method-assign]
        self.tell_figures(list(self.breakers))

    async def live(self) -> None:
        chance = random.Random(1)
        while True:
            await asyncio.sleep(1)
            for name, found in list(self.breakers.items()):
                calls = chance.randint(0, 60)
                if found["state"] in ("open", "forced_open"):
                    self.do_calls(name, rejected=calls)
                else:
                    self.do_calls(name, ok=calls, slow=calls // 20, failed=calls // 30)

    # What the contract says

    def shown(self, found: Json, *, history: bool = False) -> Json:
        hidden = {"until"} if history else {"history", "until"}
        shown = {key: value for key, value in found.items() if key not in hidden}
        shown["retry_after"] = max(0.0, found["until"] - utc().timestamp())
        if found["state"] == "forced_open":
            shown["retry_after"] = None
        if not self.detail:
            shown |= {"limits": None, "last_failure_message": None}
        return shown

    def listing(self, *, history: bool = False) -> Json:
        names = sorted(self.breakers)
        states = [each["state"] for each in self.breakers.values()]
        return {
            "version": 1,
            "now": utc().isoformat(),
            "worker": {"pid": os.getpid(), "started_at": self.started.isoformat()},
            "controls": self.control,
            "details": self.detail,
            "summary": {"total": len(names)} | {each: states.count(each) for each in WORST_FIRST},
            "breakers": [self.shown(self.breakers[each], history=history) for each in names],
            "next": None,
        }

    def one(self, name: str) -> Json:
        found = self.shown(self.breakers[name], history=True)
        if not self.detail:
            return found
        settings = {
            "failure_rate": 0.5,
            "slow_call_rate": 0.8,
            "slow_call_duration": 1.0,
            "window": "CountWindow(size=100)",
            "timeout_duration": OPEN_TIME,
            "half_open_calls": 3,
            "fail_max": None,
            "exclude": "PaymentDeclined",
        }
        hint = {
            "setting": "timeout_duration",
            "hint": "It opened and closed 6 times in the last 10 minutes.",
            "remedy": "Use a longer open time or backoff=2.",
        }
        types = {"httpx.ConnectTimeout": found["failures"]} if found["failures"] else {}
        hints = [hint] if found["failures"] else []
        return found | {"settings": settings, "hints": hints, "failure_types": types}

    def tell_event(self, name: str, event: Json) -> None:
        identity = len(self.events) + 1
        event = {"id": identity, "at": utc().isoformat(), "breaker": name} | event
        self.events.append(event)
        self.tell("change", event, identity)

    def tell_figures(self, names: list[str]) -> None:
        listing = self.listing()
        changed = [
            self.shown(self.breakers[each])
            | {"second": (self.breakers[each]["history"] or [None])[-1]}
            for each in names
        ]
        figures = {key: listing[key] for key in ("now", "summary")} | {"breakers": changed}
        self.tell("breakers", figures)

    def tell(self, kind: str, data: Json, identity: int | None = None) -> None:
        for stream in self.streams:
            stream.put_nowait(frame(kind, data, identity))


def frame(kind: str, data: Json, identity: int | None = None) -> str:
    line = "" if identity is None else f"id: {identity}\n"
    return f"{line}event: {kind}\ndata: {json.dumps(data)}\n\n"


WORLD = World()


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await answer(scope, receive)(scope, receive, send)


def answer(scope: Scope, receive: Receive) -> Any:  # noqa: PLR0911
    raw = scope["raw_path"].decode()
    if raw == "/_steer":
        return steer
    if not raw.startswith(BASE):
        return problem(404, "Not Found")
    names = [unquote(each) for each in raw.removeprefix(BASE).strip("/").split("/") if each]
    query = parse_qs(scope["query_string"].decode())
    if WORLD.lost:
        return problem(503, "Service Unavailable")
    if scope["method"] == "POST":
        return control(scope, *names)
    if not names:
        return document(scope, query, None)
    if names[0] == "static":
        return static(names[1], query) or problem(404, "Not Found")
    if names == ["stream"]:
        return stream
    if names[-1] == "events":
        found = [each for each in WORLD.events if len(names) == 1 or each["breaker"] == names[0]]
        return answer_json({"version": 1, "events": found[::-1]})
    return (
        document(scope, query, names[0])
        if names[0] in WORLD.breakers
        else problem(404, "Not Found")
    )


def document(scope: Scope, query: dict[str, list[str]], name: str | None) -> Response:
    if not wants_html(scope):
        return answer_json(WORLD.listing() if name is None else WORLD.one(name))
    listing = WORLD.listing()
    states = query.get("state") or WORST_FIRST
    listing["breakers"] = [each for each in listing["breakers"] if each["state"] in states]
    if name is not None:
        listing["detail"] = WORLD.one(name)
    headers = [(b"cache-control", b"no-store"), (b"vary", b"accept"), *PAGE_HEADERS]
    return Response(200, HTML, page(listing, WORLD.events[::-1], BASE, name, query), headers)


def control(scope: Scope, name: str, action: str) -> Response:
    if not WORLD.control or WORLD.refusal:
        return problem(WORLD.refusal or 403, "Forbidden", "You may not control breakers.")
    state, reason = BY_HAND[action]
    WORLD.do_change(name, state, reason, "ana")
    if wants_html(scope):
        return Response(303, HTML, b"", [(b"location", (BASE + "/").encode())])
    return answer_json(WORLD.one(name))


def answer_json(content: Json, status: int = 200, kind: bytes = JSON) -> Response:
    headers: Headers = [(b"cache-control", b"no-store"), (b"vary", b"accept")]
    return Response(status, kind, json.dumps(content).encode(), headers)


def problem(status: int, title: str, detail: str = "") -> Response:
    content = {"title": title, "status": status, "detail": detail}
    return answer_json(content, status, PROBLEM_JSON)


async def steer(scope: Scope, receive: Receive, send: Send) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    for order in json.loads(body):
        WORLD.do(order)
    await answer_json({})(scope, receive, send)


async def left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def stream(scope: Scope, receive: Receive, send: Send) -> None:
    texts: asyncio.Queue[str | None] = asyncio.Queue()
    listing = WORLD.listing(history=True) | {"events": WORLD.events[:-101:-1]}
    texts.put_nowait("retry: 200\n\n" + frame("snapshot", listing))
    WORLD.streams.add(texts)
    headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    gone = asyncio.create_task(left(receive))
    gone.add_done_callback(lambda _: texts.put_nowait(None))
    while (text := await texts.get()) is not None:
        body = {"type": "http.response.body", "body": text.encode(), "more_body": True}
        await send(body)
    WORLD.streams.discard(texts)
    gone.cancel()
    await send({"type": "http.response.body", "body": b""})


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", timeout_graceful_shutdown=1)
