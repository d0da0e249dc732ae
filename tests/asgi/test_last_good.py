"""`fallback=LastGood()`: while a route is open, its last good response stands in."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from breaker_asgi import (
    BreakerMiddleware,
    BreakerRegistry,
    LastGood,
)
from breaker_asgi.asgi.types import Receive, Scope, Send
from breaker_asgi.testing import FakeClock
from tests.asgi.visitor import Fields, Reply, visit

CREDENTIALS = [
    "authorization: Bearer x",
    "cookie: session=1",
    "proxy-authorization: Basic x",
    "x-api-key: x",
    "x-auth-token: x",
]


class Shop:
    """A guarded application that answers as it is told to, and can be taken down."""

    def __init__(self, **settings: Any) -> None:
        self.clock = FakeClock()
        self.last_good = LastGood(clock=self.clock, **settings)
        self.status = 200
        self.fields: Fields = []
        self.chunks = [b"fresh"]
        self.registry = BreakerRegistry()
        self.app = BreakerMiddleware(self, registry=self.registry, fallback=self.last_good)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name.encode(), value.encode()) for name, value in self.fields]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        for number, chunk in enumerate(self.chunks, 1):
            more = number < len(self.chunks)
            await send({"type": "http.response.body", "body": chunk, "more_body": more})

    async def visit(
        self, path: str = "/", method: str = "GET", /, *fields: str, **more: Any
    ) -> Reply:
        """Each of the `fields` is written as in a request: "name: value"."""
        pairs = [(name, value) for name, _, value in (field.partition(": ") for field in fields)]
        return await visit(self.app, path, method, pairs, **more)

    def goes_down(self) -> None:
        self.registry.get("app").force_open()

    def comes_back(self) -> None:
        self.registry.get("app").close()


@pytest.fixture
def shop() -> Shop:
    return Shop()


async def test_the_last_good_response_stands_in_for_the_503(shop: Shop) -> None:
    shop.fields = [("content-type", "text/plain"), ("etag", '"1"')]
    await shop.visit("/list")
    shop.goes_down()
    reply = await shop.visit("/list")
    assert (reply.status, reply.text) == (200, "fresh")
    assert reply.headers["content-type"] == "text/plain"
    assert reply.headers["etag"] == '"1"'


async def test_it_is_the_last_one_not_the_first(shop: Shop) -> None:
    for chunk in (b"old", b"new"):
        shop.chunks = [chunk]
        await shop.visit("/list")
    shop.goes_down()
    assert (await shop.visit("/list")).text == "new"
    assert len(shop.last_good) == 1


async def test_it_says_how_old_it_is_and_where_it_comes_from(shop: Shop) -> None:
    await shop.visit()
    shop.goes_down()
    shop.clock.advance(12.9)
    headers = (await shop.visit()).headers
    assert headers["age"] == "12"
    assert headers["cache-status"] == "breaker-asgi; hit; detail=last-good"


async def test_the_age_that_it_came_with_counts(shop: Shop) -> None:
    shop.fields = [("age", "100"), ("cache-status", "cdn; hit")]
    await shop.visit()
    shop.goes_down()
    shop.clock.advance(20)
    reply = await shop.visit()
    assert reply.fields.count(("age", "120")) == 1
    assert [name for name, _ in reply.fields].count("age") == 1


@pytest.mark.parametrize("age", ["nonsense", "-1", "", "9" * 5_000])
async def test_an_age_that_is_none_harms_nobody(shop: Shop, age: str) -> None:
    shop.fields = [("age", age)]
    assert (await shop.visit()).text == "fresh"


async def test_it_is_not_served_while_the_route_is_well(shop: Shop) -> None:
    await shop.visit()
    shop.goes_down()
    await shop.visit()
    shop.comes_back()
    shop.chunks = [b"newer"]
    reply = await shop.visit()
    assert reply.text == "newer"
    assert "cache-status" not in reply.headers


async def test_where_nothing_is_kept_the_plain_503_is_sent(shop: Shop) -> None:
    shop.goes_down()
    reply = await shop.visit()
    assert reply.status == 503
    assert reply.headers["content-type"] == "application/problem+json"
    assert "age" not in reply.headers


async def test_what_is_older_than_max_age_is_not_served() -> None:
    shop = Shop(max_age=timedelta(minutes=1))
    await shop.visit()
    shop.goes_down()
    shop.clock.advance(60)
    assert (await shop.visit()).status == 200
    shop.clock.advance(0.1)
    assert (await shop.visit()).status == 503


async def test_what_was_old_when_it_came_is_not_served_for_longer() -> None:
    shop = Shop(max_age=60)
    shop.fields = [("age", "50")]
    await shop.visit()
    shop.goes_down()
    shop.clock.advance(10)
    assert (await shop.visit()).status == 200
    shop.clock.advance(1)
    assert (await shop.visit()).status == 503


@pytest.mark.parametrize(
    "field",
    [
        "cache-control: no-store",
        "cache-control: private",
        "cache-control: PRIVATE",
        "cache-control: no-cache",
        'cache-control: private="x-name", max-age=60',
        "cache-control: max-age=60, must-revalidate",
        "cache-control: proxy-revalidate",
        "Cache-Control: no-store",
        "set-cookie: session=1",
        "Set-Cookie: session=1",
        "vary: *",
        "vary: accept, *",
        "vary: cookie",
        "Vary: Accept-Encoding, Cookie",
        "vary: authorization",
        "content-type: text/event-stream",
    ],
)
async def test_a_response_that_is_not_for_everybody_is_not_kept(shop: Shop, field: str) -> None:
    name, _, value = field.partition(": ")
    shop.fields = [("cache-control", "max-age=60"), (name, value)]
    await shop.visit()
    assert len(shop.last_good) == 0


@pytest.mark.parametrize("status", [201, 203, 204, 206, 301, 302, 304, 404, 410, 500, 503])
async def test_only_a_status_of_200_is_good(shop: Shop, status: int) -> None:
    shop.status = status
    await shop.visit()
    assert len(shop.last_good) == 0


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "QUERY"])
async def test_only_a_response_to_get_is_kept(shop: Shop, method: str) -> None:
    await shop.visit("/", method)
    assert len(shop.last_good) == 0


@pytest.mark.parametrize("field", CREDENTIALS)
async def test_a_response_to_a_request_with_a_credential_is_not_kept(
    shop: Shop, field: str
) -> None:
    await shop.visit("/", "GET", field)
    assert len(shop.last_good) == 0


@pytest.mark.parametrize("field", CREDENTIALS)
async def test_a_request_with_a_credential_does_not_get_what_is_for_strangers(
    shop: Shop, field: str
) -> None:
    await shop.visit()
    shop.goes_down()
    assert (await shop.visit("/", "GET", field)).status == 503


async def test_a_public_response_is_for_those_with_a_credential_too(shop: Shop) -> None:
    shop.fields = [("cache-control", "public, max-age=60")]
    await shop.visit("/", "GET", "authorization: Bearer x")
    shop.goes_down()
    assert (await shop.visit()).status == 200
    assert (await shop.visit("/", "GET", "cookie: session=1")).status == 200


async def test_a_response_is_public_only_by_the_word_itself(shop: Shop) -> None:
    shop.fields = [("cache-control", 'max-age=60, community="republican"')]
    await shop.visit("/", "GET", "authorization: Bearer x")
    assert len(shop.last_good) == 0


async def test_a_request_that_asks_not_to_be_stored_is_obeyed(shop: Shop) -> None:
    await shop.visit("/", "GET", "cache-control: no-store")
    assert len(shop.last_good) == 0


@pytest.mark.parametrize("wish", ["no-cache", "max-age=0"])
async def test_who_would_rather_have_a_fresh_one_gets_the_last_good_one(
    shop: Shop, wish: str
) -> None:
    await shop.visit()
    shop.goes_down()
    assert (await shop.visit("/", "GET", f"cache-control: {wish}")).status == 200


async def test_a_response_with_a_shared_lifetime_is_served_until_that_ends(shop: Shop) -> None:
    shop.fields = [("cache-control", "max-age=5, s-maxage=60")]
    await shop.visit()
    shop.goes_down()
    shop.clock.advance(60)
    assert (await shop.visit()).status == 200
    shop.clock.advance(1)
    assert (await shop.visit()).status == 503


@pytest.mark.parametrize(
    ("stored_for", "asked_by", "status"),
    [
        (["accept-language: de"], ["accept-language: de"], 200),
        (["accept-language: de"], ["accept-language: en"], 503),
        (["accept-language: de"], [], 503),
        ([], ["accept-language: de"], 503),
        ([], [], 200),
        (["accept-language: de", "accept: x"], ["accept-language: de", "accept: y"], 200),
        (["accept-language: a", "accept-language: b"], ["accept-language: a"], 503),
    ],
)
async def test_a_response_that_varies_is_for_requests_that_are_alike(
    shop: Shop, stored_for: list[str], asked_by: list[str], status: int
) -> None:
    shop.fields = [("Vary", "Accept-Encoding, Accept-Language")]
    await shop.visit("/", "GET", *stored_for)
    shop.goes_down()
    assert (await shop.visit("/", "GET", *asked_by)).status == status


async def test_what_several_vary_fields_name_counts_together(shop: Shop) -> None:
    shop.fields = [("vary", "accept-encoding"), ("vary", "x-shop")]
    await shop.visit("/", "GET", "x-shop: Rome")
    shop.goes_down()
    assert (await shop.visit("/", "GET", "x-shop: Paris")).status == 503
    assert (await shop.visit("/", "GET", "x-shop: Rome")).status == 200


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/list?page=2", {}),
        ("/list?", {"query_string": b"page=1&"}),
        ("/List?page=1", {}),
        ("/list?page=1", {"raw_path": b"/l%69st"}),
        ("/list?page=1", {"path": "/tenant/list"}),
        ("/list?page=1", {"headers": [(b"host", b"other")]}),
        ("/list?page=1", {"headers": []}),
        ("/list?page=1", {"scheme": "https"}),
    ],
)
async def test_another_url_has_another_response(
    shop: Shop, path: str, more: dict[str, Any]
) -> None:
    await shop.visit("/list?page=1")
    shop.goes_down()
    assert (await shop.visit("/list?page=1")).status == 200
    assert (await shop.visit(path, **more)).status == 503


async def test_a_server_that_gives_no_raw_path_will_do(shop: Shop) -> None:
    await shop.visit("/grüße", raw_path=None)
    shop.goes_down()
    assert (await shop.visit("/grüße", raw_path=None)).status == 200


async def test_a_path_that_is_no_text_harms_nobody(shop: Shop) -> None:
    assert (await shop.visit("/\ud800", raw_path=None)).text == "fresh"


async def test_head_is_served_from_get_without_a_body(shop: Shop) -> None:
    shop.fields = [("content-length", "5")]
    await shop.visit()
    shop.goes_down()
    reply = await shop.visit("/", "HEAD")
    assert (reply.status, reply.body) == (200, b"")
    assert reply.headers["content-length"] == "5"
    assert "age" in reply.headers


@pytest.mark.parametrize("method", ["POST", "DELETE", "OPTIONS"])
async def test_other_methods_get_the_plain_503(shop: Shop, method: str) -> None:
    await shop.visit()
    shop.goes_down()
    assert (await shop.visit("/", method)).status == 503


async def test_a_part_of_it_may_be_answered_by_the_whole(shop: Shop) -> None:
    await shop.visit()
    shop.goes_down()
    reply = await shop.visit("/", "GET", "range: bytes=0-1")
    assert (reply.status, reply.text) == (200, "fresh")


async def test_an_encoded_body_stays_encoded(shop: Shop) -> None:
    shop.fields = [("content-encoding", "br"), ("vary", "accept-encoding")]
    shop.chunks = [b"\x0b\x02\x80"]
    await shop.visit("/", "GET", "accept-encoding: br")
    shop.goes_down()
    reply = await shop.visit("/", "GET", "accept-encoding: br")
    assert reply.headers["content-encoding"] == "br"
    assert reply.body == b"\x0b\x02\x80"
    assert (await shop.visit("/", "GET", "accept-encoding: gzip")).status == 503


async def test_fields_of_one_connection_are_not_sent_again(shop: Shop) -> None:
    shop.fields = [("transfer-encoding", "chunked"), ("connection", "close"), ("date", "long ago")]
    await shop.visit()
    shop.goes_down()
    assert {"age", "cache-status"} == set((await shop.visit()).headers)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_what_a_request_has_changed_is_dropped(shop: Shop, method: str) -> None:
    await shop.visit("/order/1")
    await shop.visit("/order/2")
    shop.status = 204
    await shop.visit("/order/1", method)
    shop.goes_down()
    assert (await shop.visit("/order/1")).status == 503
    assert (await shop.visit("/order/2")).status == 200


@pytest.mark.parametrize("status", [400, 403, 500])
async def test_what_a_request_has_failed_to_change_stays(shop: Shop, status: int) -> None:
    await shop.visit()
    shop.status = status
    await shop.visit("/", "DELETE")
    shop.goes_down()
    assert (await shop.visit()).status == 200


async def test_what_is_failure_calls_a_failure_is_not_kept() -> None:
    shop = Shop()
    app = BreakerMiddleware(
        shop,
        registry=shop.registry,
        fallback=shop.last_good,
        is_failure=lambda _status, _scope: True,
    )
    await visit(app, "/list")
    assert len(shop.last_good) == 0


async def test_the_answer_that_stands_in_further_in_is_not_kept() -> None:
    shop, outer = Shop(), LastGood()
    app = BreakerMiddleware(shop.app, registry=BreakerRegistry(), fallback=outer)
    await shop.visit("/list")
    shop.goes_down()
    assert (await visit(app, "/list")).status == 200
    assert len(outer) == 0


async def test_an_answer_that_stands_in_grows_no_younger() -> None:
    shop = Shop(max_age=10)
    await shop.visit("/list")
    shop.goes_down()
    for _ in range(2):
        shop.clock.advance(5)
        assert (await shop.visit("/list")).status == 200
    shop.clock.advance(1)
    assert (await shop.visit("/list")).status == 503
