"""What one tenant, or one user, does otherwise: learned for them alone, and only while something is known."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specflow.effects.registry import ToolRegistry
from specflow.prediction.history.lesson import train
from specflow.prediction.history.patterns import Patterns
from specflow.prediction.history.predictor import HistoryPredictor
from specflow.prediction.history.scopes import MOST_SCOPES, Scopes, scopes_of
from specflow.prediction.predictor import HistoryItem, PastCall, TurnContext

TENANT, OTHER_TENANT = "harbour & sons", "hill ltd"
USER = "liv@post.example"


@pytest.fixture(scope="module")
def learned(kit: Any) -> dict[str, Any]:
    return train(kit.lessons(range(14)), early=kit.early).as_json()


def chance_of(
    predictor: HistoryPredictor,
    tools: ToolRegistry,
    history: Iterable[HistoryItem],
    tool: str,
    **whose: str,
) -> float:
    """The probability of the tool's likeliest call."""
    context = TurnContext(tools=tools, history=tuple(history), **whose)
    said = asyncio.run(predictor.foresee(context))
    return max((one.confidence for one in said if one.call.tool == tool), default=0.0)


def goes_otherwise(kit: Any, predictor: HistoryPredictor, seeds: range, **whose: str) -> None:
    """Conversations in which the agent, once it knows the customer, only replies; and between them those of
    others, for whom it looks at the first order, as ever.
    """
    for seed in seeds:
        start = [item for moment in kit.conversation(seed).moments[:3] for item in moment.new]
        end = [
            HistoryItem(role="assistant", text="What may I do?"),
            HistoryItem(role="user", text="Nothing."),
        ]
        _go_through(kit, predictor, [start, end], whose)
        others = {"tenant": OTHER_TENANT, "user": f"user {seed}"}
        _go_through(kit, predictor, [moment.new for moment in kit.conversation(seed + 500).moments], others)


def _go_through(
    kit: Any, predictor: HistoryPredictor, parts: Iterable[Iterable[HistoryItem]], whose: Mapping[str, str]
) -> None:
    history: list[HistoryItem] = []
    for part in parts:
        for item in part:
            history.append(item)
            if item.role != "assistant":
                predictor.listen(TurnContext(tools=kit.shop(), history=tuple(history), **whose))


def known_customer(kit: Any, seed: int = 99) -> list[HistoryItem]:
    """A conversation up to where the agent usually looks at the first order."""
    return [item for moment in kit.conversation(seed).moments[:3] for item in moment.new]


def test_what_one_user_does_is_expected_of_this_user_and_not_of_the_others(
    kit: Any, learned: dict[str, Any]
) -> None:
    predictor = HistoryPredictor(Patterns.from_json(learned))
    asked = known_customer(kit)
    before = chance_of(predictor, kit.shop(), asked, "get_order")
    goes_otherwise(kit, predictor, range(200, 208), tenant=TENANT, user=USER)
    whose = {
        "user": {"tenant": TENANT, "user": USER},
        "tenant": {"tenant": TENANT, "user": "somebody@else.example"},
        "all": {"tenant": OTHER_TENANT, "user": "somebody@else.example"},
    }
    after = {
        who: chance_of(predictor, kit.shop(), asked, "get_order", **names) for who, names in whose.items()
    }
    assert before > 0.6
    # The nearer to whose it was, the more it counts: user, then tenant, then all.
    assert after["user"] < after["tenant"] < after["all"]
    assert after["user"] < before / 2
    assert after["all"] > before / 2


def test_of_whom_nothing_is_known_all_are_believed(kit: Any, learned: dict[str, Any]) -> None:
    predictor = HistoryPredictor(Patterns.from_json(learned), online=False)
    asked = known_customer(kit)
    anybody = chance_of(predictor, kit.shop(), asked, "get_order")
    assert anybody == chance_of(
        predictor, kit.shop(), asked, "get_order", tenant=OTHER_TENANT, user="new@user.example"
    )


