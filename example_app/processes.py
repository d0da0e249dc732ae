"""Servers, in this process or in one of their own that ends when this one does.

The pipe to a child's standard input is the tie: the system closes it however the parent ends, even
if it is killed. So there is one way to end a child, and it can't be forgotten.
"""

import argparse
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import uvicorn

HOST = "127.0.0.1"
GRACE = 2
"""Seconds in which requests may come to an end: more than the shop waits for a payment."""

_ROOT = Path(__file__).parent.parent


def port(text: str) -> int:
    """Parse a port from the command line."""
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{number} is not a port: 0 to 65535")
    return number


def listen(port: int = 0, option: str = "") -> socket.socket:
    """Return a listening socket; exit with advice if the port of `option` can't be used.

    As the socket listens before its server runs, an early request waits instead of failing.
    """
    # Without the protocol's number, asyncio leaves Nagle's algorithm on: 40 ms for each response.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        sys.exit(
            f"Port {port} can't be used: {str(error.strerror).lower()}.\n"
            f"Choose another one with {option} NUMBER, or {option} 0 for any that is free."
        )
    return listener


def url_of(listener: socket.socket) -> str:
    return f"http://{HOST}:{listener.getsockname()[1]}"


def serve(app: str, listener: socket.socket, *, log_level: str, until_eof: bool = False) -> None:
    """Run a server until a signal, or the end of standard input, ends it."""
    logging.basicConfig(level=log_level.upper(), format="%(levelname)s:  %(message)s")
    config = uvicorn.Config(
        app,
        log_level=log_level,
        access_log=False,
        timeout_graceful_shutdown=GRACE,
        timeout_keep_alive=60,  # not shorter than a client keeps its connections
    )
    server = uvicorn.Server(config)
    if until_eof:
        threading.Thread(target=_end_with_parent, args=[server], daemon=True).start()
    server.run([listener])


def _end_with_parent(server: uvicorn.Server) -> None:
    os.read(0, 1)
    server.should_exit = True
    time.sleep(2 * GRACE)
    os._exit(1)


@contextmanager
def child(app: str, listener: socket.socket, **environment: str) -> Iterator[str]:
    """Start a server in a process of its own, which takes over the socket; yield its address."""
    if sys.platform == "win32":
        sys.exit("Windows can't hand a socket to a child process. Run this in WSL or a container.")
    url, descriptor = url_of(listener), listener.fileno()
    process = subprocess.Popen(
        [sys.executable, "-m", "example_app.processes", app, str(descriptor)],
        cwd=_ROOT,
        env=os.environ | environment,
        stdin=subprocess.PIPE,
        pass_fds=[descriptor],
        start_new_session=True,  # Ctrl-C goes to the parent, which ends its children in order
    )
    listener.close()
    try:
        yield url
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdin:
        process.stdin.close()
    try:
        process.wait(4 * GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_for(url: str) -> None:
    """Wait until a server answers."""
    try:
        httpx.get(url, timeout=30, trust_env=False).raise_for_status()
    except httpx.HTTPError as error:
        sys.exit(f"No answer from {url}: {error}")


if __name__ == "__main__":
    serve(sys.argv[1], socket.socket(fileno=int(sys.argv[2])), log_level="critical", until_eof=True)
