"""How trigger phrases are learned: the words of announcements, set against the call that followed them."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from specflow.prediction.predictor import HistoryItem
from specflow.prediction.stance import Intent, Stance
from specflow.prediction.triggers import REPLY, Triggers
from specflow.prediction.words import Token, letters, stem, tokens, word_set

MOST_TURNS = 64
"""Turns whose outcome is waited for."""
MOST_PHRASES = 64
"""Phrases of one turn."""
MOST_WORDS = 100_000
"""Words that a conversation's tools may have returned; more teach nothing."""
_SHORTEST, _LONGEST = 3, 24
_EMPTY = frozenset(
    map(
        stem,
        word_set("""
the and for with this that these those them then now will can could would should must need have has are was
were you your our their his her its let also first next just from into about over before after since because
which what when where who how any all some one here there not but out way
"""),
    )
)
_QUOTED = re.compile('["\u201c\u201e\u00ab\u300c`]([^"\u201d\u00bb\u300d`\n]{1,200})')
_QUOTES = frozenset('"“”„«»「」`')


def plain(token: Token) -> bool:
    """Whether a token is a word and nothing else: small letters, neither too short nor too long."""
    text = token.text
    return text.isalpha() and text.islower() and _SHORTEST <= len(text) <= _LONGEST


def phrases_of(words: Sequence[Token], first: int, last: int) -> dict[str, tuple[str, ...]]:
    """The phrases between two tokens, with the words that each is made of.

    One is the stem of a word, or of two neighbours. Where anything is quoted there are none.
    """
    span = words[first : last + 1]
    if any(token.text in _QUOTES for token in span):
        return {}
    found: dict[str, tuple[str, ...]] = {}
    before: Token | None = None
    for token in span:
        stemmed = stem(token.low) if plain(token) else ""
        if not stemmed or stemmed in _EMPTY:
            before = None
            continue
        found[stemmed] = (token.low,)
        if before is not None:
            found[f"{stem(before.low)} {stemmed}"] = (before.low, token.low)
        before = token
    return found


def words_of(history: Iterable[HistoryItem]) -> Iterator[str]:
    """Every word, in lower case, that is one of a value or may be: all that a tool was given or has returned,
    and of what was said what is quoted, begins with a capital, or is more than a word of letters.
    """
    for item in history:
        if item.call is not None:
            for text in (*map(str, item.call.args.values()), item.call.result):
                yield from letters(text.lower())
        elif item.role != "system":
            for quoted in _QUOTED.findall(item.text):
                yield from letters(quoted.lower())
            for token in tokens(item.text):
                if not (token.text.isalpha() and token.text.islower()):
                    yield from letters(token.low)


@dataclass(slots=True)
class TurnLesson:
    """What one turn's announcements `said`; `values` are the words of the conversation that teach nothing."""

    conversation: int
    said: dict[str, tuple[str, ...]] = field(default_factory=dict)
    values: set[str] = field(default_factory=set)

    def heard(self, words: Sequence[Token], intents: Iterable[Intent]) -> None:
        """A sentence announced something."""
        for intent in intents:
            if intent.stance is Stance.WANTED and len(self.said) < MOST_PHRASES:
                self.said.update(phrases_of(words, intent.first, intent.last))

    def phrases(self) -> list[str]:
        """Those that teach something: none that has a word of the conversation's values."""
        if len(self.values) > MOST_WORDS:
            return []
        return [phrase for phrase, words in self.said.items() if self.values.isdisjoint(words)]


class TriggerLessons:
    """Follows each conversation from turn to turn. Safe from several threads."""

    def __init__(self, triggers: Triggers) -> None:
        self.triggers = triggers
        self._lock = threading.Lock()
        self._waiting: OrderedDict[int, TurnLesson] = OrderedDict()

    def begin(self, history: Sequence[HistoryItem]) -> TurnLesson:
        """A turn begins: whatever turn of the conversation waited for its outcome is learned from."""
        prints, first = _fingerprints(history)
        with self._lock:
            at = next((at for at in range(len(prints) - 1, -1, -1) if prints[at] in self._waiting), 0)
            before = self._waiting.get(prints[at])
            new = history[at:]
            tool = _outcome(new) if before is not None else None
            lesson = TurnLesson(first)
            if before is not None:
                lesson.values = before.values
            if len(lesson.values) <= MOST_WORDS:
                lesson.values.update(words_of(new))
            if before is not None and tool is not None:
                del self._waiting[prints[at]]
                self.triggers.learn(before.phrases(), tool, before.conversation)
            self._waiting[prints[-1]] = lesson
            self._waiting.move_to_end(prints[-1])
            while len(self._waiting) > MOST_TURNS:
                self._waiting.popitem(last=False)
        return lesson


def _outcome(new: Sequence[HistoryItem]) -> str | None:
    """The tool that the model called first; `REPLY` where the user spoke before it called any."""
    for item in new:
        if item.call is not None:
            return item.call.tool
        if item.role == "user":
            return REPLY
    return None


def _fingerprints(history: Sequence[HistoryItem]) -> tuple[list[int], int]:
    """For each number of messages a number for the conversation so far; and one for how it began."""
    found, first = [hash("")], 0
    for item in history:
        found.append(hash((found[-1], item.role, item.text, item.call.tool if item.call else "")))
        if not first and item.role == "user":
            first = found[-1]
    return found, first or found[-1]
