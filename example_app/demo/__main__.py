"""Plays the whole story, with breakers and without: a dependency fails, slows down and recovers."""

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path

from rich.console import Console
from rich.live import Live

from example_app.demo.load import INTERVAL, Phase, Side
from example_app.demo.report import chapters, line, live_view, save_picture, summary
from example_app.processes import child, listen, wait_for

STORY = [
    Phase("healthy", 7),
    Phase("failing", 10, {"error_rate": 1}),
    Phase("slow", 10, {"latency_s": 2}),
    Phase("recovering", 6),
    Phase("recovered", 6),
]


class Show:
    """A live table on a terminal, a line for each second elsewhere."""

    def __init__(self, sides: Sequence[Side], story: Sequence[Phase]) -> None:
        self.sides = sides
        self.story = story
        self.phase = story[0]
        self.console = Console(highlight=False)
        if not self.console.is_terminal:  # no column is shortened in a file or a pipe
            self.console.width = 100
        self._began = time.time()

    async def run(self) -> None:
        if self.console.is_terminal:
            with Live(console=self.console, auto_refresh=False, transient=True) as live:
                while True:
                    await self.sides[0].fetch_state()
                    passed, event_log = time.time() - self._began, await self._event_log()
                    live.update(live_view(self.sides, self.phase, passed, event_log), refresh=True)
                    await asyncio.sleep(0.25)
        while True:
            await asyncio.sleep(1)
            await self.sides[0].fetch_state()
            print(line(self.sides, self.phase, time.time() - self._began), flush=True)

    async def sum_up(self, picture: Path | None) -> None:
        self.console.print(summary(self.sides, self.story))
        self.console.print("The breakers' diary:", *await self._event_log(), sep="\n")
        if picture:
            save_picture(picture, summary(self.sides, self.story))

    async def _event_log(self) -> list[str]:
        return chapters(await self.sides[0].fetch_event_log(), self._began)


async def play(sides: Sequence[Side], story: Sequence[Phase], picture: Path | None) -> None:
    async with AsyncExitStack() as clients:
        for side in sides:
            await clients.enter_async_context(side)
        show = Show(sides, story)
        showing = asyncio.create_task(show.run())
        try:
            async with asyncio.TaskGroup() as tasks:
                for phase in story:
                    show.phase = phase
                    await asyncio.gather(*(side.play(phase, tasks) for side in sides))
        finally:
            showing.cancel()
            await asyncio.wait([showing])
        await show.sum_up(picture)


@contextmanager
def shops(open_seconds: float) -> Iterator[list[Side]]:
    """A shop with breakers and one without, and a payment service for each of them."""
    with ExitStack() as processes:

        def start(name: str, offset: float, **environment: str) -> Side:
            payments = processes.enter_context(child("example_app.payments:app", listen()))
            environment["SHOP_PAYMENTS_URL"] = payments
            shop = processes.enter_context(child("example_app.shop:app", listen(), **environment))
            return Side(name, shop, payments, offset)

        sides = [
            start("with", 0, SHOP_OPEN_SECONDS=str(open_seconds)),
            start("without", INTERVAL / 2, SHOP_BREAKERS="off"),
        ]
        for side in sides:
            wait_for(f"{side.payments}/_stats")
            wait_for(f"{side.shop}/products")
        yield sides


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m example_app.demo", description=__doc__)
    parser.add_argument("--fast", action="store_true", help="in ten seconds, less clearly")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="save the summary as a picture")
    options = parser.parse_args()
    story, open_seconds = STORY, 1.0
    if options.fast:
        story = [Phase(phase.name, phase.seconds / 5, phase.faults) for phase in STORY]
        open_seconds = 0.2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        print("Starting a shop with breakers, one without, and a payment service each.", flush=True)
        with shops(open_seconds) as sides:
            asyncio.run(play(sides, story, options.svg))
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
