"""The sentence under way, read once: each look at it takes up only what is new, and only what it needs."""

from __future__ import annotations

from specflow.prediction.clause import Sentence
from specflow.prediction.values import count_promising
from specflow.prediction.words import Token, lowered, runs, tokens


class Reading:
    """A sentence as it is read: `low` in lower case and its words `heard` once it was listened to (`listen`),
    its tokens `words` once it was `read`.
    """

    __slots__ = (
        "_counted",
        "_end",
        "_looked",
        "_number",
        "_promising",
        "_reach",
        "_taken",
        "heard",
        "low",
        "text",
        "words",
    )

    def __init__(self) -> None:
        self._begin(-1)

    def _begin(self, number: int) -> None:
        self._number = number
        self._reach = 0
        self._taken = 0
        self._end = 0
        self._counted = 0
        self._promising = 0
        self._looked = -1
        self.text = ""
        self.low = ""
        self.heard: set[str] = set()
        self.words: list[Token] = []

    def take(self, sentence: Sentence) -> None:
        """Take up a sentence, or more of the one taken up last."""
        # One that was cut by force may end before its last look did.
        if sentence.number != self._number or len(sentence.text) < self._reach:
            self._begin(sentence.number)
        self.text = sentence.text
        self._reach = len(sentence.text)

    def listen(self) -> None:
        """Bring `low` and `heard` up to the text."""
        self.low = lowered(self.text)
        # A look ends where a word ends, so that none is seen in halves.
        self.heard.update(runs(self.low, self._taken))
        self._taken = len(self.low)

    def promising(self) -> int:
        """How many values there may be in the text at most."""
        if self._counted < len(self.text):
            self._promising += count_promising(self.text, self._counted)
            self._counted = len(self.text)
        return self._promising

    def promises(self, fewest: int) -> bool:
        """Whether there may be `fewest` values in the text, and more than when it was last `looked` at."""
        return self.promising() >= fewest and self._promising > self._looked

    def looked(self) -> None:
        """The text was looked at as it is now."""
        self._looked = self.promising()

    def may_list(self) -> bool:
        """Whether the text may have arguments in it, named or not."""
        return ":" in self.low or "=" in self.low or self.promising() > 0

    def read(self) -> None:
        """Bring `words` up to the text."""
        if self._end < len(self.text):
            self.words.extend(tokens(self.text, self._end))
            self._end = len(self.text)
