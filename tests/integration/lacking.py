"""A program for a system without POSIX: Windows, as far as Linux can simulate it.

`python -m tests.integration.lacking PART` runs one of the functions below. Other packages are
imported before anything is hidden, as they read `sys.platform`, which stays; ours comes after.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import pkgutil
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

_OF_A_SERVICE = (
    "fastapi",
    "http.server",
    "httpx",
    "multiprocessing.pool",
    "redis.cluster",
    "subprocess",
    "uvicorn.lifespan.on",
    "uvicorn.loops.asyncio",
    "uvicorn.protocols.http.h11_impl",
)
_OF_ALL_MODULES = (
    "aiobotocore.session",
    "aiohttp",
    "anthropic",
    "fastapi.testclient",
    "google.cloud.storage",
    "google.genai",
    "grpc.aio",
    "httpx2",
    "hypothesis.stateful",
    "openai",
    "opentelemetry.metrics",
    "prometheus_client.multiprocess",
    "pytest",
    "redis.asyncio",
    "requests",
    "rich.live",
    "sqlalchemy.ext.asyncio",
)
_MODULES = ("fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty")
_OF_OS = (
    *("fork", "forkpty", "register_at_fork", "getuid", "geteuid", "getgid", "getegid", "getpgid"),
    *("killpg", "setsid", "sched_getaffinity", "getloadavg", "uname", "WNOHANG"),
)
_SIGNALS = (
    *("SIGHUP", "SIGQUIT", "SIGKILL", "SIGTSTP", "SIGCONT", "SIGWINCH", "SIGPIPE", "SIGCHLD"),
    *("SIGUSR1", "SIGUSR2", "SIGALRM"),
)
_open = os.open


def hide_posix(others: Iterable[str]) -> None:
    """Remove the names that Windows lacks, after the other packages are imported."""
    for name in others:
        importlib.import_module(name)
    assert not [name for name in sys.modules if name.startswith("breaker_asgi")]
    for name in _MODULES:
        sys.modules[name] = None  # type: ignore[assignment]
    for name in _OF_OS:
        delattr(os, name)
    for name in _SIGNALS:
        delattr(signal, name)
    socket.socketpair = partial(socket.socketpair, socket.AF_UNIX)  # Windows has one without
    del socket.AF_UNIX
    os.supports_effective_ids = set()
    posix: Any = os
    posix.open = _open_no_folder
    loop: Any = asyncio.SelectorEventLoop
    loop.add_signal_handler = _not_implemented
    loop.remove_signal_handler = _not_implemented


def _open_no_folder(path: Any, *settings: Any, **more: Any) -> int:
    if Path(os.fsdecode(path)).is_dir():
        raise PermissionError(13, "Permission denied", path)
    return _open(path, *settings, **more)


def _not_implemented(*_: object) -> None:
    raise NotImplementedError


def modules(package: str) -> None:
    """Import all modules of a package."""
    top = importlib.import_module(package)
    for module in pkgutil.walk_packages(top.__path__, f"{package}."):
        importlib.import_module(module.name)
    print("imported")


def service(folder: str) -> None:
    """Serve an application until its breaker has opened, and is in monitor and store."""
    import uvicorn  # noqa: PLC0415
    from fastapi import FastAPI, HTTPException  # noqa: PLC0415

    from breaker_asgi import BreakerConfig, BreakerMiddleware, BreakerRegistry  # noqa: PLC0415

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        url = f"sqlite:///{folder}/breakers.db"  # three slashes, and the one of an absolute path
        registry = BreakerRegistry(store=url)
        app = FastAPI()
        config = BreakerConfig(fail_max=1)
        app.add_middleware(BreakerMiddleware, registry=registry, config=config)

        @app.get("/pay")
        async def pay() -> None:
            raise HTTPException(500)

        server = uvicorn.Server(
            uvicorn.Config(app, loop="asyncio", http="h11", log_level="critical")
        )
        visits = threading.Thread(target=_visit, args=[server, listener.getsockname()[1], url])
        visits.start()
        server.run([listener])
        visits.join()


def _visit(server: Any, port: int, store: str) -> None:
    import httpx  # noqa: PLC0415

    from breaker_asgi.cli.main import main  # noqa: PLC0415
    from breaker_asgi.stores import store_of  # noqa: PLC0415

    try:
        monitor = f"http://127.0.0.1:{port}/breakers"
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            print(*(client.get("/pay").status_code for _ in range(2)))
            listing = client.get("/breakers", headers={"accept": "application/json"}).json()
            print(*(breaker["state"] for breaker in listing["breakers"]))
            print("html" in client.get("/breakers", headers={"accept": "text/html"}).text)
        print(main(["status", monitor, "GET /pay"]))
        observer = store_of(store)
        while not observer.sync("observer", 0, 0, []).changed:  # until the worker has published it
            observer.wait(0, 10)
        print(observer.sync("observer", 0, 0, []).changed)
        observer.close()
    finally:
        server.should_exit = True


def malformed(folder: str) -> None:
    """Spoil the file of a store, and use it."""
    from breaker_asgi.stores import SQLiteStore  # noqa: PLC0415

    path = Path(folder, "breakers.db")
    store = SQLiteStore(path)
    store.publish("w", "", 60)
    store.close()
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"?" * (len(content) - 4096))
    _print_error(lambda: store.publish("w", "", 60))
    store.close()


def readonly(folder: str) -> None:
    """Use a store in a folder that its user can't write."""
    from breaker_asgi.stores import SQLiteStore  # noqa: PLC0415

    os.access = lambda *_, **__: False
    _print_error(lambda: SQLiteStore(Path(folder, "breakers.db")).published())


def unix_socket() -> None:
    """Open a store in a Redis behind a Unix socket."""
    from breaker_asgi.stores import store_of  # noqa: PLC0415

    _print_error(lambda: store_of("unix:///run/redis.sock"))


def _print_error(use: Callable[[], object]) -> None:
    try:
        use()
    except Exception as error:  # noqa: BLE001
        print(error)


def command(*arguments: str) -> None:
    """Run the command line."""
    from breaker_asgi.cli.main import main  # noqa: PLC0415

    sys.exit(main(arguments))


def keys() -> None:
    """Print the keys that end the live table, and wait for one."""
    from breaker_asgi.cli.keyboard import QUITS, keyboard  # noqa: PLC0415

    with keyboard() as pressed:
        print(QUITS, repr(pressed(0)))


PARTS: dict[str, Any] = {
    "command": command,
    "keys": keys,
    "malformed": malformed,
    "modules": modules,
    "readonly": readonly,
    "service": service,
    "unix_socket": unix_socket,
}

if __name__ == "__main__":
    hide_posix(_OF_A_SERVICE + (_OF_ALL_MODULES if sys.argv[1] == "modules" else ()))
    PARTS[sys.argv[1]](*sys.argv[2:])
