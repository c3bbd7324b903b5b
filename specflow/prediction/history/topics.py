"""What tools are about, by the words of their names: which of these words were said, and when.

People say once what they want, and then only answer questions. So what was ever said counts, and not only the
last message; but of all words only those by which tools are called, since there are few of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Set
from functools import lru_cache

from specflow.prediction.words import name_words, stem

Topics = Mapping[str, Mapping[str, float]]
"""By tool: the stems of the words of its name, each with what it is worth."""

NO_TOPICS: Topics = {}
UNNAMED = (0, 0)
SHORTEST = 3
"""Letters of a word that tells something."""


def topics_of(names: Iterable[str]) -> Topics:
    """The topics of the tools of these names; a word is worth less the more of them have it."""
    return _topics(frozenset(names))


@lru_cache(maxsize=64)
def _topics(names: frozenset[str]) -> Topics:
    stems = {
        name: sorted({stem(word) for word in name_words(name) if len(word) >= SHORTEST}) for name in names
    }
    shared = Counter(word for its in stems.values() for word in its)
    return {name: {word: 1.0 / shared[word] for word in its} for name, its in stems.items()}


class HeardTopics:
    """Which words of the topics were said. Nothing is changed in place: a shallow copy goes its own way."""

    __slots__ = ("_model", "_named", "_now", "_topics", "_words", "ever")

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self._words = frozenset(word for its in topics.values() for word in its)
        self._now = self._model = self.ever = frozenset[str]()
        self._named: dict[str, tuple[int, int]] | None = None

    def user(self, words: Iterable[str]) -> None:
        """The user said these words."""
        self._now = self._words.intersection(map(stem, words))
        self.ever |= self._now
        self._named = None

    def model(self, words: Iterable[str]) -> None:
        """The model said these."""
        self._model = self._words.intersection(map(stem, words))
        self._named = None

    def named(self, tool: str) -> tuple[int, int]:
        """Whether the words of the tool's name are in the user's last message, and in the model's: 0 none of
        them, 1 some, 2 more than those of any other tool.
        """
        if self._named is None:
            now, model = self._ranks(self._now), self._ranks(self._model)
            self._named = {name: (now[name], model[name]) for name in self._topics}
        return self._named.get(tool, UNNAMED)

    def _ranks(self, said: Set[str]) -> dict[str, int]:
        points = {
            # Sums of the same numbers in another order are meant to be equal.
            name: round(sum([worth for word, worth in its.items() if word in said]), 6)
            for name, its in self._topics.items()
        }
        best = max(points.values(), default=0.0)
        return {name: 0 if not its else 2 if its == best else 1 for name, its in points.items()}
