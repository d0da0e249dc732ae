"""The shop in Django."""

from collections.abc import AsyncIterator

from django.conf import settings

settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="shop", MIDDLEWARE=[])

from django.core.asgi import get_asgi_application  # noqa: E402
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse  # noqa: E402
from django.urls import path  # noqa: E402

from tests.integration.asgi.apps import CHUNKS, charge, guarded  # noqa: E402


async def item(_request: HttpRequest, number: str) -> HttpResponse:
    return HttpResponse(f"item {number}".encode())


def boom(_request: HttpRequest) -> HttpResponse:
    raise RuntimeError("boom")


async def inner(_request: HttpRequest) -> HttpResponse:
    await charge()
    return HttpResponse(b"charged")


async def stream(_request: HttpRequest) -> StreamingHttpResponse:
    async def chunks() -> AsyncIterator[bytes]:
        for chunk in CHUNKS:
            yield chunk

    return StreamingHttpResponse(chunks())


async def echo(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.body)


urlpatterns = [
    path("items/<number>", item),
    path("boom", boom),
    path("inner", inner),
    path("stream", stream),
    path("echo", echo),
]
app = guarded(get_asgi_application())
