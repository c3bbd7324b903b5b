"""Conversations that have been indexed, kept so that their next turn need only look at what is new."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from specflow.prediction.dating import Calendar
from specflow.prediction.index import Index
from specflow.prediction.predictor import HistoryItem

MOST = 32
"""Conversations that are kept; the one not heard of for longest goes first."""
MOST_WEIGHT = 20_000
"""Values of all of them together, and thousands of characters; each is about a kilobyte."""


@dataclass(frozen=True, slots=True)
class Indexed:
    """Some messages, with what they have brought up. Nobody changes it."""

    items: tuple[HistoryItem, ...]
    calendar: Calendar
    index: Index

    @property
    def weight(self) -> int:
        """What it takes, in kilobytes or so. Messages that others hold, too, are counted all the same."""
        text = sum(len(item.text) + len(item.call.result if item.call else "") for item in self.items)
        return len(self.index.known) + text // 1_000


class Shelf:
    """What is found on it is of the very same messages: another conversation's values never are."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, Indexed] = OrderedDict()
        self._before: dict[int, int] = {}
        self._weights: dict[int, int] = {}
        self._numbers = count()

    def longest(self, items: Sequence[HistoryItem]) -> Indexed | None:
        """The one with the most messages that `items` begins with."""
        with self._lock:
            kept = sorted(self._kept.items(), key=lambda entry: -len(entry[1].items))
        for number, one in kept:
            many = len(one.items)
            # From the end: that is where conversations differ.
            if many <= len(items) and all(one.items[at] == items[at] for at in range(many - 1, -1, -1)):
                with self._lock:
                    if number in self._kept:
                        self._kept.move_to_end(number)
                return one
        return None

    def put(self, one: Indexed, before: Indexed | None) -> None:
        """Keep one that goes on from `before`, which others may do, too; what came before that goes."""
        with self._lock:
            number = next(self._numbers)
            self._kept[number] = one
            self._weights[number] = one.weight
            parent = next((known for known, kept in self._kept.items() if kept is before), None)
            if parent is not None:
                self._drop(self._before.get(parent))
                self._before[number] = parent
            while len(self._kept) > MOST or sum(self._weights.values()) > MOST_WEIGHT:
                self._drop(next(iter(self._kept)))

    def _drop(self, number: int | None) -> None:
        if number is not None:
            self._kept.pop(number, None)
            self._before.pop(number, None)
            self._weights.pop(number, None)
