"""The values that a conversation has brought up so far: its messages, and this turn's sentences."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from itertools import islice

from specflow.prediction.dating import Calendar
from specflow.prediction.index import Index
from specflow.prediction.known import Known
from specflow.prediction.predictor import HistoryItem
from specflow.prediction.shelf import Indexed, Shelf
from specflow.prediction.tool_words import Slot
from specflow.prediction.values import Value, ValueKind
from specflow.prediction.words import Token

MAX_ITEMS = 80
"""Messages that are looked at at least, the last ones."""
BLOCK = 40
"""So many of the first are left out at a time, so that most turns go on from the index of the one before."""
KEPT_SENTENCES = 60
STRIDE = 8
"""Sentences of the history, or batches of a result's values, that are looked at for each piece of text."""


class Conversation:
    """The history of a turn, and every sentence of the turn that it is told.

    The history is looked at in steps (`advance`), and the rest of it once something is asked for; of the
    sentences not looked at by then the last sixty count. `shelf` has what earlier turns have looked at.
    """

    def __init__(self, history: Sequence[HistoryItem], shelf: Shelf | None = None) -> None:
        self._shelf = shelf
        self._unheard: deque[tuple[str, Sequence[Token], Sequence[Value] | None]] = deque(
            maxlen=KEPT_SENTENCES
        )
        self._past = Index(None, "")
        self._index = Index(None, "", self._past)
        self._work = self._indexing(history)
        self.behind = True
        """Whether some of the history is still to be looked at."""

    def hear(self, sentence: str, words: Sequence[Token] = (), values: Sequence[Value] | None = None) -> None:
        """Take in a sentence of this turn, with its tokens and values when these are known already."""
        self._unheard.append((sentence, words, values))

    def advance(self) -> None:
        """Look at a little more of the history, while there is time."""
        for _ in islice(self._work, STRIDE):
            pass

    @property
    def known(self) -> Mapping[str, Known]:
        """Every value that was brought up."""
        self._catch_up()
        return self._index.known

    @property
    def aliases(self) -> Mapping[str, str]:
        """Codes by the names that stand for them, in lower case."""
        self._catch_up()
        return self._index.aliases

    @property
    def made(self) -> Set[str]:
        """Fingerprints of the calls that have been answered."""
        self._finish()
        return self._index.made

    @property
    def year(self) -> int | None:
        """The year that dates without one are of."""
        self._finish()
        return self._index.year

    @property
    def today(self) -> str:
        """The day of the conversation where it was said, as ISO text."""
        self._finish()
        return self._index.today

    def scored(self, slot: Slot, least: float, score: Callable[[Known], float]) -> list[tuple[float, Known]]:
        """Every value to which `score` gives at least `least` points, in no order.

        `score` goes by the value and by `aliases`: of the history's values it is asked but once.
        """
        self._catch_up()
        if self._past.aliases == self._index.aliases:
            self._past.scored(slot, least, score, keep=True)
        return self._index.scored(slot, least, score, keep=False)

    def full_name(self, first: str) -> str:
        """The only full name so far that begins with a first name; else the first name alone."""
        known = self.known
        full = [name for name in known if name.startswith(first + " ")]
        return full[0] if len(full) == 1 and ValueKind.NAME in known[full[0]].kinds else first

    def was_said(self, text: str) -> bool:
        """Whether the user or the model brought this value up, in whatever spelling."""
        known = self.known.get(text)
        return known is not None and known.said

    def _finish(self) -> None:
        if self.behind:
            for _ in self._work:
                pass

    def _catch_up(self) -> None:
        self._finish()
        while self._unheard:
            text, words, values = self._unheard.popleft()
            self._index.sentence(text, words, values, this_turn=True)

    def _indexing(self, history: Sequence[HistoryItem]) -> Iterator[None]:
        first = max(0, len(history) - MAX_ITEMS) // BLOCK * BLOCK
        items = tuple(history[first:])
        before = self._shelf.longest(items) if self._shelf is not None else None
        done = len(before.items) if before else 0
        calendar = Calendar(before.calendar if before else None)
        for item in items[done:]:
            calendar.take(item)
            yield
        year, today = calendar.year, calendar.today
        if before is not None and (before.index.year, before.index.today) == (year, today):
            index = Index(year, today, before.index)
        else:
            index, done = Index(year, today), 0  # the same words are other dates now
        last_user = max((at for at, item in enumerate(items) if item.role == "user"), default=-1)
        if last_user >= done:
            index.forget_user()
        for at, item in enumerate(items[done:], start=done):
            yield from index.take(item, last_user=at == last_user)
        if self._shelf is not None and len(items) > done:
            self._shelf.put(Indexed(items, calendar, index), before)
        self._past, self._index = index, Index(year, today, index)
        self._index.next_message()
        self.behind = False
