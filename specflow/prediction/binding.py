"""Fills a tool's parameters from the sentence that announces the call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from specflow.prediction.conversation import Conversation
from specflow.prediction.language import ROLE_OF
from specflow.prediction.suit import as_json, keyed, looks
from specflow.prediction.values import Value, ValueKind, spelled
from specflow.prediction.vocabulary import Slot, ToolWords
from specflow.prediction.words import Token, name_words

EXPLICIT = 1.5
MAX_VARIANTS = 4
_QUERY_END = frozenset(
    ["so", "because", "since", "before", "which", "while", "using", "via", "then", "to", "by", "please"]
)


@dataclass(slots=True)
class Bound:
    """Arguments found for one call. `doubt` multiplies the confidence, in (0, 1]."""

    args: dict[str, Any] = field(default_factory=dict)
    explicit: set[str] = field(default_factory=set)
    doubt: float = 1.0
    tainted: bool = False
    values: dict[str, int] = field(default_factory=dict)
    others: list[Bound] = field(default_factory=list)

    def copy(self) -> Bound:
        return Bound(dict(self.args), set(self.explicit), self.doubt, self.tainted, dict(self.values))


def bind_explicit(
    tool: ToolWords,
    values: Sequence[Value],
    words: Sequence[Token],
    talk: Conversation,
    *,
    first: int,
    last: int,
) -> list[Bound]:
    """What the sentence itself fills, as one or several variants ("details of A1 and B2" are two calls)."""
    scored = [
        (score, -at, slot, value)
        for at, value in enumerate(values)
        for slot in tool.slots
        if (
            score := _explicit_score(tool, slot, value, talk)
            - (0.6 if not first <= value.first <= last else 0)
        )
        >= EXPLICIT
    ]
    scored.sort(key=lambda entry: (-entry[0], -entry[1], entry[2].name))
    bound, used = Bound(), set[int]()
    for _, at, slot, value in scored:
        if -at in used or (slot.name in bound.args and not slot.many):
            continue
        data = as_json(slot, value.text, value.kind, talk)
        if data is None:
            continue
        used.add(-at)
        bound.explicit.add(slot.name)
        bound.values[slot.name] = value.last
        if slot.many:
            bound.args.setdefault(slot.name, []).append(data)
        else:
            bound.args[slot.name] = data
            if not value.said_year:
                bound.doubt *= 0.95
    _enums(tool, words, first, last, bound)
    _query(tool, words, first, last, bound)
    return [bound, *_variants(tool, scored, used, bound, talk)]


def _variants(
    tool: ToolWords,
    scored: Sequence[tuple[float, int, Slot, Value]],
    used: set[int],
    bound: Bound,
    talk: Conversation,
) -> list[Bound]:
    """More values for the only identifier of a call mean more calls."""
    needed = [slot for slot in tool.slots if slot.required]
    if (
        len(needed) != 1
        or needed[0].many
        or needed[0].name not in bound.args
        or not (needed[0].is_id or needed[0].is_name)
    ):
        return []
    found: list[Bound] = []
    rest = sorted((-at, value) for _, at, slot, value in scored if slot is needed[0] and -at not in used)
    for _, value in rest:
        data = as_json(needed[0], value.text, value.kind, talk)
        if data is not None and data != bound.args[needed[0].name] and len(found) < MAX_VARIANTS - 1:
            other = bound.copy()
            other.args[needed[0].name] = data
            found.append(other)
    return found


def _explicit_score(tool: ToolWords, slot: Slot, value: Value, talk: Conversation) -> float:
    look = looks(slot, value.text, value.kind, talk)
    if look is None:
        return -9.0
    score = look + _cue_score(tool, slot, value)
    known = talk.known.get(value.text)
    if known is not None and known.keys and value.kind in {ValueKind.IDENTIFIER, ValueKind.NUMBER}:
        score += keyed(slot, known)
    return score


def _cue_score(tool: ToolWords, slot: Slot, value: Value) -> float:
    score = 0.0
    if value.key and value.key in {slot.name.lower(), slot.name.lower().replace("_", "")}:
        return 4.0
    near = set(value.before[:3])
    if slot.words & near:
        score += 1.5
    elif any(
        other.words & near for other in tool.slots if other is not slot and not other.words & slot.words
    ):
        score -= 1.5
    elif value.beside in slot.rivals:
        score -= 2.5
    if value.after and value.after in slot.words:
        score += 1.0
    if value.role and slot.role:
        if value.role == slot.role:
            score += 2.0
        elif {value.role, slot.role} == {"in", "for"}:
            score += 1.0
        elif {value.role, slot.role} == {"from", "to"}:
            score -= 3.0
    return score


def _enums(tool: ToolWords, words: Sequence[Token], first: int, last: int, bound: Bound) -> None:
    heard = " " + " ".join(part for token in words[first : last + 1] for part in name_words(token.text)) + " "
    for slot in tool.slots:
        if slot.name in bound.args or not slot.enum:
            continue
        named = [
            item
            for item in slot.enum
            if isinstance(item, str) and " " + " ".join(name_words(item)) + " " in heard
        ]
        # "basic economy" also says "economy": the longest name that was said is the one.
        named.sort(key=len, reverse=True)
        if named and all(item in named[0] or item == named[0] for item in named[1:]) and len(named[0]) > 2:
            bound.args[slot.name] = named[0]
            bound.explicit.add(slot.name)
        elif slot.required and len(slot.enum) == 1:
            bound.args[slot.name] = slot.enum[0]


def _query(tool: ToolWords, words: Sequence[Token], first: int, last: int, bound: Bound) -> None:
    """Free words for a search: what follows "for" or "about", up to a sign or the next clause."""
    slot = next((slot for slot in tool.slots if slot.is_query and slot.required), None)
    if slot is None or slot.type != "string" or not tool.reads:
        return
    start = next((at + 1 for at in range(first, last) if ROLE_OF.get(words[at].low) == "for"), None)
    if start is None:
        return
    end = start
    while end <= last and not words[end].sign and words[end].low not in _QUERY_END and end - start < 12:
        end += 1
    taken = [at for name, at in bound.values.items() if name != slot.name and start <= at < end]
    if end == start or taken:
        return
    text = spelled(words[start:end])
    if bound.args.get(slot.name) is None or len(str(bound.args[slot.name])) < len(text):
        bound.args[slot.name] = text
        bound.explicit.add(slot.name)
        bound.doubt *= 0.6
