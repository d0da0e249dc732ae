"""The stories that are kept: the newest, and the outages that go on."""

from __future__ import annotations

from collections import deque
from heapq import nsmallest
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from breaker_asgi.monitor.story import Story

KEPT_STORIES: Final = 1_000
"""Stories kept, the newest ones; more only while more outages than that go on."""


class KeptStories:
    """Stories by their ids. Those that go on are not looked at to make room for another one."""

    def __init__(self, most: int = KEPT_STORIES) -> None:
        self._most = most
        self._stories: dict[int, Story] = {}
        self._ended: set[int] = set()
        self._gone: deque[int] = deque()
        """Ids of stories whose breaker no longer exists, appended by any thread."""

    def __contains__(self, number: int) -> bool:
        return number in self._stories

    def newest_first(self) -> list[Story]:
        """Return all of them."""
        return [self._stories[number] for number in sorted(self._stories, reverse=True)]

    def add(self, story: Story) -> None:
        """Add a story, and remove the oldest that have ended if there are too many."""
        self._stories[story.id] = story
        story.watch(self._gone.append)
        self.update(story)
        while self._gone:
            number = self._gone.popleft()
            if number in self._stories:
                self._ended.add(number)
        for number in nsmallest(len(self._stories) - self._most, self._ended):
            self._ended.remove(number)
            del self._stories[number]

    def update(self, story: Story) -> None:
        """Note that a story has ended, or goes on again."""
        if story.goes_on:
            self._ended.discard(story.id)
        elif story.id in self._stories:
            self._ended.add(story.id)
