"""What training says of the worth of its own probabilities, and weights that are learned apart."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import pytest

from specflow.effects.call import Call
from specflow.prediction.calibration.ensemble import Ensemble, Scene
from specflow.prediction.calibration.stages import Source
from specflow.prediction.candidate import Candidate
from specflow.prediction.history.confidence import EACH_TASK, NAME
from specflow.prediction.history.keys import traits_of
from specflow.prediction.history.lesson import Lesson, Moment, train
from specflow.prediction.history.patterns import Patterns, kit_of
from specflow.prediction.history.situations import Situations


@pytest.fixture(scope="module")
def learned(kit: Any) -> Patterns:
    return train(kit.lessons(range(14)), early=kit.early)


def test_the_guesses_of_a_task_count_as_three(kit: Any, learned: Patterns) -> None:
    seen = {key: bins.n for key, bins in learned.stages}
    assert 0 < seen["predictor", NAME] <= 14 * EACH_TASK + 1e-6
    tool = ("tool", NAME, kit_of(kit.shop()), "get_order")
    assert 0 < seen[tool] <= 14 * EACH_TASK + 1e-6


def test_it_is_kept_in_the_file_and_a_file_without_it_is_read(kit: Any, learned: Patterns) -> None:
    written = json.loads(learned.as_text())
    source = Source(predictor=NAME, tool="get_order", domain=kit_of(kit.shop()))
    same = Patterns.from_json(written).stages.probability(source, 0.5)
    assert same == pytest.approx(learned.stages.probability(source, 0.5), abs=0.02)
    del written["stages"]
    assert Patterns.from_json(written).stages.probability(source, 0.5) == 0.5


def overheard(lesson: Lesson, *, right: bool) -> Lesson:
    """The same conversation, with one that listens and names every call, or always another order."""

    def heard(moment: Moment) -> list[Candidate]:
        other = Call(tool="get_order", args={"order_id": "#W0000000"})
        calls = moment.calls if right else [other] if moment.calls else []
        return [Candidate(call=call, confidence=0.9, predictor="listener") for call in calls]

    return replace(lesson, moments=[replace(one, heard=heard(one)) for one in lesson.moments])


def test_what_others_proposed_while_the_model_spoke_is_learned_beside_its_own(kit: Any) -> None:
    lessons = [overheard(one, right=at % 2 == 0) for at, one in enumerate(kit.lessons(range(14)))]
    learned = train(lessons, early=kit.early)
    ensemble = Ensemble(Patterns.from_json(json.loads(learned.as_text())).stages)
    scene = Scene(domain=kit_of(kit.shop()))
    order = {"listener": 0.9}
    # It was right where history said the same, and wrong where history, which spoke first, did not.
    agreed = ensemble.probability("get_order", {"history": 0.5, **order}, scene)
    assert ensemble.probability("get_order", order, scene) < 0.5 < agreed
    names = {key[1] for key, _ in learned.stages}
    assert names == {NAME, "listener", f"{NAME}+listener", f"listener without {NAME}"}


def test_history_itself_is_believed_as_if_nobody_had_listened(kit: Any, learned: Patterns) -> None:
    lessons = [overheard(one, right=True) for one in kit.lessons(range(14))]
    both = train(lessons, early=kit.early)
    alone = {key: bins.as_json() for key, bins in learned.stages}
    assert {key: bins.as_json() for key, bins in both.stages if key[1] == NAME} == alone


def test_the_guesses_of_a_task_count_as_three_whoever_made_them(kit: Any) -> None:
    lessons = [overheard(one, right=True) for one in kit.lessons(range(14))]
    for key, bins in train(lessons, early=kit.early).stages:
        assert bins.n <= 14 * EACH_TASK + 1e-6, key


def scores(made: Situations, *traits: str) -> dict[str, float]:
    return made.scores(made.numbers(traits))


def test_weights_of_copies_that_met_other_traits_have_a_mean() -> None:
    whole = Situations()
    copies = [whole.blank(), whole.blank()]
    for number, copy in enumerate(copies):
        for _ in range(40):
            copy.learn(copy.numbers(["all", f"own {number}"]), {"look": -0.5, "reply": 0.5})
    copies[0].learn(copies[0].numbers(["own 1"]), {"look": -0.5})
    whole.take_mean(copies)
    assert scores(whole, "all")["look"] > 0 > scores(whole, "all")["reply"]
    assert scores(whole, "own 0")["look"] == pytest.approx(scores(whole, "own 1")["look"], rel=0.1)
    assert not any(scores(whole, "unheard of").values())
    assert scores(whole) == {}


def test_scores_are_sums_over_traits_however_many_names_there_are() -> None:
    dice, made = random.Random(3), Situations()
    traits, names = [f"t{n}" for n in range(12)], [f"n{n}" for n in range(40)]
    for turn in range(300):
        pulls = {name: dice.uniform(-1, 1) for name in dice.sample(names[: 1 + turn // 4], k=1)}
        made.learn(made.numbers(dice.sample(traits, 4)), pulls)
        plain: dict[str, float] = {}
        for by_name in made.written().values():
            for name, (value, _) in by_name.items():
                plain[name] = plain.get(name, 0.0) + value
        found = {name: value for name, value in scores(made, *traits).items() if name in plain or value}
        assert found == pytest.approx(plain)
        assert all(trait in made.written() for trait in traits if any(scores(made, trait).values()))


def test_weights_are_the_same_when_they_are_written_and_read() -> None:
    dice, made, same = random.Random(5), Situations(), Situations()
    for turn in range(200):
        pulls = {f"n{turn % 20}": dice.uniform(-1, 1)}
        made.learn(made.numbers([f"t{turn % 7}", f"t{turn % 11}"]), pulls)
    for trait, by_name in reversed(made.written().items()):
        for name, (value, squares) in by_name.items():
            same.restore(trait, name, value, squares)
    for trait in made.written():
        assert scores(same, trait) == pytest.approx(
            {name: value for name, value in scores(made, trait).items() if name in scores(same, trait)}
        )
    same.learn(same.numbers(["t3"]), {"n4": 0.5})
    made.learn(made.numbers(["t3"]), {"n4": 0.5})
    assert scores(same, "t3")["n4"] == pytest.approx(scores(made, "t3")["n4"])


def test_every_kind_of_block_spells_its_traits_out() -> None:
    assert traits_of(("tool", -2, 1, True, 3, 2, 2, 0, True)) == [
        "chance=-2",
        "times=1",
        "just=True&unused=3",
        "unused=3&times=1",
        "run=2&unused=3",
        "named=2&fu=True",
        "namedm=0&fu=True",
    ]
    assert traits_of(("agent", "m", "user", "&other")) == ["agent=m&e1=user&other"]
    assert traits_of(("other", 4, -2, 1, True, 3, 2, 2, 0, True))[-2:] == [
        "namedm=0&fu=True&other",
        "other=4",
    ]
    assert traits_of(("alike", True, False, True)) == ["alike=True&empty=False&again=True"]
    assert traits_of(("place", 0, 1, False, 0, True, 1, 2, "found", True))[-5:] == [
        "next=False&run=2",
        "next=False&seek=found&just=True",
        "again=0&seek=found&just=True",
        "tail=1&latest=True&just=True",
        "order=0&latest=True",
    ]
    assert traits_of(("changed", 1, True, 2, 0, 1, 0)) == [
        "changed=1&just=True",
        "before=2&all=0&again=0&just=True",
        "before=2&all=0&left=1&again=0",
    ]
    assert traits_of(("heard", 2, 1, 0, 4, 4, 0, 1, True, 2, 0, 1, 3))[-2:] == [
        "called=01&of=3",
        "called=01&user=2&fu=True",
    ]
    assert traits_of(("via", "order_id", "get_customer:$.orders[*]")) == [
        "via=order_id<get_customer:$.orders[*]"
    ]
