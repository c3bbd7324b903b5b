"""What all tools together are called and talk about: which words tell one from another."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace

from specflow.effects.registry import ToolRegistry
from specflow.prediction.language import FAMILIES_OF, GENERIC, NEED
from specflow.prediction.tool_words import ToolWords, among, tool_words
from specflow.prediction.words import EASTERN, name_words, runs, stem

MAX_TOOLS = 256


class Vocabulary:
    """The words of all tools of a registry, at most 256 tools."""

    def __init__(self, registry: ToolRegistry) -> None:
        usable = [spec for spec in registry if not spec.injected][:MAX_TOOLS]
        tools = [tool_words(spec) for spec in usable]
        verbs = frozenset(verb for tool in tools for verb in tool.verbs)
        # Verbs that no word list knows; of the known ones the exact form tells announcing from reporting.
        self.verb_stems = verbs - _LISTED_STEMS
        self.verb_words = (
            frozenset(word for spec in usable for word in name_words(spec.name) if stem(word) in verbs)
            - FAMILIES_OF.keys()
        )
        called = frozenset(word for tool in tools for slot in tool.slots if slot.is_id for word in slot.words)
        called -= verbs  # "book TP351" is no booking's number
        self.tools = tuple(
            replace(
                tool,
                slots=tuple(among(tool, slot, called) for slot in tool.slots),
            )
            for tool in tools
        )
        # A tool called `search` is not meant wherever the word is used.
        self.literals = {
            tool.spec.name.lower(): tool
            for tool in self.tools
            if not (tool.spec.name.isalpha() and tool.spec.name.islower())
        }
        self.literal_runs = frozenset(map(_telling, self.literals))
        self.fewest = min(
            (tool.fewest for tool in self.tools if tool.reads),
            default=0,
        )
        """Values that a sentence needs at least before any read's arguments can all be in it."""
        self._acts = FAMILIES_OF.keys() | self.verb_words | self.literal_runs | NEED.words
        self.by_name = {tool.spec.name: tool for tool in self.tools}
        self.by_verb: dict[str, list[ToolWords]] = {}
        for tool in self.tools:
            for verb in tool.verbs:
                self.by_verb.setdefault(verb, []).append(tool)
        counts: dict[tuple[bool, str], int] = {}
        for tool in self.tools:
            for word in set(tool.objects):
                counts[tool.reads, word] = counts.get((tool.reads, word), 0) + 1
        self._by_word: dict[str, list[ToolWords]] = {}
        for tool in self.tools:
            for word in tool.objects or tool.verbs:
                self._by_word.setdefault(word, []).append(tool)
        # How telling an object word is among tools of the same kind; generic words count little.
        self._weights = {
            tool.spec.name: {
                word: (0.4 if word in _GENERIC_STEMS else 1.0) / counts[tool.reads, word]
                for word in tool.objects
            }
            for tool in self.tools
        }

        self._whole = {name: sum(weights.values()) for name, weights in self._weights.items()}
        self.telling = frozenset(self._by_word).union(
            *({*tool.objects, *tool.verbs, *tool.described} for tool in self.tools)
        )
        """The stems by which tools are told apart; no others make a difference."""

    def may_act(self, heard: Set[str]) -> bool:
        """False when a sentence of these words (`runs`) can have no verb that any tool answers to."""
        if not self._acts.isdisjoint(heard):
            return True
        return bool(self.verb_stems) and not self.verb_stems.isdisjoint(map(stem, heard))

    def touched(self, heard: frozenset[str]) -> list[ToolWords]:
        """The tools that at least one heard word is about, in registration order."""
        near = {tool.spec.name for word in heard & self._by_word.keys() for tool in self._by_word[word]}
        return [tool for tool in self.tools if tool.spec.name in near] if near else []

    def coverage(self, tool: ToolWords, heard: frozenset[str]) -> float:
        """Which share of the tool's object words was heard, by weight, in [0, 1]."""
        weights = self._weights[tool.spec.name]
        if not weights:
            return 0.6 if tool.verbs & heard else 0.0
        return sum(weights[word] for word in weights if word in heard) / self._whole[tool.spec.name]


def _telling(name: str) -> str:
    """What `runs` will have of any text with the name."""
    parts = runs(name) or [name]
    return EASTERN if EASTERN in parts else max(parts, key=len)


_LISTED_STEMS = frozenset(map(stem, FAMILIES_OF))
_GENERIC_STEMS = frozenset(stem(word) for word in GENERIC)