def test_two_users_with_the_same_words_are_told_apart(kit: Any, learned: dict[str, Any]) -> None:
    predictor = HistoryPredictor(Patterns.from_json(learned))
    goes_otherwise(kit, predictor, range(200, 208), user=USER)
    tools, asked = kit.shop(), known_customer(kit)
    for user in (USER, "other@post.example", USER):
        # Heard of first: what was worked out for one must not be handed to the other.
        predictor.listen(TurnContext(tools=tools, history=tuple(asked), user=user))
    one, other = (
        chance_of(predictor, tools, asked, "get_order", user=user) for user in (USER, "other@post.example")
    )
    assert one < other


def test_no_name_of_a_tenant_or_user_is_written_and_what_was_learned_of_them_is(
    kit: Any, learned: dict[str, Any], tmp_path: Path
) -> None:
    predictor = HistoryPredictor(Patterns.from_json(learned))
    goes_otherwise(kit, predictor, range(200, 208), tenant=TENANT, user=USER)
    predictor.save(tmp_path / "patterns.json")
    text = (tmp_path / "patterns.json").read_text(encoding="utf-8")
    assert TENANT not in text
    assert USER not in text
    written = json.loads(text)
    assert written["weights"]["scopes"].keys() >= set(scopes_of(written["salt"], TENANT, USER))
    again = HistoryPredictor(Patterns.load(tmp_path / "patterns.json"), online=False)
    for whose in ({}, {"tenant": TENANT}, {"tenant": TENANT, "user": USER}):
        asked = known_customer(kit, 98)
        # Weights are written with four digits.
        assert chance_of(again, kit.shop(), asked, "get_order", **whose) == pytest.approx(
            chance_of(predictor, kit.shop(), asked, "get_order", **whose), abs=1e-3
        )


def test_the_same_user_has_another_digest_in_other_patterns_and_with_another_tenant() -> None:
    names = {
        scopes_of(Patterns().salt, TENANT, USER)[-1],
        scopes_of(Patterns().salt, TENANT, USER)[-1],
        scopes_of("salt", TENANT, USER)[-1],
        scopes_of("salt", OTHER_TENANT, USER)[-1],
        scopes_of("salt", "", USER)[-1],
    }
    assert len(names) == 5
    assert scopes_of("salt", "", "") == ()
    assert len(scopes_of("salt", TENANT, "")) == 1


@given(st.lists(st.integers(0, 3 * MOST_SCOPES), max_size=30), st.integers(1, 3 * MOST_SCOPES))
def test_only_so_many_users_are_known_at_once(again: list[int], crowd: int) -> None:
    scopes = Scopes()
    for number in (*range(crowd), *again):
        scopes.learn([f"user:{number}"], ["on"], {"call": 1.0})
    assert len(scopes) <= MOST_SCOPES
    # Whoever was heard of last is not forgotten.
    last = again[-1] if again else crowd - 1
    scores: dict[str, float] = {}
    scopes.add(scores, [f"user:{last}"], ["on"])
    assert scores["call"] < 0


def test_one_surprise_of_a_user_says_nothing_yet(kit: Any, learned: dict[str, Any]) -> None:
    predictor = HistoryPredictor(Patterns.from_json(learned))
    asked = known_customer(kit)
    before = chance_of(predictor, kit.shop(), asked, "get_order")
    past = PastCall(tool="cancel_order", args={"order_id": "#W1"}, result="{}")
    context = TurnContext(tools=kit.shop(), history=tuple(known_customer(kit, 97)), user=USER)
    predictor.listen(context)
    more = (*context.history, HistoryItem(role="tool", text="{}", call=past))
    predictor.listen(TurnContext(tools=kit.shop(), history=more, user=USER))
    assert chance_of(predictor, kit.shop(), asked, "get_order", user=USER) > before / 2
