"""Profiles of dependencies: which of their errors are answers, the caller's own, or failures.

    database = CircuitBreaker(name="database", profile="postgres")
    profiles.postgres.outcome_of(error)

docs/profiles.md has a table of each.
"""

from __future__ import annotations

from difflib import get_close_matches

from breaker_asgi import checks
from breaker_asgi.outcome import FAILURE
from breaker_asgi.profiles.databases import mongodb, postgres, redis
from breaker_asgi.profiles.http import http
from breaker_asgi.profiles.language_models import anthropic, google_genai, litellm, openai
from breaker_asgi.profiles.profile import Profile, Rule
from breaker_asgi.profiles.services import (
    botocore,
    elasticsearch,
    google_cloud,
    kafka,
    stripe,
    supabase,
)

__all__ = [
    "PROFILES",
    "Profile",
    "Rule",
    "anthropic",
    "botocore",
    "elasticsearch",
    "google_cloud",
    "google_genai",
    "http",
    "kafka",
    "litellm",
    "mongodb",
    "openai",
    "postgres",
    "profile_that_excuses",
    "redis",
    "resolve",
    "stripe",
    "supabase",
]

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
"""The first profile that knows a package: that of HTTP for the client libraries."""


def resolve(profile: Profile | str | None) -> Profile | None:
    """Return a profile by its name, or itself. Raises `BreakerConfigError` for another name."""
    if profile is None or isinstance(profile, Profile):
        return profile
    if isinstance(profile, str) and profile in PROFILES:
        return PROFILES[profile]
    names = ", ".join(PROFILES)
    near = get_close_matches(profile, PROFILES, 1) if isinstance(profile, str) else []
    remedy = f'Write profile="{near[0]}"' if near else "Leave it out for the usual rules"
    raise checks.wrong("profile", profile, f"one of {names}, or a Profile", remedy)


def profile_that_excuses(exception: BaseException) -> Profile | None:
    """Return the profile by which an exception is no failure; None if there is none."""
    profile = _profile_of(type(exception))
    excused = profile is not None and profile.judge(exception) not in {None, FAILURE}
    return profile if excused else None


def _profile_of(kind: type) -> Profile | None:
    """Return the profile that knows the package of a class, or of one it is derived from."""
    for base in kind.__mro__:
        package = base.__module__
        while package:
            if package in _BY_PACKAGE:
                return _BY_PACKAGE[package]
            package = package.rpartition(".")[0]
    return None
