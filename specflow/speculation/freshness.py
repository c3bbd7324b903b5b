"""What makes early reads honest: the session's own writes, as intervals with footprints.

A write's interval is [intent, outcome]; of one that is undone, [intent, end of the undo]; of one that is
not settled, [intent, for ever). An early read is stale when its own interval, from its start to its
adoption, overlaps that of a write whose footprint overlaps. A read that declares `writes` (it refreshes a
cache, say) counts as one, whether it is adopted or not; only not for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from specflow.effects.footprint import Keys, overlap


@dataclass(slots=True, kw_only=True, eq=False)
class WriteSpan:
    """One write of the session. `end` None: still going on, or not settled.

    `keys` may be narrowed when the result is known. `lives`: somebody is there who would tell of its end.
    """

    keys: Keys
    start: float
    end: float | None = None
    lives: Callable[[], bool] = lambda: True

    def after(self, since: float) -> bool:
        """Whether some of it is not over by then."""
        return self.lives() if self.end is None else self.end >= since


class WriteLog:
    """The writes of one session that an early read could have met."""

    def __init__(self, told: Callable[[WriteSpan, float], None] | None = None) -> None:
        """`told` hears of every write, with the time at which it begins."""
        self._spans: list[WriteSpan] = []
        self._told = told

    def begin(self, keys: Keys, at: float) -> WriteSpan:
        """A write is about to be intended."""
        span = WriteSpan(keys=keys, start=at)
        self.add(span)
        if self._told is not None:
            self._told(span, at)
        return span

    def add(self, span: WriteSpan) -> None:
        """A write of somebody else's counts, too."""
        self._spans.append(span)

    def end(self, span: WriteSpan, at: float) -> None:
        """The write, or its undo, is over and settled."""
        span.end = at

    @contextmanager
    def during(self, keys: Keys, now: Callable[[], float]) -> Iterator[None]:
        """Around what takes back more than early work of the session's own; None: whatever that may be."""
        span = self.begin(keys, now())
        try:
            yield
        finally:
            self.end(span, now())

    def met(self, keys: Keys, since: float, *, own: WriteSpan | None = None) -> bool:
        """Whether a read of `keys` that began at `since` and is adopted now met a write; `own` is its own."""
        return any(span is not own and span.after(since) and overlap(keys, span.keys) for span in self._spans)

    def close(self, at: float) -> None:
        """The session is closed: what is not settled is from now on a change from outside, for others."""
        for span in self._spans:
            if span.end is None:
                span.end = at

    def forget_before(self, at: float) -> None:
        """Let go of what no read still pending can have met (it ended before `at`)."""
        self._spans = [span for span in self._spans if span.after(at)]
