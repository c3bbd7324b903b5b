"""Tools whose early results were found to differ from what the tool says: they are not called early."""

from __future__ import annotations

import threading

CLEAN = 20
"""Clean samples of real calls in a row after which a tool is called early again; twice as many each time."""


class Demotions:
    """Of one runtime; an operator may reinstate a tool. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._needed: dict[str, int] = {}
        self._left: dict[str, int] = {}

    def holds(self, tool: str) -> bool:
        """Whether the tool is not called early."""
        return tool in self._left

    def diverged(self, tool: str) -> None:
        """An early result differed, or another sample has while it is demoted."""
        with self._lock:
            if tool not in self._left:
                self._needed[tool] = 2 * self._needed[tool] if tool in self._needed else CLEAN
            self._left[tool] = self._needed[tool]

    def clean(self, tool: str) -> bool:
        """A sample was the same. True: that was the last one it needed."""
        with self._lock:
            left = self._left.get(tool)
            if left is None:
                return False
            if left > 1:
                self._left[tool] = left - 1
                return False
            del self._left[tool]
            return True

    def reinstate(self, tool: str) -> bool:
        """An operator says so: it starts anew. False: it was not demoted."""
        with self._lock:
            self._needed.pop(tool, None)
            return self._left.pop(tool, None) is not None
