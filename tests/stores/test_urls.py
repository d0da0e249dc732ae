"""Stores by their URLs."""

from __future__ import annotations

import socket
import sys
from pathlib import Path, PureWindowsPath
from traceback import format_exception
from typing import Any

import pytest

from breaker_asgi import BreakerConfigError, BreakerRegistry
from breaker_asgi.stores import SQLiteStore, store_of, urls
from breaker_asgi.stores.redaction import redact_url
from breaker_asgi.stores.redis import RedisStore
from tests.hiding import hide


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:////run/breakers.db", "/run/breakers.db"),
        ("sqlite:////run/my%20breakers.db", "/run/my breakers.db"),
        ("sqlite:////../breakers.db", "/../breakers.db"),
        ("sqlite:///breakers.db", f"{Path.cwd()}/breakers.db"),
        ("sqlite:///./breakers.db", f"{Path.cwd()}/breakers.db"),
        ("sqlite:///no-such-folder/breakers.db", f"{Path.cwd()}/no-such-folder/breakers.db"),
    ],
)
def test_a_file_is_relative_after_three_slashes_and_absolute_after_four(
    url: str, path: str
) -> None:
    store = store_of(url)
    assert isinstance(store, SQLiteStore)
    assert store.label == f"sqlite:{path}"


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://localhost:6379/0",
        "rediss://u:p@host:6380/1?ssl_cert_reqs=none",
        "redis://[::1]:6379",
        "unix:///run/redis.sock?db=2",
        "redis+sentinel://a:26379,b:26379/main",
        "rediss+sentinel://u:p@a,b:1,c/main/3?sentinel_password=x",
        "redis+cluster://a:6379,[::1]:7000",
        "redis+cluster://u:p@[::1],[::2]",
        "redis+sentinel://[::1],b/main",
        "redis+cluster://a/",
        "rediss+cluster://u:p@a:6379",
        "redis://localhost/0?socket_timeout=0.5&retry_on_timeout=no&max_connections=5",
        "rediss+sentinel://a/main?ssl_ca_certs=/etc/ca.pem&sentinel_ssl_ca_certs=/etc/ca.pem",
        "rediss+cluster://a?ssl_cert_reqs=none&client_name=shop",
    ],
)
def test_server_url_makes_a_store_without_a_connection(url: str) -> None:
    assert isinstance(store_of(url), RedisStore)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/run/breakers.db",
        "sqlite://",
        "sqlite:///",
        "sqlite://:memory:",
        "sqlite://run/breakers.db",
        "sqlite:///run/",
        "sqlite:///run/breakers.db?mode=ro",
        "postgres://localhost",
        "memcached+cluster://localhost",
        "redis:localhost",
        "redis://",
        "redis://host:port",
        "redis://host:6379/0?socket_timeout=soon",
        "redis+sentinel://a:26379",
        "redis+sentinel:///main",
        "redis+cluster://a,[::1",
        "redis+sentinel://a:x/main",
        "redis+sentinel://a/main?sentinel_socket_timeout=soon",
        "redis+cluster://",
        "redis+cluster://a:6379/3",
        "redis+cluster://a:6379?db=3",
        "redis://host,other:6379/0",
        "redis://host/shop",
        "redis://host/-1",
        "redis://host/0/1",
        "redis://host/0#1",
        "redis+sentinel://a/main/zero",
        "redis+proxy://a",
        "unix://",
        None,
        7,
        Path("/run/breakers.db"),
    ],
)
def test_a_wrong_url_says_what_was_given_and_what_is_allowed(url: Any) -> None:
    with pytest.raises(BreakerConfigError) as raised:
        store_of(url)
    assert repr(url) in str(raised.value)
    assert "is not allowed: give " in str(raised.value)
    assert "://" in str(raised.value).rpartition("give ")[2]


@pytest.mark.parametrize(
    ("url", "option"),
    [
        ("redis://:s3cret@host/0?prefx=shop", "prefx"),
        ("redis://host?sokcet_timeout=3&client_name=s", "sokcet_timeout"),
        ("redis://host?ssl_ca_certs=/etc/ca.pem", "ssl_ca_certs"),
        ("rediss://host?ssl_cert_reqs=perhaps", "ssl_cert_reqs"),
        ("redis://host?socket_timeout=0", "socket_timeout"),
        ("redis://host?socket_timeout=-1", "socket_timeout"),
        ("redis://host?socket_connect_timeout=nan", "socket_connect_timeout"),
        ("redis://host?socket_timeout=", "socket_timeout"),
        ("redis://host?protocol=7", "protocol"),
        ("redis://host?db=-1", "db"),
        ("redis://host?encoding=klingon", "encoding"),
        ("redis://host?host=other", "host"),
        ("unix:///run/redis.sock?db=q", "db"),
        ("redis+sentinel://:s3cret@a/main?sentinel_foo=1", "sentinel_foo"),
        ("redis+sentinel://a/main?foo=3", "foo"),
        ("redis+cluster://a?foo=3", "foo"),
    ],
)
def test_unknown_option_is_named(url: str, option: str) -> None:
    with pytest.raises(BreakerConfigError, match=rf"The option {option} is unknown") as raised:
        store_of(url)
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    "read", ["redis://host:1/0\n", " redis://host:1/0 ", "\tredis://host:1/0\r\n"]
)
def test_whitespace_around_a_url_is_stripped(read: str) -> None:
    assert store_of(read).label == RedisStore(read).label == "redis://host:1/0"
    assert store_of(" sqlite:////run/breakers.db\n").label == "sqlite:/run/breakers.db"


