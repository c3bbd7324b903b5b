"""A conversation indexed turn by turn, in steps, is the conversation indexed at once."""

from __future__ import annotations

import json
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from specflow.prediction.chunk import Chunk, ChunkKind
from specflow.prediction.conversation import BLOCK, MAX_ITEMS, Conversation
from specflow.prediction.dating import Calendar
from specflow.prediction.index import Index
from specflow.prediction.known import Known
from specflow.prediction.predictor import HistoryItem, PastCall, TurnContext
from specflow.prediction.shelf import MOST, Indexed, Shelf
from specflow.prediction.sniffer import ReasoningSniffer
from specflow.prediction.tool_words import Slot
from specflow.prediction.vocabulary import Vocabulary
from specflow.prediction.words import word_set

sys.path.insert(0, str(Path(__file__).parent))
from labelled_set import cases

WORDS = sorted(
    word_set("""
order A-1 A-2 from OSL to LIS on 3 May 2026-05-03 2025-01-01 today tomorrow is Ada Lovelace email 12 kg . , :
Oslo (OSL) #W77 x@example.com
""")
)
TEXTS = st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join)
LEAVES = st.one_of(TEXTS, st.integers(0, 30), st.none(), st.booleans())
KEYS = st.sampled_from(["id", "order_id", "A-1", "OSL", "LIS", "CPH", "date", "name"])
DATA = st.recursive(
    LEAVES,
    lambda more: st.one_of(st.lists(more, max_size=4), st.dictionaries(KEYS, more, max_size=4)),
    max_leaves=12,
)


def past(args: dict[str, Any], result: str, failed: bool) -> HistoryItem:
    return HistoryItem(
        role="tool", text=result, call=PastCall(tool="look", args=args, result=result, failed=failed)
    )


ITEMS = st.one_of(
    st.builds(HistoryItem, role=st.sampled_from(["user", "assistant", "system"]), text=TEXTS),
    st.builds(
        past,
        st.dictionaries(KEYS, LEAVES, max_size=2),
        st.one_of(TEXTS, DATA.map(json.dumps)),
        st.booleans(),
    ),
)


def plain(known: Known) -> dict[str, Any]:
    return {
        field.name: getattr(known, field.name)
        for field in fields(known)
        if field.name != "owner" and not field.name.startswith("_")
    }


def all_of(talk: Conversation) -> dict[str, Any]:
    return {
        "known": [plain(known) for known in talk.known.values()],
        "aliases": dict(talk.aliases),
        "made": set(talk.made),
        "year": talk.year,
        "today": talk.today,
    }


@settings(max_examples=150, deadline=None)
@given(st.lists(ITEMS, max_size=12), st.lists(st.integers(0, 12), max_size=5), TEXTS, st.integers(0, 6))
def test_turn_by_turn_is_at_once(items: list[HistoryItem], turns: list[int], said: str, steps: int) -> None:
    shelf = Shelf()
    for many in [*sorted(turns), len(items), *turns]:
        history = items[:many]
        ours, fresh = Conversation(history, shelf), Conversation(history)
        for _ in range(steps):
            ours.advance()
        for talk in (ours, fresh):
            talk.hear(said)
        assert all_of(ours) == all_of(fresh)


@settings(max_examples=60, deadline=None)
@given(st.lists(ITEMS, min_size=1, max_size=6), ITEMS, ITEMS, TEXTS, TEXTS)
def test_two_that_go_on_differently_do_not_see_each_other(
    common: list[HistoryItem], one: HistoryItem, other: HistoryItem, here: str, there: str
) -> None:
    shelf = Shelf()
    Conversation(common, shelf).known  # noqa: B018 - to have it indexed
    first, second = Conversation([*common, one], shelf), Conversation([*common, other], shelf)
    first.hear(here)
    second.hear(there)
    found = all_of(first), all_of(second), all_of(first)
    plain_first, plain_second = Conversation([*common, one]), Conversation([*common, other])
    plain_first.hear(here)
    plain_second.hear(there)
    assert found == (all_of(plain_first), all_of(plain_second), all_of(plain_first))


