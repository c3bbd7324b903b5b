"""What training says of the worth of its own probabilities, and weights that are learned apart."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from specflow.prediction.calibration.stages import Source
from specflow.prediction.history.confidence import EACH_TASK, NAME
from specflow.prediction.history.keys import traits_of
from specflow.prediction.history.lesson import train
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
    assert traits_of(("other", 4, -2, 1, True, 3, 2, 2, 0, True))[-2:] == [
        "namedm=0&fu=True&other",
        "other=4",
    ]
    assert traits_of(("alike", True, False, True)) == ["alike=True&empty=False&again=True"]
    assert traits_of(("place", 0, 1, False, 0, True, 1, 2))[-3:] == [
        "ahead=1&run=2",
        "ahead=1&next=False",
        "next=False&run=2",
    ]
    assert traits_of(("heard", 2, 1, 0, 4, 4, 0, 1, True, 2, 0, 1, 3))[-2:] == [
        "called=01&of=3",
        "called=01&user=2&fu=True",
    ]
    assert traits_of(("via", "order_id", "get_customer:$.orders[*]")) == [
        "via=order_id<get_customer:$.orders[*]"
    ]
