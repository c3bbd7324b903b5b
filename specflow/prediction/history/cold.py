"""Calls of tools that nothing was learned of yet, by the names and the looks of their parameters."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Any

from specflow.effects.call import Call
from specflow.prediction.candidate import Candidate
from specflow.prediction.conversation import Conversation
from specflow.prediction.fit import fitting_call
from specflow.prediction.history.confidence import NAME
from specflow.prediction.known import Known
from specflow.prediction.predictor import HistoryItem, TurnContext
from specflow.prediction.recall import remembered_values
from specflow.prediction.shelf import Shelf
from specflow.prediction.suit import as_json
from specflow.prediction.tool_words import Slot, ToolWords
from specflow.prediction.vocabulary import Vocabulary
from specflow.prediction.words import letters, stem

PRIOR = 0.35
"""How likely a call is whose parameters such values suit in every way, and no other call's do as well."""
LEAST = 0.25
"""Calls that suit so much less well than that are not proposed."""
BREADTH = 2
"""Calls that are proposed so at most: they are guesses."""
SUITS = 1.5
"""Points that a value needs: the user has just said it, and called it as the parameter is called."""
_EACH = 3
"""Values that are tried for a parameter."""
_TRIED = 9
"""Calls of one tool that are looked at."""
_SURE = 4.0
"""Points from which a value could not suit a parameter better."""


@dataclass(frozen=True, slots=True)
class _Filled:
    """A value for a parameter and how well it suits, in (0, 1]."""

    data: Any
    worth: float
    text: str = ""
    records: tuple[int, ...] = ()


class ColdStart:
    """Proposes with a low probability. Keeps nothing but the conversations' indexes."""

    def __init__(self) -> None:
        self._shelf = Shelf()
        self._vocabulary: tuple[tuple[int, ...], Vocabulary] | None = None

    def candidates(
        self, context: TurnContext, known: Collection[str], early: Callable[[str], bool]
    ) -> list[Candidate]:
        """Calls of tools that `early` allows and that are not among those `known`, the likeliest first."""
        cold = [
            tool
            for tool in self._words(context).tools
            if tool.spec.name not in known
            and early(tool.spec.name)
            and any(slot.required for slot in tool.slots)
        ]
        if not cold or not context.history:
            return []
        talk = Conversation(context.history, self._shelf)
        said = _words_of(context.history)
        found: dict[Call, float] = {}
        for tool in cold:
            for call, worth in _calls(tool, talk, said):
                if call.fingerprint not in talk.made:
                    found[call] = max(worth, found.get(call, 0.0))
        if not found:
            return []
        ordered = sorted(found, key=lambda call: (-found[call], call.tool, call.args_json))
        # Of two that suit equally well each is half as likely.
        total = max(1.0, sum(worth for worth in found.values() if worth >= found[ordered[0]] / 2))
        return [
            Candidate(
                call=call,
                confidence=round(PRIOR * found[call] / total, 6),
                predictor=NAME,
                evidence="its parameters are called, and look, like what was said",
            )
            for call in ordered[:BREADTH]
            if found[call] / total >= LEAST
        ]

    def _words(self, context: TurnContext) -> Vocabulary:
        key = tuple(map(id, context.tools))
        if self._vocabulary is None or self._vocabulary[0] != key:
            self._vocabulary = key, Vocabulary(context.tools)
        return self._vocabulary[1]


def _words_of(history: Sequence[HistoryItem]) -> frozenset[str]:
    """The stems of what the user said last."""
    last = next((item.text for item in reversed(history) if item.role == "user"), "")
    return frozenset(stem(word) for word in letters(last[:4_000].lower()))


def _calls(tool: ToolWords, talk: Conversation, said: frozenset[str]) -> Iterator[tuple[Call, float]]:
    """Calls with every required parameter filled, and what speaks for each, in (0, 1]."""
    needed = [slot for slot in tool.slots if slot.required]
    filled = [list(islice(_values(tool, slot, talk, said), _EACH)) for slot in needed]
    # A tool that is talked about is likelier than one that is not.
    about = 1.0 if said.intersection(tool.objects) else 0.5
    for row in islice(product(*filled), _TRIED):
        texts = [one.text for one in row if one.text]
        if len(set(texts)) < len(texts):
            continue  # no value is two things at once
        call = fitting_call(
            tool.spec, {slot.name: one.data for slot, one in zip(needed, row, strict=True)}, tool.plain
        )
        if call is None:
            continue
        worth = about
        for one in row:
            worth *= one.worth
        apart = len(texts) > 1 and not set.intersection(*(set(one.records) for one in row if one.text))
        yield call, worth * 0.5 if apart else worth


def _values(tool: ToolWords, slot: Slot, talk: Conversation, said: frozenset[str]) -> Iterator[_Filled]:
    """Values for a parameter, the best first."""
    if "const" in slot.schema:
        yield _Filled(slot.schema["const"], 1.0)
    elif slot.enum:
        named = [item for item in slot.enum if isinstance(item, str) and _is_said(item, said)]
        # "basic economy" also says "economy".
        named = [item for item in named if not any(item in other for other in named if other != item)]
        for item in named or (slot.enum if len(slot.enum) == 1 else ()):
            yield _Filled(item, 1.0 / max(1, len(named)))
    else:
        ranked = sorted(remembered_values(tool, slot, talk, SUITS), key=lambda one: (-one[0], -one[1].order))
        for points, known in ranked:
            data = _data(slot, known, talk)
            if data is not None:
                records = tuple(map(id, known.records))
                yield _Filled(data, min(1.0, points / _SURE), known.text, records)


def _is_said(item: str, said: frozenset[str]) -> bool:
    words = {stem(word) for word in letters(item.lower())}
    return bool(words) and words <= said


def _data(slot: Slot, known: Known, talk: Conversation) -> Any:
    if slot.type != "string" and not isinstance(known.data, str):
        return known.data
    return as_json(slot, known.text, min(known.kinds, default=known.kind), talk)
