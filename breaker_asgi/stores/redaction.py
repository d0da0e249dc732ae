"""URLs of servers: split, and as people may read them."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit


def blotted(url: str) -> str:
    """As it was given, without its passwords: even one with characters that should be encoded."""
    head, found, rest = url.partition("://") if "://" in url else ("", "", url)
    if "@" in rest and head != "sqlite":
        user, _, host = rest.rpartition("@")
        name, colon, _ = user.partition(":")
        rest = f"{name if colon else ''}:***@{host}"
    return re.sub(r"((?:pas|pw|secret|token)\w*=)[^&#]*", r"\1***", f"{head}{found}{rest}")


def split_url(url: str) -> SplitResult:
    """Split a URL, which may have several hosts.

    `urlsplit` gets one host at a time: that of Python 3.14 refuses `a:1,[::1]:2`, and so do the
    latest releases of older Pythons.
    """
    found = re.match(r"([a-z+]+://)([^/?#]*,[^/?#]*)", url, re.IGNORECASE)
    if not found:
        return urlsplit(url)
    hosts = ",".join(urlsplit(f"//{host}").netloc for host in found[2].split(","))
    return urlsplit(found[1] + url[found.end() :])._replace(netloc=hosts)


def public(url: str) -> str:
    """Where it leads to."""
    split = split_url(url)
    host = split.netloc.rpartition("@")[2]
    return f"{split.scheme}://{host}{split.path}"
