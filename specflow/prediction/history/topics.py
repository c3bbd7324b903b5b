"""What tools are about, by the words of their names: which of these words were said, and when.

People say once what they want, and then only answer questions. So what was ever said counts, and not only the
last message; but of all words only those by which tools are called, since there are few of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from functools import lru_cache

from specflow.prediction.words import name_words, stem

Topics = Mapping[str, Mapping[str, float]]
"""By the stem of a word: the tools whose names have it, each with what it is worth."""

NO_TOPICS: Topics = {}
UNNAMED = (0, 0)
SHORTEST = 3
"""Letters of a word that tells something."""


def topics_of(names: Iterable[str]) -> Topics:
    """The topics of the tools of these names; a word is worth less the more of them have it."""
    return _topics(frozenset(names))


@lru_cache(maxsize=64)
def _topics(names: frozenset[str]) -> Topics:
    found: dict[str, list[str]] = {}
    for name in sorted(names):
        for word in sorted({stem(word) for word in name_words(name) if len(word) >= SHORTEST}):
            found.setdefault(word, []).append(name)
    return {word: dict.fromkeys(tools, 1.0 / len(tools)) for word, tools in found.items()}


class HeardTopics:
    """Which words of the topics were said. Nothing is changed in place: a shallow copy goes its own way."""

    __slots__ = ("_model", "_named", "_now", "_topics", "_words", "ever")

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self._words = frozenset(topics)
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
            self._named = {tool: (now.get(tool, 0), model.get(tool, 0)) for tool in now.keys() | model.keys()}
        return self._named.get(tool, UNNAMED)

    def _ranks(self, said: Set[str]) -> dict[str, int]:
        """1 or 2, of the tools of which some word was said."""
        points: dict[str, float] = {}
        for word in said:
            for tool, worth in self._topics[word].items():
                points[tool] = points.get(tool, 0.0) + worth
        # Sums of the same numbers in another order are meant to be equal.
        rounded = {tool: round(its, 6) for tool, its in points.items()}
        best = max(rounded.values(), default=0.0)
        return {tool: 2 if its == best else 1 for tool, its in rounded.items()}