def test_a_long_conversation_keeps_its_last_messages() -> None:
    shelf = Shelf()
    for many in range(0, 3 * MAX_ITEMS, 7):
        items = [HistoryItem(role="user", text=f"Order A-{number} please.") for number in range(many)]
        known = Conversation(items, shelf).known
        assert [f"A-{number}" in known for number in range(many)][-MAX_ITEMS:] == [True] * min(
            many, MAX_ITEMS
        )
        assert len(known) < MAX_ITEMS + BLOCK


def test_the_shelf_forgets_and_nothing_changes() -> None:
    shelf = Shelf()
    talks = [[HistoryItem(role="user", text=f"Order B-{number} please.")] for number in range(2 * MOST)]
    for _ in range(2):
        for items in talks:
            assert all_of(Conversation(items, shelf)) == all_of(Conversation(items))
    kept = [shelf.longest(items) is not None for items in talks]
    assert sum(kept) == MOST
    assert all(kept[MOST:])


def test_the_shelf_holds_no_more_text_than_values() -> None:
    shelf = Shelf()
    talks = [
        [HistoryItem(role="user", text=f"Order B-{number} please. " + "and so on " * 300_000)]
        for number in range(9)
    ]
    for items in talks:
        shelf.put(Indexed(tuple(items), Calendar(), Index(None, "")), None)
    assert [shelf.longest(items) is not None for items in talks] == [False] * 3 + [True] * 6


def test_scores_are_those_of_every_value_and_asked_for_once() -> None:
    slot = next(slot for tool in Vocabulary(cases()[0].tools).tools for slot in tool.slots)
    asked: list[str] = []

    def score(known: Known) -> float:
        asked.append(known.text)
        return float(len(known.text) + known.this_turn)

    shelf = Shelf()
    items = [HistoryItem(role="user", text=f"Order A-{10**number} please.") for number in range(8)]
    for many in (5, 5, 8):
        talk = Conversation(items[:many], shelf)
        talk.hear("And order A-100 again, and A-7777.")
        asked.clear()
        found = talk.scored(slot, 6.0, score)
        expected = [(score(known), known.text) for known in talk.known.values()]
        assert sorted((points, known.text) for points, known in found) == sorted(
            one for one in expected if one[0] >= 6.0
        )
        if many == 8:
            # What the turns before had, but for what this one has changed, was not asked about.
            assert len(asked) - len(expected) <= 3 + 2 + 1


@settings(max_examples=150, deadline=None)
@given(st.lists(ITEMS, max_size=6), st.lists(TEXTS, min_size=1, max_size=6))
def test_scores_asked_for_again_are_those_of_what_was_said_since(
    items: list[HistoryItem], said: list[str]
) -> None:
    slots = [slot for tool in Vocabulary(cases()[0].tools).tools for slot in tool.slots]
    often = Conversation(items)
    for at, sentence in enumerate(said):
        often.hear(sentence)
        once = Conversation(items)
        for earlier in said[: at + 1]:
            once.hear(earlier)
        for slot in slots:

            def score(known: Known, talk: Conversation, slot: Slot = slot) -> float:
                return len(known.cues | slot.words) + len(known.keys) + len(talk.aliases) + known.this_turn

            found = often.scored(slot, 3.0, lambda known: score(known, often))
            fresh = once.scored(slot, 3.0, lambda known: score(known, once))  # noqa: B023 - asked at once
            assert sorted((points, known.text) for points, known in found) == sorted(
                (points, known.text) for points, known in fresh
            )


def test_one_sniffer_for_a_whole_conversation_says_what_fresh_ones_say() -> None:
    ours = ReasoningSniffer()
    for case in cases():
        for many in range(len(case.history) + 1):
            context = TurnContext(tools=case.tools, history=case.history[:many])
            said = [
                [*ear.hear(Chunk(kind=ChunkKind.REASONING, text=case.text)), *ear.end()]
                for ear in (ours.listen(context), ReasoningSniffer().listen(context))
            ]
            assert said[0] == said[1], case.text
