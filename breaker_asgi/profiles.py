"""Profiles of dependencies: which of their errors are answers, the caller's own, or failures."""

from breaker_asgi._core.profiles.databases import mongodb, postgres, redis
from breaker_asgi._core.profiles.http import http
from breaker_asgi._core.profiles.language_models import anthropic, google_genai, litellm, openai
from breaker_asgi._core.profiles.profile import Profile, Rule
from breaker_asgi._core.profiles.services import (
    botocore,
    elasticsearch,
    google_cloud,
    kafka,
    stripe,
    supabase,
)

__all__ = [
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
    "redis",
    "stripe",
    "supabase",
]
