"""Learned trigger phrases: the words in which calls were announced, counted. No value is ever among them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

LEAST = 3
"""Conversations in which a phrase must have come before a tool's call to count, and to be written."""
SHARE = 0.6
"""Which share of what followed a phrase must have been that tool."""
MOST = 2_000
"""Phrases that are kept; the rarest go first."""
MOST_CONVERSATIONS = 256
"""Conversations of which it is known what they have taught already."""
REPLY = ""
"""What followed where no tool was called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """`phrase` (stems of one or two words) came before a call of `tool` in `count` conversations; in `of` it
    came before anything at all. A conversation counts once for each thing that followed.
    """

    tool: str
    phrase: str
    count: int
    of: int

    @property
    def share(self) -> float:
        """A careful estimate of how likely the tool is after the phrase, in (0, 1)."""
        return (self.count - 0.5) / (self.of + 1)


class Triggers:
    """Which words announce which tool. Safe from several threads; at most 2,000 phrases.

    What it teaches holds for reads alone, and only where it is clear: a phrase that came before the same tool
    in three conversations and in six of ten cases.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, dict[str, int]] = {}
        self._taught: OrderedDict[int, set[tuple[str, str]]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._counts)

    def learn(self, phrases: Iterable[str], tool: str, conversation: int) -> None:
        """In that conversation (any number of it) `tool` was called after these phrases, or `REPLY`."""
        with self._lock:
            taught = self._taught.setdefault(conversation, set())
            self._taught.move_to_end(conversation)
            while len(self._taught) > MOST_CONVERSATIONS:
                self._taught.popitem(last=False)
            for phrase in sorted(phrases):
                if (phrase, tool) not in taught and len(taught) < MOST:
                    taught.add((phrase, tool))
                    counts = self._counts.setdefault(phrase, {})
                    counts[tool] = counts.get(tool, 0) + 1
            if len(self._counts) > MOST:
                often = sorted(self._counts, key=lambda phrase: -max(self._counts[phrase].values()))
                self._counts = {phrase: self._counts[phrase] for phrase in often[: MOST * 3 // 4]}

    def meant(self, phrases: Iterable[str]) -> dict[str, Trigger]:
        """For each tool that the phrases announce, the one that says so most clearly."""
        found: dict[str, Trigger] = {}
        if not self._counts:
            return found
        with self._lock:
            for phrase in phrases:
                for trigger in self._of(phrase, LEAST):
                    known = found.get(trigger.tool)
                    if trigger.share >= SHARE and (known is None or trigger.share > known.share):
                        found[trigger.tool] = trigger
        return found

    def forget(self, tool: str) -> None:
        """The tool is another one now."""
        with self._lock:
            for phrase, counts in tuple(self._counts.items()):
                counts.pop(tool, None)
                if not counts:
                    del self._counts[phrase]

    def rows(self) -> list[Trigger]:
        """What it goes by, for people: by tool, the clearest first."""
        with self._lock:
            found = [trigger for phrase in self._counts for trigger in self._of(phrase, LEAST)]
        found = [trigger for trigger in found if trigger.share >= SHARE]
        return sorted(found, key=lambda one: (one.tool, -one.share, -one.count, one.phrase))

    def as_json(self) -> dict[str, dict[str, int]]:
        """The phrases that came before a tool in three conversations, each with what followed."""
        with self._lock:
            return {
                phrase: dict(sorted(counts.items()))
                for phrase, counts in sorted(self._counts.items())
                if any(count >= LEAST for tool, count in counts.items() if tool != REPLY)
            }

    @classmethod
    def from_json(cls, data: Mapping[str, Mapping[str, Any]]) -> Triggers:
        """Triggers as they were written.

        Raises:
            AttributeError, TypeError, ValueError: the data has another shape.
        """
        made = cls()
        for phrase, counts in tuple(data.items())[:MOST]:
            made._counts[str(phrase)] = {str(tool): max(0, int(count)) for tool, count in counts.items()}
        return made

    def _of(self, phrase: str, least: int) -> Iterator[Trigger]:
        counts = self._counts.get(phrase, {})
        for tool, count in counts.items():
            if tool != REPLY and count >= least:
                yield Trigger(tool=tool, phrase=phrase, count=count, of=sum(counts.values()))
