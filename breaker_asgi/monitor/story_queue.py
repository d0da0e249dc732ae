"""The stories that the streams have yet to get."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from breaker_asgi.monitor.event_text import dumps, event_text
from breaker_asgi.monitor.kept_stories import KEPT_STORIES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from breaker_asgi.monitor.log_listing import LogListing
    from breaker_asgi.monitor.story import Story

_MOST = 20
"""Stories sent again in one text, as more calls were rejected: rows have these figures too."""


class StoryQueue:
    """Stories that are new or have changed."""

    def __init__(self, log: LogListing) -> None:
        self._log = log
        self._new: deque[Story] = deque(maxlen=KEPT_STORIES)
        self._stories: dict[int, Story] = {}
        """By their ids, the one that has waited longest first."""

    def add(self, story: Story) -> None:
        """Add a story, in any thread."""
        self._new.append(story)

    def clear(self) -> None:
        """Forget all of them."""
        self._new.clear()
        self._stories.clear()

    def take(self, changed: set[str]) -> list[Story]:
        """Return the stories to send: all of the changed breakers, and some with new figures."""
        while self._new:
            story = self._new.popleft()
            self._stories[story.id] = story
        urgent: list[Story] = []
        others: list[Story] = []
        for story in self._stories.values():
            (urgent if story.event["breaker"] in changed else others).append(story)
        taken = [*urgent, *others[:_MOST]]
        for story in taken:
            del self._stories[story.id]
        return taken

    def text(self, stories: list[Story], last_id: int, *, details: bool) -> Iterator[str]:
        """Yield the text of stories, some at a time."""
        begin = event_text("stories", [], last_id).removesuffix("]\n\n")
        for at in range(0, len(stories), _MOST):
            part = stories[at : at + _MOST]
            yield begin + ",".join(dumps(self._log.story(one, details=details)) for one in part)
            begin = ","
        if stories:
            yield "]\n\n"
