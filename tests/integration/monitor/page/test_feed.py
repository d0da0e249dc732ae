"""The script reads the stream as the document's reader does."""

from __future__ import annotations

import asyncio
import time
from random import Random
from threading import Thread
from typing import Any

from breaker_asgi.monitor.traffic import as_rows
from tests.integration.monitor.page.browsing import Monitor, Visit
from tests.monitor.readers import Reader, look, settle, streaming
from tests.monitor.test_stream_reader import CALLS, CHANGES, Shop

SCRIPT = """async (events) => {
    const {Feed} = await import(`${document.documentElement.dataset.base}/-/static/feed.js`);
    const feed = new Feed();
    for (const [kind, data] of events) if (kind in feed) feed[kind](data);
    return [[...feed.rows], [...feed.seconds], feed.summary, feed.traffic.seconds];
}"""


async def play(shop: Shop, reader: Reader) -> None:
    """Have breakers called, changed, added and dropped while a reader listens."""
    random = Random(1)
    async with streaming(shop.monitor, reader):
        for _ in range(200):
            shop.do(random.choice([*CALLS, *CHANGES, "tick", "tick", "drop"]), random.choice("abc"))
            look(shop.registry)
            await settle()


def test_the_script_reads_the_stream_as_the_documents_reader(
    monitor: Monitor, visit: Visit
) -> None:
    shop, reader = Shop(), Reader()
    shop.now = time.time()  # seconds are kept for a minute, by the server's clock
    story = Thread(target=lambda: asyncio.run(play(shop, reader)))
    story.start()  # the browser's loop runs in this thread
    story.join()
    page, feed = visit(monitor.url), reader.feed
    read: Any = page.evaluate(SCRIPT, reader.all)
    rows, seconds, summary, traffic = dict(read[0]), dict(read[1]), read[2], read[3]
    for row in rows.values():
        del row["due"]
    assert rows == feed.rows
    assert {number: {at: calls for at, *calls in every} for number, every in seconds.items()} == (
        feed.seconds
    )
    assert summary == feed.summary
    assert traffic == as_rows(shop.history.all_seconds())
