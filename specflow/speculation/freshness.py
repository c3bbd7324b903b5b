"""What makes early reads honest: the session's own writes, as intervals with footprints.

A write's interval is [intent, outcome]; of one that is undone, [intent, end of the undo]; of one that is
not settled, [intent, for ever). An early read is stale when its own interval, from its start to its
adoption, overlaps that of a write whose footprint overlaps.
"""

from __future__ import annotations

from dataclasses import dataclass

from specflow.effects.footprint import Keys, overlap


@dataclass(slots=True, kw_only=True, eq=False)
class WriteSpan:
    """One write of the session. `end` None: still going on, or not settled."""

    keys: Keys
    start: float
    end: float | None = None


class WriteLog:
    """The writes of one session that an early read could have met."""

    def __init__(self) -> None:
        self._spans: list[WriteSpan] = []

    def begin(self, keys: Keys, at: float) -> WriteSpan:
        """A write is about to be intended."""
        span = WriteSpan(keys=keys, start=at)
        self._spans.append(span)
        return span

    def end(self, span: WriteSpan, at: float) -> None:
        """The write, or its undo, is over and settled."""
        span.end = at

    def drop(self, span: WriteSpan) -> None:
        """The write never happened: nothing could have met it."""
        if span in self._spans:
            self._spans.remove(span)

    def met(self, keys: Keys, since: float) -> bool:
        """Whether a read of `keys` that began at `since` and is adopted now met a write."""
        return any(
            (span.end is None or span.end >= since) and overlap(keys, span.keys) for span in self._spans
        )

    def forget_before(self, at: float) -> None:
        """Let go of what no read still pending can have met (it ended before `at`)."""
        self._spans = [span for span in self._spans if span.end is None or span.end >= at]
