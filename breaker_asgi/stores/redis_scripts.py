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
"""What a script needs besides the record."""


@cache
def _script(name: str) -> _Script:
    folder = resources.files("breaker_asgi.stores") / "lua"
    parts = ["record", *_MORE.get(name, ()), name]
    text = "\n".join((folder / f"{each}.lua").read_text("utf-8") for each in parts)
    return _Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


class Scripts:
    """The scripts, as a server runs them. One that it does not know is sent along."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def call(self, name: str, keys: Sequence[bytes | str], *args: bytes | str | int) -> Any:
        script = _script(name)
        said, options = (len(keys), *keys, *args), {NEVER_DECODE: True}
        with self._server.use() as client:
            try:
                return client.execute_command("EVALSHA", script.sha, *said, **options)
            except NoScriptError:
                return client.execute_command("EVAL", script.text, *said, **options)

    def call_all(self, name: str, calls: Sequence[tuple[bytes, tuple[Any, ...]]]) -> list[Any]:
        """One call for each key, in one round trip; in two where the script is not known yet."""
        script = _script(name)
        with self._server.use() as client:
            answers = _pipeline(client, "EVALSHA", script.sha, calls)
            unknown = [each for each, said in enumerate(answers) if isinstance(said, NoScriptError)]
            again = _pipeline(client, "EVAL", script.text, [calls[each] for each in unknown])
            for place, said in zip(unknown, again, strict=True):
                answers[place] = said
            for said in answers:
                if isinstance(said, Exception):
                    raise said
        return answers


def _pipeline(
    client: Any, command: str, script: str, calls: Iterable[tuple[bytes, tuple[Any, ...]]]
) -> list[Any]:
    pipeline, is_cluster = client.pipeline(transaction=False), isinstance(client, RedisCluster)
    for key, args in calls:
        options: dict[str, Any] = {NEVER_DECODE: True}
        if is_cluster:  # which asks a server for the key of each otherwise
            options["target_nodes"] = client.get_node_from_key(key)
        # Not pipeline.evalsha: redis-py 8.1 refuses that in a Cluster, and sends this.
        pipeline.execute_command(command, script, 1, key, *args, **options)
    answers: list[Any] = pipeline.execute(raise_on_error=False)
    return answers
