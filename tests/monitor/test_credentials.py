"""The ready-made functions that authorize: public, nobody, bearer and basic."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest
from starlette.requests import Request

from breaker_asgi import BreakerConfigError, BreakerMiddleware, BreakerRegistry
from breaker_asgi import CircuitBreakerMonitor as Monitor
from breaker_asgi.monitor import basic, bearer, credentials, nobody, public
from tests.asgi.visitor import Fields, Reply, visit
from tests.monitor.conftest import HTML

FAR = ("203.0.113.5", 40_000)
PASSWORD = "pass:wörd"


def as_basic(text: str) -> Fields:
    return [("authorization", "Basic " + b64encode(text.encode()).decode())]


ANN = as_basic(f"ann:{PASSWORD}")


async def ask(monitor: Monitor, path: str = "/", fields: Fields = (), method: str = "GET") -> Reply:
    return await visit(monitor, path, method, fields, client=FAR)


async def test_public_shows_all_of_it_to_all(registry: BreakerRegistry) -> None:
    listing = (await ask(Monitor(registry=registry, authorize=public))).json
    assert (listing["figures"], listing["details"], listing["controls"]) == (True, True, False)


async def test_nobody_shows_not_even_names(registry: BreakerRegistry) -> None:
    registry.get("bank")
    for fields in ([], [HTML]):
        reply = await visit(Monitor(registry=registry, authorize=nobody), "/", "GET", fields)
        assert reply.status == 403
        assert "bank" not in reply.text


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_token_is_accepted(registry: BreakerRegistry, scheme: str) -> None:
    monitor = Monitor(registry=registry, authorize=bearer("s3cret"))
    assert (await ask(monitor, "/", [("authorization", f"{scheme} s3cret")])).json["details"]


@pytest.mark.parametrize(
    "values",
    [
        *([], [""], ["Bearer"], ["Bearer "], ["s3cret"], ["Bearer s3cre"], ["Bearer s3cret2"]),
        *(["Basic s3cret"], ["Bearer S3CRET"], ["Bearer \xff"], ["Bearer s3cret"] * 2),
    ],
)
async def test_any_other_header_gets_401(registry: BreakerRegistry, values: list[str]) -> None:
    monitor = Monitor(registry=registry, authorize=bearer("s3cret"))
    for accept in ([], [HTML]):
        reply = await ask(monitor, "/", [*accept, *(("authorization", value) for value in values)])
        assert (reply.status, reply.headers["www-authenticate"]) == (401, "Bearer")


async def test_one_of_several_tokens_is_enough(registry: BreakerRegistry) -> None:
    monitor = Monitor(
        registry=registry,
        authorize=bearer("reads", "controls"),
        authorize_control=bearer("controls"),
    )
    reader = (await ask(monitor, "/", [("authorization", "Bearer reads")])).json
    operator = (await ask(monitor, "/", [("authorization", "Bearer controls")])).json
    assert (reader["controls"], operator["controls"]) == (False, True)


async def test_name_and_password_are_accepted(registry: BreakerRegistry) -> None:
    monitor = Monitor(registry=registry, authorize=basic("ann", PASSWORD))
    assert (await ask(monitor, "/", ANN)).json["details"]


@pytest.mark.parametrize(
    "fields",
    [
        [],
        as_basic(f"bob:{PASSWORD}"),
        as_basic("ann:wrong"),
        as_basic("ann:"),
        as_basic("ann"),
        as_basic(":"),
        as_basic(f"ann:{PASSWORD} "),
        [("authorization", "Basic !")],
        [("authorization", "Basic YQ")],
        [("authorization", "Basic")],
        [("authorization", ANN[0][1].replace("Basic", "Bearer"))],
        [*ANN, *ANN],
    ],
)
async def test_any_other_name_or_password_gets_401(
    registry: BreakerRegistry, fields: Fields
) -> None:
    monitor = Monitor(registry=registry, authorize=basic("ann", PASSWORD))
    reply = await ask(monitor, "/", fields)
    assert reply.status == 401
    assert reply.headers["www-authenticate"] == 'Basic realm="breakers", charset="UTF-8"'


@pytest.mark.parametrize(
    ("allow", "fields", "who"),
    [
        (basic("ann", PASSWORD), ANN, "ann"),
        (bearer("s3cret"), [("authorization", "Bearer s3cret")], "bearer token"),
    ],
)
async def test_the_log_has_the_name_of_the_operator(
    registry: BreakerRegistry, allow: Any, fields: Fields, who: str
) -> None:
    registry.get("bank")
    monitor = Monitor(registry=registry, authorize_control=allow)
    assert (await ask(monitor, "/bank/open", method="POST")).status == 401
    assert (await ask(monitor, "/bank/open", fields, "POST")).status == 200
    (event,) = (await ask(monitor, "/events", fields)).json["events"]
    assert event["who"] == who


async def test_both_parts_are_compared_in_constant_time_whatever_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[bytes] = []

    def compare(sent: bytes, expected: bytes) -> bool:
        compared.append(expected)
        return sent == expected

    monkeypatch.setattr(credentials, "compare_digest", compare)
    for fields in (
        [],
        as_basic("bob:wrong"),
        as_basic("ann:wrong"),
        [("authorization", "Basic !")],
    ):
        compared.clear()
        headers = [(name.encode(), value.encode()) for name, value in fields]
        assert not await basic("ann", "secret")({"type": "http", "headers": headers})
        assert compared == [b"ann", b"secret"]
    compared.clear()
    await bearer("a", "b")(Request({"type": "http", "headers": [(b"authorization", b"Bearer a")]}))
    assert compared == [b"a", b"b"]


@pytest.mark.parametrize("value", ["", None, b"secret", 5])
@pytest.mark.parametrize(
    "make", [bearer, lambda text: basic("ann", text), lambda text: basic(text, "p")]
)
def test_an_empty_or_missing_secret_is_refused_and_not_shown(make: Any, value: Any) -> None:
    with pytest.raises(BreakerConfigError, match="Is the variable set") as error:
        make(value)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("token", ["s3cret\n", " s3cret", "s3 cret", "s3crét"])
def test_a_token_that_no_client_can_send_is_refused(token: str) -> None:
    with pytest.raises(BreakerConfigError, match=r"Strip what was read from a file"):
        bearer(token)


@pytest.mark.parametrize(("user", "password"), [("a:b", "p"), ("a", "p\n"), ("a\0", "p")])
def test_a_name_or_password_that_no_client_can_send_is_refused(user: str, password: str) -> None:
    with pytest.raises(BreakerConfigError, match="no client can send"):
        basic(user, password)


# Signing in by a browser


async def test_an_operator_signs_in_from_the_page_of_names(registry: BreakerRegistry) -> None:
    app = BreakerMiddleware(
        Monitor(registry=BreakerRegistry()),
        registry=registry,
        authorize_control=basic("ann", PASSWORD),
    )
    page = await visit(app, "/breakers", "GET", [HTML], client=FAR)
    assert 'href="/breakers/?sign-in"' in page.text
    challenge = await visit(app, "/breakers/?sign-in", "GET", [HTML], client=FAR)
    assert (challenge.status, "www-authenticate" in challenge.headers) == (401, True)
    signed_in = await visit(app, "/breakers/?sign-in", "GET", [HTML, *ANN], client=FAR)
    assert (signed_in.status, signed_in.headers["location"]) == (303, "/breakers/")


async def test_without_a_login_none_is_offered(registry: BreakerRegistry) -> None:
    for control in (None, bearer("s3cret"), nobody):
        monitor = Monitor(registry=registry, authorize_control=control)
        assert "sign-in" not in (await ask(monitor, "/", [HTML])).text
        assert (await ask(monitor, "/?sign-in", [HTML])).status in {401, 403}
