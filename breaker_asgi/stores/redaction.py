"""URLs of servers: split, and without their secrets."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit


def redact_url(url: str) -> str:
    """Return the URL without its passwords, even with characters that should be encoded."""
    head, separator, rest = url.partition("://") if "://" in url else ("", "", url)
    if "@" in rest and head != "sqlite":
        user, _, host = rest.rpartition("@")
        name, colon, _ = user.partition(":")
        rest = f"{name if colon else ''}:***@{host}"
    return re.sub(r"((?:pas|pw|secret|token)\w*=)[^&#]*", r"\1***", f"{head}{separator}{rest}")


def split_url(url: str) -> SplitResult:
    """Split a URL, which may have several hosts.

    `urlsplit` gets one host at a time: that of Python 3.14 refuses `a:1,[::1]:2`, and so do the
    latest releases of older Pythons.
    """
    several = re.match(r"([a-z+]+://)([^/?#]*,[^/?#]*)", url, re.IGNORECASE)
    if not several:
        return urlsplit(url)
    hosts = ",".join(urlsplit(f"//{host}").netloc for host in several[2].split(","))
    return urlsplit(several[1] + url[several.end() :])._replace(netloc=hosts)


def without_credentials(url: str) -> str:
    """Return scheme, host and path of the URL."""
    split = split_url(url)
    host = split.netloc.rpartition("@")[2]
    return f"{split.scheme}://{host}{split.path}"
