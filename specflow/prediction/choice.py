"""Which tools an announcement may mean, by its verb and its words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from specflow.prediction.language import READING
from specflow.prediction.stance import Intent
from specflow.prediction.tool_words import ToolWords
from specflow.prediction.trigger_lessons import phrases_of
from specflow.prediction.triggers import Triggers
from specflow.prediction.vocabulary import Vocabulary
from specflow.prediction.words import Token, name_words, stem

MIN_COVERAGE = 0.34
WRITE_COVERAGE = 0.6
MAX_TOOLS = 4
MOST_KEPT = 2_000
"""Announcements of which it is remembered what their words mean."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A tool that a sentence may mean, and how well its words cover the tool's.

    `by_verb`: only its verb was heard; then every argument must be in the sentence. `learned`: none of its
    words was heard, but a phrase after which it was called before.
    """

    tool: ToolWords
    score: float
    coverage: float
    by_verb: bool = False
    learned: bool = False


_Said = tuple[str, frozenset[str], frozenset[str]]
_kept: WeakKeyDictionary[Vocabulary, dict[_Said, tuple[Choice, ...]]] = WeakKeyDictionary()
# By vocabulary: the words of announcements that tell tools apart are few, and the same ones come again.


def heard_words(words: Sequence[Token], first: int, last: int) -> set[str]:
    """The stems between two tokens; hyphened words also as one ("one-stop" is `onestop`)."""
    heard: set[str] = set()
    for token in words[first : last + 1]:
        if token.text.isalpha() and token.text.islower() and token.text.isascii():
            heard.add(stem(token.text))
        elif not token.sign:
            parts = name_words(token.text)
            heard.update(map(stem, parts))
            if len(parts) > 1:
                heard.add(stem("".join(parts)))
    return heard


def choose_tools(
    intent: Intent, words: Sequence[Token], vocabulary: Vocabulary, triggers: Triggers | None = None
) -> list[Choice]:
    """The tools an announcement may mean, best first; one alone when its name was written out.

    What `triggers` have learned is asked last, and of reads alone.
    """
    if intent.literal is not None:
        return [Choice(intent.literal, 2.0, 1.0)]
    said = vocabulary.telling & heard_words(words, intent.first, intent.last)
    key = stem(intent.verb), intent.families, said
    kept = _kept.get(vocabulary)
    if kept is None:
        kept = _kept[vocabulary] = {}
    chosen = kept.get(key)
    if chosen is None:
        if len(kept) >= MOST_KEPT:
            kept.clear()
        chosen = kept[key] = tuple(_by_words(*key, vocabulary))
    found = list(chosen)
    if triggers is not None:
        _add_learned(found, intent, words, vocabulary, triggers)
    return found[:MAX_TOOLS]


def _by_words(
    verb: str, families: frozenset[str], heard: frozenset[str], vocabulary: Vocabulary
) -> list[Choice]:
    found: list[Choice] = []
    for tool in vocabulary.touched(heard):
        shared = families & tool.families
        if not (
            shared or verb in tool.verbs or verb in tool.objects or (not tool.families and families & READING)
        ):
            continue
        coverage = vocabulary.coverage(tool, heard)
        if coverage < MIN_COVERAGE:
            continue
        bonus = 0.15 if verb in tool.verbs else 0.1 if shared - {"read"} else 0.0
        found.append(Choice(tool, coverage + bonus + min(0.2, 0.04 * len(tool.described & heard)), coverage))
    found.sort(key=lambda choice: -choice.score)
    named = [tool for tool in vocabulary.by_verb.get(verb, ()) if tool.families & families]
    unsaid = [tool for tool in named if all(choice.tool is not tool for choice in found)]
    found.extend(
        Choice(tool, 0.3, WRITE_COVERAGE if len(named) == 1 else 0.35, by_verb=True) for tool in unsaid
    )
    return found


def _surely_reads(tool: ToolWords) -> bool:
    """Whether it is declared to read, or has a verb of reading: not knowing what it does is not enough."""
    annotation = tool.spec.annotation
    declared = annotation is not None and annotation.effect is not None
    return tool.reads and (declared or bool(tool.families & READING))


def _add_learned(
    found: list[Choice],
    intent: Intent,
    words: Sequence[Token],
    vocabulary: Vocabulary,
    triggers: Triggers,
) -> None:
    """Tools whose own words were not heard, and that were called after such words before."""
    meant = triggers.meant(phrases_of(words, intent.first, intent.last))
    for name, trigger in sorted(meant.items(), key=lambda entry: -entry[1].share):
        tool = vocabulary.by_name.get(name)
        if tool is None or not _surely_reads(tool):
            continue
        if all(choice.tool is not tool or choice.by_verb for choice in found):
            found[:] = [choice for choice in found if choice.tool is not tool]
            found.append(Choice(tool, 0.4 * trigger.share, trigger.share, learned=True))
