"""Several calls in one message: which go together is learned, and until it is, every call stands alone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specflow.effects.call import Call
from specflow.effects.registry import ToolRegistry
from specflow.prediction.candidate import Candidate
from specflow.prediction.history.dialogue import Dialogue
from specflow.prediction.history.lesson import Lesson, Moment, train
from specflow.prediction.history.patterns import Patterns
from specflow.prediction.history.predictor import HistoryPredictor
from specflow.prediction.history.together import Offered, Together, offered
from specflow.prediction.predictor import HistoryItem, PastCall, TurnContext

ORDERS = 3


def moments(kit: Any, seed: int, *, at_once: bool) -> Iterator[Moment]:
    """A conversation in which the agent looks at all orders of the customer: in one message, or in three."""
    talk = kit.conversation(seed)
    yield from talk.moments[:2]
    (found,) = talk.moments[2].new
    orders = json.loads(found.text)["orders"]
    calls = [Call(tool="get_order", args={"order_id": order}) for order in orders]
    answers = [
        HistoryItem(
            role="tool",
            text=json.dumps({"order_id": order, "status": "sent"}),
            call=PastCall(
                tool="get_order",
                args={"order_id": order},
                result=json.dumps({"order_id": order, "status": "sent"}),
            ),
        )
        for order in orders
    ]
    asked = HistoryItem(role="assistant")
    if at_once:
        yield Moment(new=(asked, found), calls=calls)
        yield Moment(new=(asked, *answers), calls=())
        return
    before: tuple[HistoryItem, ...] = (asked, found)
    for call, answer in zip(calls, answers, strict=True):
        yield Moment(new=before, calls=(call,))
        before = (asked, answer)
    yield Moment(new=before, calls=())


def lessons(kit: Any, seeds: range, *, at_once: bool, agent: str = "") -> list[Lesson]:
    return [
        Lesson(
            moments=tuple(moments(kit, seed, at_once=at_once)), tools=kit.shop(), task=str(seed), agent=agent
        )
        for seed in seeds
    ]


@pytest.fixture(scope="module")
def learned(kit: Any) -> dict[str, Any]:
    """From two agents: one asks for all orders at once, the other for one after the other."""
    one = lessons(kit, range(12), at_once=True, agent="eager")
    other = lessons(kit, range(12, 24), at_once=False, agent="patient")
    return train([*one, *other], early=kit.early).as_json()


def foresee(
    predictor: HistoryPredictor, tools: ToolRegistry, history: list[HistoryItem], model: str = ""
) -> list[Candidate]:
    context = TurnContext(tools=tools, history=tuple(history), model=model)
    predictor.listen(context)
    return list(asyncio.run(predictor.foresee(context)))


def before_the_orders(kit: Any, seed: int) -> tuple[list[HistoryItem], list[Call]]:
    parts = list(moments(kit, seed, at_once=True))[:3]
    return [item for part in parts for item in part.new], list(parts[-1].calls)


def test_all_calls_of_a_message_are_foreseen_of_the_model_that_asks_for_all_at_once(
    kit: Any, learned: dict[str, Any]
) -> None:
    history, wanted = before_the_orders(kit, 99)
    predictor = HistoryPredictor(Patterns.from_json(learned), online=False)
    eager = {one.call: one.confidence for one in foresee(predictor, kit.shop(), history, "eager")}
    patient = {one.call: one.confidence for one in foresee(predictor, kit.shop(), history, "patient")}
    assert all(eager[call] > 0.6 for call in wanted)
    # Of the other model one is expected, and hardly more.
    assert sum(patient.get(call, 0.0) for call in wanted) < 1.6
    assert sum(eager[call] for call in wanted) > 2.2


def test_a_model_that_is_not_known_is_told_by_what_it_did_in_this_conversation(kit: Any) -> None:
    """The same moment twice: after a message with three calls, and after three messages with one."""
    twice = [
        Lesson(
            moments=tuple(
                part for one in (seed, seed + 100) for part in moments(kit, one, at_once=seed % 2 == 0)
            ),
            tools=kit.shop(),
            task=str(seed),
        )
        for seed in range(24)
    ]
    patterns = train(twice, early=kit.early)
    # Two customers in one conversation: what was done for the first tells what is done for the second.
    sure = []
    for at_once in (True, False):
        past = [item for part in moments(kit, 300, at_once=at_once) for item in part.new]
        more, wanted = before_the_orders(kit, 301)
        predictor = HistoryPredictor(Patterns.from_json(patterns.as_json()), online=False)
        said = {one.call: one.confidence for one in foresee(predictor, kit.shop(), [*past, *more])}
        sure.append(sum(said.get(call, 0.0) for call in wanted))
    assert sure[0] > sure[1] + 0.5


def test_it_is_learned_online_from_nothing(kit: Any) -> None:
    predictor, tools = HistoryPredictor(), kit.shop()
    for seed in range(30):
        history: list[HistoryItem] = []
        for moment in moments(kit, seed, at_once=True):
            history.extend(moment.new)
            foresee(predictor, tools, history)
    history, wanted = before_the_orders(kit, 99)
    said = {one.call: one.confidence for one in foresee(predictor, tools, history)}
    assert all(said.get(call, 0.0) > 0.5 for call in wanted)


def test_it_is_kept_in_the_file_and_a_file_without_it_is_read(kit: Any, learned: dict[str, Any]) -> None:
    history, wanted = before_the_orders(kit, 99)
    again = Patterns.from_json(json.loads(Patterns.from_json(learned).as_text()))
    one, other = (
        foresee(HistoryPredictor(patterns, online=False), kit.shop(), history, "eager")
        for patterns in (Patterns.from_json(learned), again)
    )
    assert [(c.call, round(c.confidence, 2)) for c in one] == [
        (c.call, round(c.confidence, 2)) for c in other
    ]
    old = {name: part for name, part in learned.items() if name != "together"}
    alone = foresee(HistoryPredictor(Patterns.from_json(old), online=False), kit.shop(), history, "eager")
    assert sum(c.confidence for c in alone) <= 1.0 + 1e-9
    assert {c.call for c in alone} & set(wanted)


NAMES = st.sampled_from(["look", "find", "list"])
ARGS = st.none() | st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz")), max_size=2).map(
    lambda pairs: tuple(sorted(dict(pairs).items()))
)


@st.composite
def moment(draw: st.DrawFn) -> tuple[Offered, list[float]]:
    """Options and the probability of each to begin the message."""
    options = draw(st.lists(st.tuples(NAMES, ARGS), min_size=1, max_size=8, unique=True))
    weights = draw(st.lists(st.floats(0, 1), min_size=len(options), max_size=len(options)))
    total = sum(weights) or 1.0
    names, args = [name for name, _ in options], [made for _, made in options]
    return offered(Dialogue(), names, args), [weight / total for weight in weights]


@given(moment(), st.lists(st.tuples(moment(), st.data()), max_size=4))
def test_being_in_a_message_is_at_least_as_likely_as_to_begin_it(
    asked: tuple[Offered, list[float]], lessons: list[tuple[tuple[Offered, list[float]], st.DataObject]]
) -> None:
    together = Together()
    assert together.shares(*asked) == pytest.approx(asked[1]), "nothing was learned: every call stands alone"
    for (options, first), data in lessons:
        begins = data.draw(st.integers(0, len(first) - 1))
        more = data.draw(st.frozensets(st.integers(0, len(first) - 1)))
        for _ in range(20):
            together.learn(options, begins, first, more - {begins})
    shares = together.shares(*asked)
    for share, first, args in zip(shares, asked[1], asked[0].args, strict=True):
        assert first <= share + 1e-12
        assert share <= 1.0
        # What could not be proposed is given nothing.
        assert args is not None or share == first
    again = Together.from_json(json.loads(json.dumps(together.as_json())))
    assert again.shares(*asked) == pytest.approx(shares, abs=0.02)