@pytest.mark.parametrize(
    "url",
    [
        "redis://:s3cret@host:port",
        "redis://:[s3cret]@host",
        "redis://user:s3cret\uff1f@host",
        "redis://user:s3cret@host:port/0",
        "redis://user:s3c@s3cret/x#y@host:port/0",
        "redis://s3cret@host:port",
        "redis://user:12/s3cret@host/0",
        "redis://user:12?s3cret@host/0",
        "redis://user:12#s3cret@host/0",
        "redis://host:port/0?password=s3cret&db=1",
        "redis+sentinel://a,b:x/main?sentinel_password=s3cret",
        "redis://host/0?pasword=s3cret",
        "postgres://user:s3cret@host",
        "user:s3cret@host",
    ],
)
def test_a_wrong_url_is_shown_without_its_password(url: str) -> None:
    with pytest.raises(BreakerConfigError) as raised:
        store_of(url)
    error: BaseException | None = raised.value
    assert error
    assert "s3cret" not in "".join(format_exception(error))
    assert "s3c@" not in str(error)


@pytest.mark.parametrize(
    ("url", "prefix"),
    [
        ("redis://localhost", "breaker-asgi"),
        ("redis://localhost?prefix=shop", "shop"),
        ("redis://localhost/0?db=1&prefix=eu%2Fshop", "eu/shop"),
        ("redis+cluster://a:6379?prefix=shop&socket_timeout=2", "shop"),
    ],
)
def test_a_prefix_keeps_services_apart(url: str, prefix: str) -> None:
    store = store_of(url)
    assert isinstance(store, RedisStore)
    assert store._prefix == prefix


def test_a_label_names_all_hosts() -> None:
    assert store_of("redis+cluster://u:p@a:1,[::1]:2").label == "redis+cluster://a:1,[::1]:2"


@pytest.mark.parametrize("prefix", ["", "a%20b", "{a}"])
def test_a_wrong_prefix_is_refused(prefix: str) -> None:
    with pytest.raises(BreakerConfigError, match=r"prefix=.* is not allowed"):
        store_of(f"redis://localhost?prefix={prefix}")


def test_redaction_keeps_the_rest_of_a_url() -> None:
    assert redact_url("redis://ada:x@host:1/0?db=1") == "redis://ada:***@host:1/0?db=1"
    assert redact_url("sqlite:///a@b.db") == "sqlite:///a@b.db"


def test_redis_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "redis")
    monkeypatch.delitem(sys.modules, "breaker_asgi.stores.redis")
    with pytest.raises(BreakerConfigError, match=r'pip install "breaker-asgi\[redis\]"'):
        store_of("redis://localhost")


def test_an_error_of_redis_py_itself_passes_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "redis.exceptions")
    monkeypatch.delitem(sys.modules, "breaker_asgi.stores.redis")
    with pytest.raises(ModuleNotFoundError, match=r"^import of redis\.exceptions halted"):
        store_of("redis://localhost")


def test_a_drive_of_windows_makes_a_path_absolute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urls, "Path", PureWindowsPath)
    for path in ("/C:/shop/breakers.db", "/C:\\shop\\breakers.db"):
        assert urls._path("", path).as_posix() == "C:/shop/breakers.db"


def test_a_drive_in_small_letters_is_no_scheme_of_a_url() -> None:
    assert SQLiteStore("c:/breakers.db").label.endswith("c:/breakers.db")


def test_a_socket_of_unix_is_refused_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "AF_UNIX")
    with pytest.raises(BreakerConfigError, match="has no sockets of Unix: name a host"):
        store_of("unix:///run/redis.sock")


class Client:
    """A client such as one of redis-py, of which older versions show their passwords."""

    def __repr__(self) -> str:
        return "<Client(password=s3cret)>"


@pytest.mark.parametrize(
    ("module", "remedy"), [("redis.client", r"RedisStore\(client\)"), ("memcache", "sqlite:///")]
)
def test_refused_store_is_shown_by_its_type_only(
    monkeypatch: pytest.MonkeyPatch, module: str, remedy: str
) -> None:
    monkeypatch.setattr(Client, "__module__", module)
    client: Any = Client()
    with pytest.raises(BreakerConfigError, match=f"Client'> is not allowed: .*{remedy}") as raised:
        BreakerRegistry(store=client)
    assert "s3cret" not in str(raised.value)


def test_a_relative_path_that_was_meant_to_be_absolute_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BreakerConfigError) as caught:
        store_of(f"sqlite://{tmp_path}/breakers.db")
    assert f"this one leads to {tmp_path}{tmp_path}/breakers.db" in str(caught.value)
    assert f"For {tmp_path}/breakers.db write sqlite:///{tmp_path}/breakers.db" in str(caught.value)


def test_a_relative_path_that_may_have_been_meant_to_be_absolute_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(f"{tmp_path}{tmp_path}").mkdir(parents=True)
    store = store_of(f"sqlite://{tmp_path}/breakers.db")
    assert store.label == f"sqlite:{tmp_path}{tmp_path}/breakers.db"
    assert "with four slashes" in caplog.text
