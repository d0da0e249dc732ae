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
    from redis.exceptions import ClusterError, NoScriptError, ResponseError


if TYPE_CHECKING:
    from collections.abc import Sequence

    from breaker_asgi.stores.redis_clients import Server


class _Script(NamedTuple):
    text: str
    sha: str


class Call(NamedTuple):
    """A call of a script. All keys are on one node of a Cluster."""

    script: str
    keys: Sequence[bytes | str]
    args: Sequence[bytes | str | int]


_PARTS = {
    "sync": (
        "record",
        "seconds",
        "announce",
        "entry",
        "earlier",
        "outage",
        "report",
        "probes",
        "change",
    ),
    "announced": ("announce",),
    "publish": ("workers",),
    "published": ("workers",),
}
"""Parts that a script needs besides the common ones."""
_MOVING = "its slot is moving to another node of the Cluster"
_DAMAGED = "it is damaged: a key has a value of the wrong type"


@cache
def _script(name: str) -> _Script:
    folder = resources.files("breaker_asgi.stores") / "lua"
    parts = ["common", *_PARTS.get(name, ()), name]
    text = "\n".join((folder / f"{part}.lua").read_text("utf-8") for part in parts)
    return _Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


def refusal_of_one_record(answer: object) -> str | None:
    """Return the reason of an error that concerns the keys of one call, and no others."""
    if isinstance(answer, ClusterError) and str(answer).startswith("TTL exhausted"):
        return _MOVING  # redis-py has tried again and again
    return _DAMAGED if isinstance(answer, ResponseError) and "WRONGTYPE" in str(answer) else None


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

    def call_all(self, calls: Sequence[Call]) -> list[Any]:
        """Make all calls in this order, in one round trip; in two if a script is not cached yet.

        The last one is made again after calls of the second round trip. An error that concerns the
        keys of one call is an answer, but not that of the last one.
        """
        with self._server.use() as client:
            answers = _pipeline(client, calls)
            again = [
                place for place, answer in enumerate(answers) if isinstance(answer, NoScriptError)
            ]
            if again:
                again += [len(calls) - 1] * (again[-1] < len(calls) - 1)
                repeated = _pipeline(client, [calls[place] for place in again], sends_text=True)
                for place, answer in zip(again, repeated, strict=True):
                    answers[place] = answer
            for place, answer in enumerate(answers, 1 - len(answers)):
                if isinstance(answer, Exception) and not (place and refusal_of_one_record(answer)):
                    raise answer
        return answers


def _pipeline(client: Any, calls: Sequence[Call], *, sends_text: bool = False) -> list[Any]:
    pipeline, is_cluster = client.pipeline(transaction=False), isinstance(client, RedisCluster)
    sent = set()
    for name, keys, args in calls:
        script, options = _script(name), {NEVER_DECODE: True}
        node = None
        if is_cluster:  # or it requests the keys of each command from a server
            node = options["target_nodes"] = client.get_node_from_key(keys[0])
        is_first = (name, node and node.name) not in sent
        sent.add((name, node and node.name))
        first = ("EVAL", script.text) if sends_text and is_first else ("EVALSHA", script.sha)
        # Not pipeline.evalsha: redis-py 8.1 refuses that in a Cluster, and sends this.
        pipeline.execute_command(*first, len(keys), *keys, *args, **options)
    answers: list[Any] = pipeline.execute(raise_on_error=False)
    return answers
