"""Fills a tool's parameters from the sentence that announces the call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from specflow.prediction.conversation import Conversation
from specflow.prediction.language import ROLE_OF
from specflow.prediction.suit import as_json, keyed, looks
from specflow.prediction.tool_words import Slot, ToolWords
from specflow.prediction.values import Value, ValueKind, spelled
from specflow.prediction.words import Token, name_words

EXPLICIT = 1.5
MAX_VARIANTS = 4
_ALONE = frozenset({ValueKind.NUMBER, ValueKind.QUOTED})
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
        if value.kind in slot.takes
        and (score := _explicit_score(slot, value, talk) - (0.6 if not first <= value.first <= last else 0))
        >= EXPLICIT
    ]
    if len(scored) > 1:
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


def _explicit_score(slot: Slot, value: Value, talk: Conversation) -> float:
    look = looks(slot, value.text, value.kind, talk)
    if look is None:
        return -9.0
    score = look + _cue_score(slot, value)
    if value.kind is ValueKind.IDENTIFIER or value.kind is ValueKind.NUMBER:
        known = talk.known.get(value.text)
        if known is not None and known.keys:
            score += keyed(slot, known)
    return score


def _cue_score(slot: Slot, value: Value) -> float:
    cues = value.cues
    if cues.key and cues.key in {slot.name.lower(), slot.name.lower().replace("_", "")}:
        return 4.0
    score = _role_score(cues.role, slot.role) if cues.role and slot.role else 0.0
    if slot.alone and value.kind in _ALONE:
        score += 0.6
    if cues.after and cues.after in slot.words:
        # "6 replicas", whatever stands in front
        return score + (1.5 if slot.words.isdisjoint(cues.near) else 2.5)
    if not slot.words.isdisjoint(cues.near):
        return score + 1.5
    if not slot.others.isdisjoint(cues.near):
        return score - 1.5
    return score - 2.5 if cues.beside in slot.rivals else score


def _role_score(role: str, wanted: str) -> float:
    """Points for the preposition in front of a value, where the parameter suits one, too."""
    if role == wanted:
        return 2.0
    pair = {role, wanted}
    return 1.0 if pair == {"in", "for"} else -3.0 if pair == {"from", "to"} else 0.0


def _enums(tool: ToolWords, words: Sequence[Token], first: int, last: int, bound: Bound) -> None:
    slots = [slot for slot in tool.slots if slot.enum and slot.name not in bound.args]
    if not slots:
        return
    parts = [(part, at) for at in range(first, last + 1) for part in name_words(words[at].text)]
    for slot in slots:
        named = {
            item: roles
            for item in slot.enum
            if isinstance(item, str) and (roles := _roles_of(name_words(item), parts, words))
        }
        item = _chosen(slot, named)
        if item is not None and not (slot.role in {"from", "to"} and item in bound.args.values()):
            bound.args[slot.name] = item
            bound.explicit.add(slot.name)
        elif slot.required and len(slot.enum) == 1:
            bound.args[slot.name] = slot.enum[0]


def _roles_of(item: tuple[str, ...], parts: Sequence[tuple[str, int]], words: Sequence[Token]) -> set[str]:
    """The prepositions in front of an enumerated value wherever it was said; empty text for none."""
    return {
        ROLE_OF.get(words[at - 1].low, "") if at else ""
        for start, (part, at) in enumerate(parts)
        if item and part == item[0] and tuple(part for part, _ in parts[start : start + len(item)]) == item
    }


def _chosen(slot: Slot, named: Mapping[str, set[str]]) -> str | None:
    if len(named) > 1 and slot.role in {"from", "to"}:
        said = [item for item, roles in named.items() if slot.role in roles]
        # "250 EUR to NOK": the one that nothing is said about is where it comes from.
        rest = [item for item, roles in named.items() if not {"from", "to"} & roles]
        if len(said or rest) == 1:
            return (said or rest)[0]
    # "basic economy" also says "economy": the longest name that was said is the one.
    longest = max(named, key=len, default="")
    clear = all(item in longest for item in named)
    return longest if clear and (len(longest) > 2 or any(map(str.isdigit, longest))) else None


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
