"""Where a thread spends its time: its stack is looked at a hundred times a second, and told by package."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from pathlib import Path
from types import FrameType

EVERY = 0.01
IDLE = frozenset({"select", "poll"})
"""Functions in which an event loop waits."""


class Whereabouts:
    """Watches the thread that enters it. What the standard library does counts for who called it."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, args=(threading.get_ident(),), daemon=True)

    def __enter__(self) -> Whereabouts:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self, thread: int) -> None:
        while not self._over.wait(EVERY):
            frame = sys._current_frames().get(thread)  # noqa: SLF001 - the documented way to see another thread
            if frame is not None:
                self.seen[package_of(frame)] += 1

    def shares(self, most: int = 6) -> str:
        """The packages that took most of the time, in per cent."""
        total = self.seen.total() or 1
        return ", ".join(f"{name} {100 * count / total:.0f} %" for name, count in self.seen.most_common(most))


def package_of(frame: FrameType | None) -> str:
    """`idle`, or the package whose code is running, or called the standard library's that is.

    `asyncio` is what the loop does for nobody in particular.
    """
    if frame is not None and frame.f_code.co_name in IDLE:
        return "idle"
    while frame is not None:
        if frame.f_code.co_name == "_run_once":
            return "asyncio"
        path = Path(frame.f_code.co_filename)
        parts = path.parts
        for root in ("site-packages", "dist-packages"):
            if root in parts:
                return parts[parts.index(root) + 1].removesuffix(".py")
        if "specflow" in parts and __name__ != frame.f_globals.get("__name__"):
            return "specflow"
        frame = frame.f_back
    return "python"
