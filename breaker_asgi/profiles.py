"""Profiles of dependencies: which of their errors are answers, the caller's own, or failures."""

from breaker_asgi._core.profiles import (
    Profile,
    Rule,
    anthropic,
    botocore,
    elasticsearch,
    google_cloud,
    google_genai,
    http,
    kafka,
    litellm,
    mongodb,
    openai,
    postgres,
    redis,
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
