"""URLs without their secrets."""

from __future__ import annotations

import re
from urllib.parse import urlsplit


def redact_url(url: str) -> str:
    """Return the URL without its passwords, even with characters that should be encoded."""
    head, separator, rest = url.partition("://") if "://" in url else ("", "", url)
    if "@" in rest and head != "sqlite":
        user, _, host = rest.rpartition("@")
        name, colon, _ = user.partition(":")
        rest = f"{name if colon else ''}:***@{host}"
    return re.sub(r"((?:pas|pw|secret|token)\w*=)[^&#]*", r"\1***", f"{head}{separator}{rest}")


def without_credentials(url: str) -> str:
    """Return scheme, host and path of the URL."""
    split = urlsplit(url)
    host = split.netloc.rpartition("@")[2]
    return f"{split.scheme}://{host}{split.path}"
