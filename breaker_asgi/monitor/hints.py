"""Hints: settings that look wrong, judged by a breaker's calls."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from itertools import repeat
from typing import TYPE_CHECKING, NamedTuple, cast

from breaker_asgi._core.outcome import SUCCESS
from breaker_asgi._core.state import CLOSED, OPEN
from breaker_asgi._core.windows import TimeWindow
from breaker_asgi.monitor.traffic import SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from breaker_asgi._core.outage import Outage
    from breaker_asgi.breaker import CircuitBreaker
    from breaker_asgi.monitor.event_log import Doubted, EventLog
    from breaker_asgi.monitor.history import History

_SEVERAL = 10
"""The fewest calls that a hint is based on."""
_NEARLY_ALL = 0.9
_HALF = 0.5
_OF_CALLERS = frozenset(
    {
        "AssertionError",
        "AttributeError",
        "ImportError",
        "IndexError",
        "KeyError",
        "LookupError",
        "ModuleNotFoundError",
        "NameError",
        "NotImplementedError",
        "PermissionError",
        "RecursionError",
        "RequestValidationError",
        "TypeError",
        "UnboundLocalError",
        "UnicodeDecodeError",
        "UnicodeEncodeError",
        "UnicodeError",
        "ValidationError",
        "ValueError",
        "ZeroDivisionError",
    }
)
"""Names of exceptions that a dependency seldom causes."""
_AGAIN_AND_AGAIN = 3
_LATELY = timedelta(minutes=10)
_LONG = 5.0
"""Seconds of an open time that are long for a dependency that is back at its end."""
_LATE = 1.1
"""Times the open time: a probe that comes later has waited for a call."""


class _Sources(NamedTuple):
    """The data that hints are derived from."""

    breaker: CircuitBreaker
    event_log: EventLog
    history: History


def hints(breaker: CircuitBreaker, event_log: EventLog, history: History) -> list[dict[str, str]]:
    """Return the hints, each with a setting and a remedy."""
    sources = _Sources(breaker, event_log, history)
    return [
        {"setting": setting, "hint": hint[0], "remedy": hint[1]}
        for setting, check in _CHECKS.items()
        if (hint := check(sources)) is not None
    ]


def _too_few_calls(sources: _Sources) -> tuple[str, str] | None:
    config = sources.breaker.config
    if not config.rated or not isinstance(config.window, TimeWindow):
        return None
    seconds = sources.history.seconds(sources.breaker)
    calls = sum(second.ok + second.failed + second.slow for second in seconds)
    rejected = any(second.rejected for second in seconds)
    size = cast("int", config.window.seconds)
    expected = calls * size / SECONDS
    if (
        not calls
        or rejected
        or sources.history.ticks < SECONDS
        or expected >= config.effective_minimum_calls
    ):
        return None
    traffic = f"About {math.ceil(expected)} calls come in {size} s, the window"
    return (
        f"{traffic}, and no rate is judged below {config.effective_minimum_calls} calls.",
        "Lower minimum_calls, or make the window longer.",
    )


def _all_excluded(sources: _Sources) -> tuple[str, str] | None:
    breaker = sources.breaker
    by_profile = breaker.config.profile is not None and not breaker.config.exclude
    if breaker.failures or breaker.excluded < _SEVERAL or by_profile:
        return None
    return (
        f"All {breaker.excluded} exceptions so far were excluded, and so successes.",
        "Exclude only what proves that the dependency has answered.",
    )


def _of_the_callers(sources: _Sources) -> tuple[str, str] | None:
    counts = sources.event_log.failure_types(sources.breaker)
    total = sum(counts.values())
    if total < _SEVERAL:
        return None
    kind, count = max(counts.items(), key=lambda item: item[1])
    if count < _NEARLY_ALL * total or kind.rpartition(".")[2] not in _OF_CALLERS:
        return None
    return (
        f"{count} of {total} failures are of one type, {kind}, which looks like the caller's own.",
        "Name it in ignore if it proves nothing, in exclude if it is an answer; or set failures.",
    )


def _excused_by_a_profile(sources: _Sources) -> tuple[str, str] | None:
    judgement = sources.breaker.config.judgement
    total = sum(sources.event_log.failure_types(sources.breaker).values())
    if judgement.profile is not None or judgement.failures is not None or total < _SEVERAL:
        return None
    by_profile: dict[str, dict[Doubted, int]] = {}
    for doubted, count in sources.event_log.doubts(sources.breaker).items():
        by_profile.setdefault(doubted[1].profile, {})[doubted] = count
    if not by_profile:
        return None
    profile, counts = max(by_profile.items(), key=lambda item: sum(item[1].values()))
    count = sum(counts.values())
    if count < _HALF * total:
        return None
    kind, doubt = max(counts, key=lambda doubted: counts[doubted])
    most = f"{kind} ({doubt.detail})" if doubt.detail else kind
    means = "an answer" if doubt.outcome is SUCCESS else "the caller's own"
    if len(counts) == 1:
        hint = f"{count} of {total} failures are {most}, which the profile {profile} knows to be"
    else:
        hint = f"{count} of {total} failures are none by the profile {profile}, most often {most},"
        hint = f"{hint} which it knows to be"
    return f"{hint} {means}.", f'Set profile="{profile}".'


def _all_ignored(sources: _Sources) -> tuple[str, str] | None:
    breaker = sources.breaker
    if breaker.failures or breaker.successes or breaker.ignored < _SEVERAL:
        return None
    return (
        f"All {breaker.ignored} calls so far were ignored.",
        "Ignore only what says nothing of the dependency.",
    )


def _to_and_fro(sources: _Sources) -> tuple[str, str] | None:
    since = (datetime.now(UTC) - _LATELY).isoformat(timespec="milliseconds")
    changes = [
        event
        for event in sources.event_log.changes_of(sources.breaker.name)
        if event["who"] is None and event["at"] >= since
    ]
    opened = sum(change["to"] == OPEN for change in changes)
    closed = sum(change["to"] == CLOSED for change in changes)
    if min(opened, closed) < _AGAIN_AND_AGAIN:
        return None
    return (
        f"In the last ten minutes it opened {opened} times and closed {closed} times.",
        "Let more probes decide, raise the limit that trips it, or keep it open for longer.",
    )


def _longer_than_the_outages(sources: _Sources) -> tuple[str, str] | None:
    """Find out if the first probe has ended each of the last outages.

    A breaker whose probes fail, or that opens again soon after them, needs its open time.
    """
    last = _outages(sources)[-_AGAIN_AND_AGAIN:]
    timeout, now = sources.breaker.config.timeout, datetime.now(UTC)
    followers = [*(outage.began_at for outage in last[1:]), now]
    rejected = sum(outage.rejected for outage in last)
    if (
        timeout < _LONG
        or rejected < _SEVERAL
        or len(last) < _AGAIN_AND_AGAIN
        or not all(map(_was_over, last, followers, repeat(timeout)))
        or _to_and_fro(sources) is not None
    ):
        return None
    hint = f"The first probe, after {timeout:g} s, has ended each of the last {len(last)} outages"
    return (
        f"{hint}: they were over before. {rejected:,} calls were rejected in them.",
        "Leave timeout_duration out: then it is a second, and doubles while an outage lasts.",
    )


def _outages(sources: _Sources) -> list[Outage]:
    """Return the latest outages in which no operator had a part, the oldest first."""
    latest: list[Outage] = []
    for story in sources.event_log.stories.newest_first():
        if story.event["breaker"] == sources.breaker.name:
            if story.outage is None or story.outage.by_hand:
                break
            latest.append(story.outage)
    return latest[::-1]


def _was_over(outage: Outage, next_began_at: datetime, timeout: float) -> bool:
    """Return True if the first probe came on time, and closed the breaker for long.

    The half-open state may be too short for another worker, which then has its end only.
    """
    ended = outage.ended_at
    if outage.probes_failed or ended is None:
        return False
    waited = (outage.last_probe_at or ended) - outage.began_at
    on_time = waited <= timedelta(seconds=timeout * _LATE)
    return on_time and next_began_at - ended >= timedelta(seconds=timeout)


def _wrong_open_time(sources: _Sources) -> tuple[str, str] | None:
    return _shorter_than_a_call(sources) or _longer_than_the_outages(sources)


def _shorter_than_a_call(sources: _Sources) -> tuple[str, str] | None:
    timeout = sources.breaker.config.timeout
    half = sources.history.figures(sources.breaker)["p50"]
    if half is None or half <= timeout:
        return None
    return (
        f"It stays open for {timeout:g} s, and half of the calls take more than {half:.3g} s.",
        "Raise timeout_duration: the dependency needs more than one call's time to recover.",
    )


_CHECKS: dict[str, Callable[[_Sources], tuple[str, str] | None]] = {
    "minimum_calls": _too_few_calls,
    "exclude": _all_excluded,
    "ignore": _all_ignored,
    "failures": _of_the_callers,
    "profile": _excused_by_a_profile,
    "half_open_calls": _to_and_fro,
    "timeout_duration": _wrong_open_time,
}
