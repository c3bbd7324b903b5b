"""Where the values of a call's arguments stood before it was made: in what was said, or what tools answered.

Who does not guess what a tool will answer cannot make a call before its values have been said, or answered:
that much follows from the messages that stand before the call in the record. A value counts as said wherever
its letters and digits stand in this order, in any case. Values that people say in other words (dates,
airports), that the schema lists, that are too short to tell, and that stood nowhere are taken to be known
from the beginning, since what follows is meant to be a bound.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

from specflow.effects.call import Call
from specflow.effects.registry import ToolRegistry
from specflow.prediction.dates import iso_date
from specflow.prediction.history.places import codes_of
from specflow.prediction.history.seen import text_of
from specflow.replay.steps import Step

_ESCAPED = re.compile(r"\\(?:u([0-9a-fA-F]{4})|[bfnrt])")
SHORT = 2
"""Letters and digits of a value that may stand anywhere by chance: fewer than so many."""


class Sources:
    """The messages of one run, to be asked which of them hold a value."""

    def __init__(self, steps: Sequence[Step], registry: ToolRegistry) -> None:
        self._registry = registry
        said: list[tuple[int, str]] = []
        asked: list[tuple[int, str]] = []
        asking = 0
        for place, item in enumerate(steps[-1].history if steps else ()):
            if item.call is None:
                asking = place
                said.append((place, bare(item.text)))
            else:
                asked.append((asking, bare(" ".join(_leaves(item.call.args)))))
                said.append((place, bare(_unescaped(item.call.result))))
        self._said, self._asked = _Texts(said), _Texts(asked)
        self._found: dict[str, list[int]] = {}
        self._last = {call.fingerprint: len(step.history) for step in steps for call in step.calls}

    def of(self, call: Call, before: int) -> Iterator[list[int]]:
        """For each of its values the places of the messages that hold it, of the first so many (a tool's
        holds it in its result); none for the values that may have been known anyway.
        """
        tool, last = self._registry.get(call.tool), self._last.get(call.fingerprint, before)
        for name, value in call.args.items():
            listed = () if tool is None else tool.properties.get(name, {}).get("enum") or ()
            for text in _leaves(value):
                if value in listed or _said_otherwise(text):
                    continue
                found = [place for place in self._holding(bare(text)) if place < last]
                # A guess of the same call further on, by a later message, would answer this one, too.
                if found and found[-1] < before:
                    yield found

    def _holding(self, value: str) -> list[int]:
        if len(value) < SHORT:
            return []
        known = self._found.get(value)
        if known is None:
            said, asked = list(self._said.holding(value)), next(self._asked.holding(value), None)
            # A message that was the first to say it, in a call, has it from nowhere.
            known = self._found[value] = said if asked is None or min(said, default=asked) < asked else []
        return known


class _Texts:
    """Texts with their places, as one text: the longer a conversation is, the more that saves."""

    def __init__(self, texts: Sequence[tuple[int, str]]) -> None:
        self._places = [place for place, _ in texts]
        self._begins = [0, *accumulate(len(text) + 1 for _, text in texts)]
        self._whole = "\n".join(text for _, text in texts)

    def holding(self, value: str) -> Iterator[int]:
        """The places of the texts that hold the value, in order."""
        found = self._whole.find(value)
        while found >= 0:
            number = bisect_right(self._begins, found) - 1
            yield self._places[number]
            found = self._whole.find(value, self._begins[number + 1])


def bare(text: str) -> str:
    """The letters and digits of a text alone."""
    return "".join(filter(str.isalnum, text.casefold()))


def _unescaped(text: str) -> str:
    """The text without what JSON escapes: whoever reads it as JSON sees the characters."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)) if found[1] else " ", text)


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _leaves(inner)
    elif value is not None and not isinstance(value, bool):
        yield text_of(value)


def _said_otherwise(text: str) -> bool:
    return bool(iso_date(text) or codes_of(text.lower()))
