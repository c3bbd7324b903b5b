"""Which open sessions belong to an event loop of this process that is still there."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping

Loops = MutableMapping[str, asyncio.AbstractEventLoop]


class Living:
    """The open sessions of one runtime by id, with the event loop each belongs to.

    `everybody` is the same for all runtimes of the process: an agent that another one calls as a tool
    may have a runtime, or a loop, of its own, and must not take the caller's session for a dead one's.
    """

    def __init__(self, everybody: Loops | None = None) -> None:
        self._everybody: Loops = {} if everybody is None else everybody
        self._own: Loops = {}

    def add(self, session_id: str) -> None:
        """A session is opened on the running loop."""
        self._own[session_id] = self._everybody[session_id] = asyncio.get_running_loop()

    def drop(self, session_id: str) -> None:
        """It is closed, or left to recovery."""
        self._own.pop(session_id, None)
        self._everybody.pop(session_id, None)

    def lives(self, session_id: str) -> bool:
        """Whether somebody in this process still works with it."""
        loop = self._everybody.get(session_id)
        return loop is not None and not loop.is_closed()

    def orphans(self) -> tuple[str, ...]:
        """Sessions of this runtime whose loop ended before they were closed."""
        return tuple(session_id for session_id, loop in tuple(self._own.items()) if loop.is_closed())
