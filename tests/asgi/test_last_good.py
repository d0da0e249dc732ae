"""`fallback=LastGood()`: while a route is open, its last good response is served."""

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
    """A guarded application with settable responses, which can be taken down."""

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
        """Make a request. Each of the `fields` is written as in a request: "name: value"."""
        pairs = [(name, value) for name, _, value in (field.partition(": ") for field in fields)]
        return await visit(self.app, path, method, pairs, **more)

    def goes_down(self) -> None:
        self.registry.get("app").force_open()

    def comes_back(self) -> None:
        self.registry.get("app").close()


@pytest.fixture
def shop() -> Shop:
    return Shop()


async def test_the_last_good_response_replaces_the_503(shop: Shop) -> None:
    shop.fields = [("content-type", "text/plain"), ("etag", '"1"')]
    await shop.visit("/list")
    shop.goes_down()
    reply = await shop.visit("/list")
    assert (reply.status, reply.text) == (200, "fresh")
    assert reply.headers["content-type"] == "text/plain"
    assert reply.headers["etag"] == '"1"'


async def test_a_newer_good_response_replaces_the_older_one(shop: Shop) -> None:
    for chunk in (b"old", b"new"):
        shop.chunks = [chunk]
        await shop.visit("/list")
    shop.goes_down()
    assert (await shop.visit("/list")).text == "new"
    assert len(shop.last_good) == 1


async def test_a_stale_response_has_an_age_and_a_cache_status(shop: Shop) -> None:
    await shop.visit()
    shop.goes_down()
    shop.clock.advance(12.9)
    headers = (await shop.visit()).headers
    assert headers["age"] == "12"
    assert headers["cache-status"] == "breaker-asgi; hit; detail=last-good"


async def test_the_age_header_of_a_response_counts(shop: Shop) -> None:
    shop.fields = [("age", "100"), ("cache-status", "cdn; hit")]
    await shop.visit()
    shop.goes_down()
    shop.clock.advance(20)
    reply = await shop.visit()
    assert reply.fields.count(("age", "120")) == 1
    assert [name for name, _ in reply.fields].count("age") == 1


@pytest.mark.parametrize("age", ["nonsense", "-1", "", "9" * 5_000])
async def test_a_malformed_age_is_passed_on(shop: Shop, age: str) -> None:
    shop.fields = [("age", age)]
    assert (await shop.visit()).text == "fresh"


async def test_a_recovered_route_serves_fresh_responses(shop: Shop) -> None:
    await shop.visit()
    shop.goes_down()
    await shop.visit()
    shop.comes_back()
    shop.chunks = [b"newer"]
    reply = await shop.visit()
    assert reply.text == "newer"
    assert "cache-status" not in reply.headers


async def test_without_a_kept_response_the_plain_503_is_sent(shop: Shop) -> None:
    shop.goes_down()
    reply = await shop.visit()
    assert reply.status == 503
    assert reply.headers["content-type"] == "application/problem+json"
    assert "age" not in reply.headers


async def test_a_response_older_than_max_age_is_not_served() -> None:
    shop = Shop(max_age=timedelta(minutes=1))
    await shop.visit()
    shop.goes_down()
    shop.clock.advance(60)
    assert (await shop.visit()).status == 200
    shop.clock.advance(0.1)
    assert (await shop.visit()).status == 503


async def test_a_response_with_an_age_is_served_for_a_shorter_time() -> None:
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
async def test_a_response_that_is_not_for_all_clients_is_not_kept(shop: Shop, field: str) -> None:
    name, _, value = field.partition(": ")
    shop.fields = [("cache-control", "max-age=60"), (name, value)]
    await shop.visit()
    assert len(shop.last_good) == 0


@pytest.mark.parametrize("status", [201, 203, 204, 206, 301, 302, 304, 404, 410, 500, 503])
async def test_only_a_status_of_200_is_kept(shop: Shop, status: int) -> None:
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
async def test_a_request_with_a_credential_does_not_get_an_anonymous_response(
    shop: Shop, field: str
) -> None:
    await shop.visit()
    shop.goes_down()
    assert (await shop.visit("/", "GET", field)).status == 503


