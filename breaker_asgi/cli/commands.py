"""The commands that print once: the list, a breaker's state, and the controls."""

from __future__ import annotations

import glob
import json
import re
import sys
from typing import TYPE_CHECKING, Any

from breaker_asgi._core.state import FORCED_OPEN, OPEN
from breaker_asgi.cli.errors import Exit
from breaker_asgi.cli.formatting import age, countdown, per_second, percent, printable
from breaker_asgi.cli.schema import reason_of, running_outage
from breaker_asgi.cli.screen import ORDERS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from breaker_asgi.cli.client import Client
    from breaker_asgi.cli.schema import Breaker

_IS_PATTERN = re.compile(r"[*?\[]")
_HEADS = ("BREAKER", "STATE", "SINCE", "CALLS/S", "REJECTED/S", "WHY")


def listing(client: Client, options: argparse.Namespace) -> Exit:
    """Print a line for each breaker, the worst first."""
    content = client.listing(options.state, options.name)
    if options.json:
        _print_json(content.content)
        return Exit.DONE
    rows = [_HEADS, *map(_row, sorted(content.breakers, key=ORDERS["urgency"]))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        print("  ".join(cells).rstrip())  # noqa: T201
    return Exit.DONE


def _row(breaker: Breaker) -> tuple[str, ...]:
    outage = running_outage(breaker)
    since = breaker.age if outage is None else outage.age
    return (
        printable(breaker.name),
        breaker.state.words,
        "-" if since is None else age(since),
        "-" if breaker.calls_per_second is None else per_second(breaker.calls_per_second),
        "-" if breaker.rejected_per_second is None else per_second(breaker.rejected_per_second),
        printable(reason_of(breaker)),
    )


def status(client: Client, options: argparse.Namespace) -> Exit:
    """Print a breaker's state, and its outage while there is one."""
    (name,) = options.names
    breaker = client.breaker(name)
    if options.json:
        _print_json(breaker.content)
    else:
        print(f"{printable(name)}: {', '.join(_story(breaker))}")  # noqa: T201
    return Exit.OPEN if breaker.state in {OPEN, FORCED_OPEN} else Exit.DONE


def _story(breaker: Breaker) -> Iterable[str]:
    """Yield the parts of the line about a breaker."""
    outage = running_outage(breaker)
    lasts = f" for {age(outage.age)}" if outage and outage.age is not None else ""
    reason = printable(reason_of(breaker))
    yield f"{breaker.state.words}{lasts}" + (f" ({reason})" if reason else "")
    if len(breaker.states) > 1:
        here = breaker.states.get(breaker.state.value, 0)
        yield f"in {here} of {sum(breaker.states.values())} workers"
    if outage and outage.probes_failed:
        yield f"{outage.probes_failed:,} probe{'s' * (outage.probes_failed > 1)} failed"
    if outage and outage.rejected:
        rate = outage.rejected_per_second
        now = f" ({per_second(rate)} a second)" if rate else ""
        yield f"{outage.rejected:,} call{'s' * (outage.rejected > 1)} rejected{now}"
    if breaker.state == OPEN and breaker.retry_after is not None:
        due = countdown(breaker.retry_after)
        yield f"next probe in {due}" if breaker.retry_after else "next call is a probe"
    if breaker.admitted_share is not None:
        yield f"{percent(breaker.admitted_share)} admitted"
    if breaker.state == FORCED_OPEN and breaker.retry_after:
        yield f"closes in {countdown(breaker.retry_after)}"
    if slow := breaker.slow_calls_under_way:
        yield f"{breaker.calls_under_way:,} calls under way, {slow:,} of them slow"


def change(client: Client, options: argparse.Namespace) -> Exit:
    """Change one breaker, or all that match the names."""
    fields = {"why": options.why, "for": options.for_}
    form = {field: value for field, value in fields.items() if value is not None}
    name, *more = options.names
    if more or (_IS_PATTERN.search(name) and not client.has(name)):
        return _change_all(client, options, form)
    return _change_one(client, options, name, form)


def _change_one(
    client: Client, options: argparse.Namespace, name: str, form: dict[str, str]
) -> Exit:
    before = client.breaker(name)
    after = client.change(name, options.command, form)
    effect = _effect(before, after)
    if (store := before.store) is not None and not store.works:
        why = f" ({printable(store.problem)})" if store.problem else ""
        warning = f"breaker-asgi: {printable(name)} is {effect}{why}"
        remedy = "The others follow once it works, if this worker is alive then."
        print(warning, remedy, sep="\n", file=sys.stderr)  # noqa: T201
    if options.json:
        _print_json({"changed": [_changed(name, before, after)]})
    else:
        print(f"{printable(name)}: {effect}")  # noqa: T201
    return Exit.DONE


def _change_all(client: Client, options: argparse.Namespace, form: dict[str, str]) -> Exit:
    """Change all breakers that match, by one request: all of them, or none."""
    before = {breaker.name: breaker for breaker in client.listing().breakers}
    patterns = [glob.escape(name) if name in before else name for name in options.names]
    names = client.change_all(patterns, options.command, form)
    after = {breaker.name: breaker for breaker in client.listing().breakers}
    pairs = [(name, before.get(name), after.get(name)) for name in names]
    if options.json:
        _print_json({"changed": [_changed(*pair) for pair in pairs]})
        return Exit.DONE
    for name, earlier, later in pairs:
        words = [breaker.state.words for breaker in (earlier, later) if breaker]
        print(f"{printable(name)}: {' -> '.join(words)}")  # noqa: T201
    return Exit.DONE


def _changed(name: str, before: Breaker | None, after: Breaker | None) -> dict[str, Any]:
    states = {"from": before and before.state.value, "to": after and after.state.value}
    return {"name": name, **states}


def _effect(before: Breaker, after: Breaker) -> str:
    """Return the effect of an action on a breaker, and where it holds."""
    listed, changed = (breaker.worker and breaker.worker.pid for breaker in (before, after))
    if before.store is not None and not before.store.works:
        return f"{after.state.words} in worker {changed} only: the store does not work"
    if before.store is None and listed and changed and listed != changed:
        elsewhere = f"worker {listed} has it {before.state.words}"
        return f"{after.state.words} in worker {changed}; {elsewhere}"
    return f"{before.state.words} -> {after.state.words}"


def _print_json(content: dict[str, Any]) -> None:
    print(json.dumps(content, indent=2))  # noqa: T201
