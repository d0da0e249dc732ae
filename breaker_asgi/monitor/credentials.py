"""Ready-made functions to authorize requests with: `authorize=bearer(token)`."""

from __future__ import annotations

import binascii
from base64 import b64decode
from hmac import compare_digest
from typing import TYPE_CHECKING, Any

from breaker_asgi._core.errors import BreakerConfigError
from breaker_asgi.asgi.headers import headers_of
from breaker_asgi.monitor.loopback import is_local

if TYPE_CHECKING:
    from breaker_asgi.asgi.types import Scope


async def public(_request: object) -> bool:
    """Allow every request: all of it is meant for all."""
    return True


async def nobody(_request: object) -> bool:
    """Deny every request: not even names are shown."""
    return False


async def this_host(request: object) -> str | None:
    """Allow requests of this host itself: over loopback, and not through a proxy."""
    return "this host" if is_local(_scope_of(request)) else None


class Credential:
    """A function that compares the `Authorization` header with what it expects."""

    challenge: bytes
    """The `WWW-Authenticate` header of a denied request."""

    async def __call__(self, request: object) -> str | None:
        """Return the name for the log if the request is allowed."""
        headers = headers_of(_scope_of(request))
        values = [value for name, value in headers if name == b"authorization"]
        scheme, _, text = values[0].partition(b" ") if len(values) == 1 else (b"", b"", b"")
        return self._accept(scheme.lower(), text.strip())

    def _accept(self, scheme: bytes, text: bytes) -> str | None:
        raise NotImplementedError


class _Bearer(Credential):
    challenge = b"Bearer"

    def __init__(self, tokens: tuple[str, ...]) -> None:
        self._tokens = [token.encode() for token in tokens]

    def _accept(self, scheme: bytes, text: bytes) -> str | None:
        matches = [compare_digest(text, token) for token in self._tokens]  # all of them, always
        return "bearer token" if (scheme == b"bearer") & any(matches) else None


class _Basic(Credential):
    challenge = b'Basic realm="breakers", charset="UTF-8"'

    def __init__(self, user: str, password: str) -> None:
        self._name = user
        self._user, self._password = user.encode(), password.encode()

    def _accept(self, scheme: bytes, text: bytes) -> str | None:
        try:
            decoded = b64decode(text, validate=True)
        except binascii.Error:
            decoded = b""
        user, _, password = decoded.partition(b":")
        user_fits = compare_digest(user, self._user)
        password_fits = compare_digest(password, self._password)
        return self._name if (scheme == b"basic") & user_fits & password_fits else None


def bearer(token: str, *others: str) -> Credential:
    """Return a function that allows requests with `Authorization: Bearer TOKEN`, one of the tokens.

    Raises `BreakerConfigError` for a token that is empty or missing.
    """
    tokens = (token, *others)
    for expected in tokens:
        _check("bearer()", "token", expected)
        if not (expected.isascii() and expected.isprintable()) or " " in expected:
            raise BreakerConfigError(
                "bearer(): the token has a space, a line break or a sign outside of ASCII, which "
                "no client can send. Strip what was read from a file."
            )
    return _Bearer(tokens)


def basic(user: str, password: str) -> Credential:
    """Return a function that allows requests of a user by HTTP basic authentication.

    Raises `BreakerConfigError` for a name or a password that is empty or missing.
    """
    _check("basic()", "user", user)
    _check("basic()", "password", password)
    if ":" in user or not (user + password).isprintable():
        raise BreakerConfigError(
            "basic(): no client can send a colon in the name, or a control character in either. "
            "Choose another one; strip what was read from a file."
        )
    return _Basic(user, password)


def _check(function: str, setting: str, value: object) -> None:
    """Refuse a missing value, and do not show a wrong one: it may be a secret."""
    if not isinstance(value, str) or not value:
        fault = "empty" if value == "" else "missing" if value is None else type(value).__name__
        raise BreakerConfigError(
            f"{function}: the {setting} is {fault}, and a text is needed. "
            f"Is the variable set that it comes from?"
        )


def _scope_of(request: Any) -> Scope:
    """Return the scope of Starlette's request; without Starlette it is given itself."""
    scope: Scope = request if isinstance(request, dict) else request.scope
    return scope
