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


def test_weights_of_copies_that_met_other_traits_have_a_mean() -> None:
    whole = Situations()
    copies = [whole.blank(), whole.blank()]
    for number, copy in enumerate(copies):
        for _ in range(40):
            copy.learn(["all", f"own {number}"], {"look": -0.5, "reply": 0.5})
    copies[0].learn(["own 1"], {"look": -0.5})
    whole.take_mean(copies)
    assert whole.scores(["all"])["look"] > 0 > whole.scores(["all"])["reply"]
    assert whole.scores(["own 0"])["look"] == pytest.approx(whole.scores(["own 1"])["look"], rel=0.1)
    assert whole.scores(["unheard of"]) == {}


def test_only_weights_that_are_not_zero_are_looked_at_and_none_is_missed() -> None:
    dice, made = random.Random(3), Situations()
    traits, names = [f"t{n}" for n in range(12)], ["a", "b", "c"]
    for _ in range(300):
        made.learn(dice.sample(traits, 4), {name: dice.uniform(-1, 1) for name in names})
        found = made.scores(traits)
        plain = {
            name: sum(made.ftrl.values[row[name]] for row in made.table.values() if name in row)
            for name in names
        }
        assert found == pytest.approx({name: plain[name] for name in found})
        assert all(plain[name] == 0 for name in plain.keys() - found.keys())


def test_every_kind_of_block_spells_its_traits_out() -> None:
    assert traits_of(("tool", -2, 1, True, 3, 2)) == [
        "chance=-2",
        "times=1",
        "just=True&unused=3",
        "unused=3&times=1",
        "run=2&unused=3",
    ]
    assert traits_of(("other", 4, -2, 1, True, 3, 2))[-2:] == ["run=2&unused=3&other", "other=4"]
    assert traits_of(("alike", True, False, True)) == ["alike=True&empty=False&again=True"]
    assert traits_of(("walk", 1, False, 2)) == ["ahead=1&run=2", "ahead=1&next=False", "next=False&run=2"]
    assert traits_of(("via", "order_id", "get_customer:$.orders[*]")) == [
        "via=order_id<get_customer:$.orders[*]"
    ]
