"""What a parameter takes is what its looks may suit, and what tools are told apart by decides alone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.prediction import choice
from specflow.prediction.choice import choose_tools
from specflow.prediction.conversation import Conversation
from specflow.prediction.stance import find_intents
from specflow.prediction.suit import _looks_of_text, looks
from specflow.prediction.tool_words import Slot
from specflow.prediction.values import ValueKind
from specflow.prediction.vocabulary import Vocabulary
from specflow.prediction.words import lowered, runs, tokens

sys.path.insert(0, str(Path(__file__).parent))
from labelled_set import cases

NAMES = st.sampled_from(
    ["order_id", "date", "city", "query", "path", "time", "note", "amount", "flight_number"]
)
SCHEMAS = st.fixed_dictionaries(
    {"type": st.sampled_from(["string", "integer", "number", "boolean", "array", "object"])},
    optional={
        "format": st.sampled_from(["date", "uri"]),
        "enum": st.just(["a", "b"]),
        "pattern": st.just("^[a-z]+$"),
        "items": st.just({"type": "string"}),
        "description": st.sampled_from(
            ["Such as 'A-10432'.", "e.g. OSL", "Like `x/y.py`", "YYYY-MM-DD", "12:30"]
        ),
        "examples": st.sampled_from([["SK101"], [""], ["12:30"], ["ada"]]),
    },
)
TEXT_KINDS = sorted(set(ValueKind) - {ValueKind.DATE, ValueKind.NAME})


def slot_of(name: str, schema: dict[str, Any]) -> Slot:
    parameters = {"type": "object", "properties": {name: schema}, "required": [name]}
    registry = ToolRegistry([ToolSpec(name="get_thing", description="Gets it.", parameters=parameters)])
    return Vocabulary(registry).tools[0].slots[0]


@settings(max_examples=300, deadline=None)
@given(NAMES, SCHEMAS)
def test_a_kind_is_taken_if_any_value_of_it_may_suit(name: str, schema: dict[str, Any]) -> None:
    slot = slot_of(name, schema)
    if slot.is_date or slot.enum or slot.type not in {"string", "array"}:
        numeric = slot.type in {"integer", "number"}
        assert slot.takes == ({ValueKind.DATE} if slot.is_date else {ValueKind.NUMBER} if numeric else set())
        return
    for kind in TEXT_KINDS:
        fitting = (False, True) if slot.shapes else (False,)
        suits = [_looks_of_text(slot, text, kind, fits=fits) for text in ("a.b", "a/b") for fits in fitting]
        assert (kind in slot.takes) is any(points is not None for points in suits)


@settings(max_examples=200, deadline=None)
@given(
    NAMES,
    SCHEMAS,
    st.sampled_from(ValueKind),
    st.sampled_from(["Oslo", "A-1", "OSL", "12", "2026-01-01", "x"]),
)
def test_looks_never_break(name: str, schema: dict[str, Any], kind: ValueKind, text: str) -> None:
    slot = slot_of(name, schema)
    points = looks(slot, text, kind, Conversation([]))
    assert points is None or (kind in slot.takes and -2.5 <= points <= 3.5)


def test_what_was_remembered_of_an_announcement_is_what_it_means(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "MOST_KEPT", 3)
    one = {id(case.tools): Vocabulary(case.tools) for case in cases()}
    chosen = 0
    for case in cases():
        low, words = lowered(case.text), tokens(case.text)
        for intent in find_intents(low, set(runs(low)), words, one[id(case.tools)]):
            fresh = choose_tools(intent, words, Vocabulary(case.tools))
            for _ in range(2):
                found = choose_tools(intent, words, one[id(case.tools)])
                assert [(c.tool.spec.name, c.score, c.coverage, c.by_verb) for c in found] == [
                    (c.tool.spec.name, c.score, c.coverage, c.by_verb) for c in fresh
                ]
            chosen += len(found)
    assert chosen > 100
    assert all(len(kept) <= 3 for kept in (choice._kept.get(vocabulary, ()) for vocabulary in one.values()))
