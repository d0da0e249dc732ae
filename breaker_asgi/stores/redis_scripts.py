"""Runs the scripts in the folder `lua` on a Redis."""

from __future__ import annotations

from functools import cache
from hashlib import sha1
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple

from breaker_asgi._core.extras import needs

with needs(__name__, "redis"):
    from redis.client import NEVER_DECODE
    from redis.cluster import RedisCluster
    from redis.exceptions import NoScriptError


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from breaker_asgi.stores.redis_clients import Server


class _Script(NamedTuple):
    text: str
    sha: str


_MORE = {
    "change": ("announce",),
    "announced": ("announce",),
    "publish": ("workers",),
    "published": ("workers",),
}
"""Parts that a script needs besides the record."""


@cache
def _script(name: str) -> _Script:
    folder = resources.files("breaker_asgi.stores") / "lua"
    parts = ["record", *_MORE.get(name, ()), name]
    text = "\n".join((folder / f"{part}.lua").read_text("utf-8") for part in parts)
    return _Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


class Scripts:
    """The scripts, as a server runs them. One that it has not cached is sent along."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def call(self, name: str, keys: Sequence[bytes | str], *args: bytes | str | int) -> Any:
        script = _script(name)
        parameters, options = (len(keys), *keys, *args), {NEVER_DECODE: True}
        with self._server.use() as client:
            try:
                return client.execute_command("EVALSHA", script.sha, *parameters, **options)
            except NoScriptError:
                return client.execute_command("EVAL", script.text, *parameters, **options)

    def call_all(self, name: str, calls: Sequence[tuple[bytes, tuple[Any, ...]]]) -> list[Any]:
        """Call a script once for each key, in one round trip; in two if it is not cached yet."""
        script = _script(name)
        with self._server.use() as client:
            replies = _pipeline(client, "EVALSHA", script.sha, calls)
            unknown = [
                place for place, reply in enumerate(replies) if isinstance(reply, NoScriptError)
            ]
            again = _pipeline(client, "EVAL", script.text, [calls[place] for place in unknown])
            for place, reply in zip(unknown, again, strict=True):
                replies[place] = reply
            for reply in replies:
                if isinstance(reply, Exception):
                    raise reply
        return replies


def _pipeline(
    client: Any, command: str, script: str, calls: Iterable[tuple[bytes, tuple[Any, ...]]]
) -> list[Any]:
    pipeline, is_cluster = client.pipeline(transaction=False), isinstance(client, RedisCluster)
    for key, args in calls:
        options: dict[str, Any] = {NEVER_DECODE: True}
        if is_cluster:  # or it requests the keys of each command from a server
            options["target_nodes"] = client.get_node_from_key(key)
        # Not pipeline.evalsha: redis-py 8.1 refuses that in a Cluster, and sends this.
        pipeline.execute_command(command, script, 1, key, *args, **options)
    answers: list[Any] = pipeline.execute(raise_on_error=False)
    return answers
