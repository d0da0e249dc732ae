"""Detection of a server's shutdown, with any signal handlers."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from breaker_asgi.monitor import server_shutdown
from breaker_asgi.monitor.server_shutdown import begin_to_listen, server_is_ending, stop_listening

SIGNALS = [signal.SIGTERM, signal.SIGINT]


class Handler:
    """A server's signal handler."""

    def __init__(self) -> None:
        self.numbers: list[int] = []

    def __call__(self, number: int, _frame: Any) -> None:
        self.numbers.append(number)


@pytest.fixture(autouse=True)
def _restore_handlers() -> Iterator[None]:
    before = [signal.getsignal(number) for number in SIGNALS]
    yield
    for number, handler in zip(SIGNALS, before, strict=True):
        signal.signal(number, handler)
    server_shutdown._taps.signalled_at = None


@pytest.fixture
def handler() -> Handler:
    handler = Handler()
    for number in SIGNALS:
        signal.signal(number, handler)
    return handler


def handlers() -> list[Any]:
    return [signal.getsignal(number) for number in SIGNALS]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_recorded_and_passed_on(handler: Handler, number: signal.Signals) -> None:
    begin_to_listen()
    assert not server_is_ending()
    os.kill(os.getpid(), number)
    assert server_is_ending()
    assert handler.numbers == [number]
    stop_listening()
    assert server_is_ending()


def test_handlers_are_restored_after_the_last_stream(handler: Handler) -> None:
    begin_to_listen()
    begin_to_listen()
    stop_listening()
    assert handler not in handlers()
    stop_listening()
    assert handlers() == [handler, handler]


def test_a_handler_installed_later_stays_and_still_passes_signals_on(handler: Handler) -> None:
    begin_to_listen()
    before = signal.getsignal(signal.SIGTERM)
    assert callable(before)
    later = partial(before)
    signal.signal(signal.SIGTERM, later)
    stop_listening()
    assert handlers() == [later, handler]
    os.kill(os.getpid(), signal.SIGTERM)
    assert handler.numbers == [signal.SIGTERM]


@pytest.mark.parametrize("default", [signal.SIG_DFL, signal.SIG_IGN, signal.default_int_handler])
def test_default_handlers_are_left_alone(default: Any) -> None:
    for number in SIGNALS:
        signal.signal(number, default)
    begin_to_listen()
    assert handlers() == [default, default]
    stop_listening()


def test_the_flag_of_uvicorn_is_read() -> None:
    class Server:
        should_exit = False

        def handle_exit(self, _number: int, _frame: object) -> None:
            self.should_exit = True

    handle = Server().handle_exit
    for number in SIGNALS:
        signal.signal(number, handle)
    begin_to_listen()
    assert handlers() == [handle, handle]
    stop_listening()
    os.kill(os.getpid(), signal.SIGINT)
    assert server_is_ending()


def test_a_server_that_still_runs_after_a_minute_does_not_end(
    handler: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin_to_listen()
    os.kill(os.getpid(), signal.SIGTERM)
    stop_listening()
    assert handler.numbers
    now = time.monotonic()
    monkeypatch.setattr("breaker_asgi.monitor.server_shutdown.time.monotonic", lambda: now + 61)
    assert not server_is_ending()


def in_a_thread(function: Callable[[], object]) -> None:
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


def test_only_the_main_thread_installs_taps(handler: Handler) -> None:
    in_a_thread(begin_to_listen)
    assert handlers() == [handler, handler]
    in_a_thread(stop_listening)


def test_a_tap_that_another_thread_cannot_remove_passes_signals_on(handler: Handler) -> None:
    begin_to_listen()
    in_a_thread(stop_listening)
    os.kill(os.getpid(), signal.SIGTERM)
    assert handler.numbers == [signal.SIGTERM]
    taps = handlers()
    begin_to_listen()
    assert handlers() == taps
    stop_listening()
