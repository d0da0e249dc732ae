"""URLs as people may read them."""

from __future__ import annotations

import re
from urllib.parse import urlsplit


def blotted(url: str) -> str:
    """As it was given, without its passwords: even one with characters that should be encoded."""
    head, found, rest = url.partition("://") if "://" in url else ("", "", url)
    if "@" in rest and head != "sqlite":
        user, _, host = rest.rpartition("@")
        name, colon, _ = user.partition(":")
        rest = f"{name if colon else ''}:***@{host}"
    return re.sub(r"((?:pas|pw|secret|token)\w*=)[^&#]*", r"\1***", f"{head}{found}{rest}")


def public(url: str) -> str:
    """Where it leads to."""
    split = urlsplit(url)
    host = split.netloc.rpartition("@")[2]
    return f"{split.scheme}://{host}{split.path}"