async def test_a_public_response_is_served_to_requests_with_a_credential(shop: Shop) -> None:
    shop.fields = [("cache-control", "public, max-age=60")]
    await shop.visit("/", "GET", "authorization: Bearer x")
    shop.goes_down()
    assert (await shop.visit()).status == 200
    assert (await shop.visit("/", "GET", "cookie: session=1")).status == 200


async def test_a_response_is_public_only_by_the_word_itself(shop: Shop) -> None:
    shop.fields = [("cache-control", 'max-age=60, community="republican"')]
    await shop.visit("/", "GET", "authorization: Bearer x")
    assert len(shop.last_good) == 0


async def test_no_store_in_a_request_is_obeyed(shop: Shop) -> None:
    await shop.visit("/", "GET", "cache-control: no-store")
    assert len(shop.last_good) == 0


@pytest.mark.parametrize("wish", ["no-cache", "max-age=0"])
async def test_no_cache_in_a_request_does_not_prevent_a_stale_response(
    shop: Shop, wish: str
) -> None:
    await shop.visit()
    shop.goes_down()
    assert (await shop.visit("/", "GET", f"cache-control: {wish}")).status == 200


async def test_s_maxage_limits_the_time_for_which_a_response_is_served(shop: Shop) -> None:
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
async def test_a_response_that_varies_is_served_to_matching_requests_only(
    shop: Shop, stored_for: list[str], asked_by: list[str], status: int
) -> None:
    shop.fields = [("Vary", "Accept-Encoding, Accept-Language")]
    await shop.visit("/", "GET", *stored_for)
    shop.goes_down()
    assert (await shop.visit("/", "GET", *asked_by)).status == status


async def test_several_vary_fields_count_together(shop: Shop) -> None:
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


async def test_a_scope_without_raw_path_is_served(shop: Shop) -> None:
    await shop.visit("/grüße", raw_path=None)
    shop.goes_down()
    assert (await shop.visit("/grüße", raw_path=None)).status == 200


async def test_a_path_with_a_lone_surrogate_is_passed_on(shop: Shop) -> None:
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


async def test_a_range_request_gets_the_whole_response(shop: Shop) -> None:
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
async def test_a_successful_change_drops_the_response_of_its_url(shop: Shop, method: str) -> None:
    await shop.visit("/order/1")
    await shop.visit("/order/2")
    shop.status = 204
    await shop.visit("/order/1", method)
    shop.goes_down()
    assert (await shop.visit("/order/1")).status == 503
    assert (await shop.visit("/order/2")).status == 200


@pytest.mark.parametrize("status", [400, 403, 500])
async def test_a_failed_change_keeps_the_response_of_its_url(shop: Shop, status: int) -> None:
    await shop.visit()
    shop.status = status
    await shop.visit("/", "DELETE")
    shop.goes_down()
    assert (await shop.visit()).status == 200


async def test_a_failure_by_is_failure_is_not_kept() -> None:
    shop = Shop()
    app = BreakerMiddleware(
        shop,
        registry=shop.registry,
        fallback=shop.last_good,
        is_failure=lambda _status, _scope: True,
    )
    await visit(app, "/list")
    assert len(shop.last_good) == 0


async def test_a_stale_response_of_an_inner_middleware_is_not_kept() -> None:
    shop, outer = Shop(), LastGood()
    app = BreakerMiddleware(shop.app, registry=BreakerRegistry(), fallback=outer)
    await shop.visit("/list")
    shop.goes_down()
    assert (await visit(app, "/list")).status == 200
    assert len(outer) == 0


async def test_serving_a_stale_response_does_not_renew_it() -> None:
    shop = Shop(max_age=10)
    await shop.visit("/list")
    shop.goes_down()
    for _ in range(2):
        shop.clock.advance(5)
        assert (await shop.visit("/list")).status == 200
    shop.clock.advance(1)
    assert (await shop.visit("/list")).status == 503
