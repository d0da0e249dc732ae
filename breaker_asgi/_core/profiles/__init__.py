"""Profiles of dependencies: which of their errors are answers, the caller's own, or failures.

    database = CircuitBreaker(name="database", profile="postgres")
    profiles.postgres.outcome_of(error)

docs/profiles.md has a table of each.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import NamedTuple
from weakref import WeakKeyDictionary

from breaker_asgi._core import validation
from breaker_asgi._core.outcome import FAILURE, Outcome
from breaker_asgi._core.profiles.databases import mongodb, postgres, redis, sqlstate_of
from breaker_asgi._core.profiles.http import http
from breaker_asgi._core.profiles.language_models import anthropic, google_genai, litellm, openai
from breaker_asgi._core.profiles.profile import Profile
from breaker_asgi._core.profiles.services import (
    botocore,
    elasticsearch,
    google_cloud,
    kafka,
    stripe,
    supabase,
)
from breaker_asgi._core.statuses import http_status

PROFILES = {
    profile.name: profile
    for profile in (
        http,
        openai,
        anthropic,
        google_genai,
        litellm,
        botocore,
        google_cloud,
        elasticsearch,
        stripe,
        supabase,
        postgres,
        redis,
        mongodb,
        kafka,
    )
}
"""Each profile by its name."""

_BY_PACKAGE = {
    package: profile for profile in reversed(PROFILES.values()) for package in profile.packages
}
"""The first profile with rules for a package: that of HTTP for the client libraries."""


def resolve(profile: Profile | str | None) -> Profile | None:
    """Return a profile by its name, or itself. Raises `BreakerConfigError` for another name."""
    if profile is None or isinstance(profile, Profile):
        return profile
    if isinstance(profile, str) and profile in PROFILES:
        return PROFILES[profile]
    remedy = "Leave it out for the usual rules"
    if isinstance(profile, str):
        near = get_close_matches(profile.lower(), [*PROFILES, *_OTHER_NAMES])
        remedy = f'Write profile="{_OTHER_NAMES.get(near[0], near[0])}"' if near else remedy
    allowed = f"one of {', '.join(PROFILES)}, or a Profile"
    raise validation.not_allowed("profile", profile, allowed, remedy)


_OTHER_NAMES = {
    "aiokafka": "kafka",
    "asyncpg": "postgres",
    "aws": "botocore",
    "boto3": "botocore",
    "gemini": "google_genai",
    "httpx": "http",
    "postgresql": "postgres",
    "psycopg": "postgres",
    "pymongo": "mongodb",
    "requests": "http",
    "sqlalchemy": "postgres",
}
"""Names of what a profile is for, by which it may be asked for."""


class Doubt(NamedTuple):
    """A failure that is none by the rules of a profile."""

    profile: str
    outcome: Outcome
    detail: str
    """The SQLSTATE or the status of the error; empty if it has none."""


def doubt_about(exception: BaseException) -> Doubt | None:
    """Return the doubt of a profile about a failure that was judged without one."""
    profile = _profile_of(type(exception))
    if profile is None:
        return None
    outcome = profile.judge(exception)
    if outcome is None or outcome is FAILURE:
        return None
    if profile is postgres:
        sqlstate = sqlstate_of(exception)
        if sqlstate is None and hasattr(exception, "orig"):
            return None  # probably of another database
        return Doubt(profile.name, outcome, f"SQLSTATE {sqlstate}" if sqlstate else "")
    status = http_status(exception)
    return Doubt(profile.name, outcome, "" if status is None else f"status {status}")


_of_class: WeakKeyDictionary[type, Profile | None] = WeakKeyDictionary()


def _profile_of(kind: type) -> Profile | None:
    """Return the profile for the package of a class, or of one it is derived from."""
    if kind not in _of_class:
        _of_class[kind] = _find_profile(kind)
    return _of_class[kind]


def _find_profile(kind: type) -> Profile | None:
    for base in kind.__mro__:
        package = base.__module__
        while package:
            if package in _BY_PACKAGE:
                return _BY_PACKAGE[package]
            package = package.rpartition(".")[0]
    return None
