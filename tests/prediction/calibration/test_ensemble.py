"""One probability for each call, and predictors that are not believed: drifted, free-form, switched off."""

from __future__ import annotations

import json
import random
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specflow.errors import ConfigurationError
from specflow.prediction.calibration.ensemble import DRIFTED, FREE_FORM, SWITCHED_OFF, Ensemble, Guess, Scene
from specflow.prediction.calibration.misses import Misses
from specflow.prediction.calibration.stages import Stages
from specflow.prediction.calibration.watch import ALARM, SHADOW, Watch

SHOP = Scene(domain="shop", model="m")
CONFIDENCE = st.floats(0.0, 1.0)


def turn(ensemble: Ensemble, said: dict[str, float], *, right: bool, tool: str = "look") -> None:
    """A turn in which one call was proposed, and it or another one of another tool was made."""
    made = {"key": tool} if right else {"else": "other"}
    ensemble.learn({"key": Guess(tool, said)}, made, SHOP)


@settings(deadline=None)
@given(st.lists(st.tuples(CONFIDENCE, CONFIDENCE, st.booleans()), max_size=25), CONFIDENCE, CONFIDENCE)
def test_who_is_more_confident_is_never_believed_less(
    turns: list[tuple[float, float, bool]], one: float, other: float
) -> None:
    ensemble = Ensemble()
    for first, second, right in turns:
        turn(ensemble, {"a": first, "b": second}, right=right)
    low, high = sorted([one, other])
    found = [ensemble.probability("look", {"a": word, "b": 0.5}, SHOP) for word in (low, high)]
    assert 0.0 <= found[0] <= found[1] + 1e-12 <= 1.0 + 1e-12


def test_two_who_agree_count_as_one_guess_and_learn_what_agreement_is_worth() -> None:
    ensemble = Ensemble()
    both = {"a": 0.5, "b": 0.4}
    assert ensemble.probability("look", both, SHOP) == pytest.approx(0.5)
    for number in range(300):
        turn(ensemble, both, right=number % 10 != 0)
        turn(ensemble, {"a": 0.5}, right=False)
        turn(ensemble, {"b": 0.4}, right=number % 5 == 0)
    assert ensemble.probability("look", both, SHOP) > 0.6
    assert ensemble.probability("look", {"b": 0.4}, SHOP) < 0.7
    diagram = ensemble.reliability()
    assert set(diagram) == {"a", "b", "a+b"}
    assert sum(one.n for one in diagram["a+b"]["believed"]) == pytest.approx(225, abs=10)  # 300, faded


def told_before(ensemble: Ensemble, times: int = 200) -> None:
    """`b` hears what `a` has foreseen: where both say it, it is right; what `b` alone says, seldom."""
    for number in range(times):
        for said, right in (({"a": 0.6, "b": 0.7}, number % 10 != 0), ({"b": 0.7}, number % 5 == 0)):
            turn(ensemble, said, right=right)
            ensemble.learn_in_time(Guess("look", said), SHOP, right=right)


def test_the_silence_of_who_often_speaks_first_counts() -> None:
    ensemble = Ensemble()
    told_before(ensemble)
    assert ensemble.probability("look", {"b": 0.7}, SHOP) < 0.3
    assert ensemble.probability("look", {"a": 0.6, "b": 0.7}, SHOP) > 0.8
    # Whoever is first is taken as before: nobody has been silent yet.
    assert ensemble.probability("look", {"a": 0.6}, SHOP) > 0.8
    assert ensemble.probability("look", {"b": 0.7}, SHOP, in_time=True) < 0.4
    assert ensemble.threshold("look", ["b"], SHOP, 0.8) > ensemble.threshold("look", ["a"], SHOP, 0.8)


def test_before_anything_is_known_silence_counts_a_little() -> None:
    ensemble = Ensemble()
    assert ensemble.probability("look", {"b": 0.7}, SHOP) == pytest.approx(0.7)
    turn(ensemble, {"a": 0.6, "b": 0.7}, right=True)
    assert 0.55 < ensemble.probability("look", {"b": 0.7}, SHOP) < 0.65


def test_who_is_seldom_first_is_not_missed() -> None:
    ensemble = Ensemble()
    told_before(ensemble)
    turn(ensemble, {"b": 0.7, "a": 0.6}, right=True)
    before = ensemble.probability("look", {"a": 0.6}, SHOP)
    for _ in range(3):
        turn(ensemble, {"c": 0.3, "d": 0.3}, right=False, tool="count")
    assert ensemble.probability("look", {"a": 0.6}, SHOP) == pytest.approx(before)
    assert before > 0.8


def test_who_is_switched_off_is_not_missed() -> None:
    ensemble = Ensemble()
    told_before(ensemble)
    ensemble.switch("a", on=False)
    assert 0.4 < ensemble.probability("look", {"b": 0.7}, SHOP) < 0.7


def test_what_silence_says_is_known_again_after_a_restart() -> None:
    stages = Stages()
    told_before(Ensemble(stages))
    again = Ensemble(Stages.from_json(json.loads(json.dumps(stages.as_json()))))
    for mark in (False, True):
        assert again.probability("look", {"b": 0.7}, SHOP, in_time=mark) < 0.4


@settings(deadline=None)
@given(
    st.lists(st.tuples(CONFIDENCE, st.none() | CONFIDENCE, st.booleans()), max_size=25),
    CONFIDENCE,
    CONFIDENCE,
)
def test_of_whoever_is_first_nothing_changes_because_others_listen(
    turns: list[tuple[float, float | None, bool]], one: float, other: float
) -> None:
    alone, heard = Ensemble(), Ensemble()
    for first, second, right in turns:
        turn(alone, {"a": first}, right=right)
        turn(heard, {"a": first} | ({} if second is None else {"b": second}), right=right)
        if second is not None:
            turn(heard, {"b": second}, right=not right)
    for word in (one, other):
        believed = alone.probability("look", {"a": word}, SHOP)
        assert heard.probability("look", {"a": word}, SHOP) == pytest.approx(believed)
    low, high = sorted([one, other])
    found = [heard.probability("look", {"b": word}, SHOP) for word in (low, high)]
    assert 0.0 <= found[0] <= found[1] + 1e-12 <= 1.0 + 1e-12


def test_what_the_highest_guess_of_a_message_was_is_right_by_its_key() -> None:
    ensemble = Ensemble()
    for _ in range(80):
        guesses = {"one": Guess("look", {"a": 0.5}), "two": Guess("look", {"a": 0.3})}
        ensemble.learn(guesses, {"one": "look"}, SHOP)
    assert ensemble.probability("look", {"a": 0.5}, SHOP) > 0.65
    assert ensemble.probability("look", {"a": 0.3}, SHOP) < 0.4


def test_each_predictor_is_switched_off_alone_and_learned_from_all_the_same() -> None:
    ensemble = Ensemble()
    ensemble.switch("a", on=False)
    assert ensemble.reason("look", ["a"], SHOP) == SWITCHED_OFF
    assert ensemble.probability("look", {"a": 0.9}, SHOP) == 0.0
    assert ensemble.reason("look", ["a", "b"], SHOP) == ""
    assert ensemble.probability("look", {"a": 0.9, "b": 0.4}, SHOP) == pytest.approx(0.4)
    for _ in range(60):
        turn(ensemble, {"a": 0.5}, right=True)
    ensemble.switch("a", on=True)
    assert ensemble.probability("look", {"a": 0.5}, SHOP) > 0.7


def test_a_predictor_that_drifts_is_off_until_a_good_shadow_window() -> None:
    ensemble, dice = Ensemble(), random.Random(1)
    for _ in range(300):
        turn(ensemble, {"a": 0.9}, right=dice.random() < 0.9)
    assert ensemble.reason("look", ["a"], SHOP) == ""
    turns = 0
    while not ensemble.reason("look", ["a"], SHOP):
        turn(ensemble, {"a": 0.9}, right=False)
        turns += 1
    assert ensemble.reason("look", ["a"], SHOP) == DRIFTED
    assert turns < 25
    assert ensemble.reason("look", ["a"], Scene(domain="bank")) == "", "elsewhere it is what it was"
    for _ in range(SHADOW - 1):
        turn(ensemble, {"a": 0.9}, right=True)
        assert ensemble.reason("look", ["a"], SHOP) == DRIFTED
    turn(ensemble, {"a": 0.9}, right=True)
    assert ensemble.reason("look", ["a"], SHOP) == ""


def test_a_predictor_that_is_what_it_says_is_hardly_ever_switched_off() -> None:
    alarms, guesses = 0, 0
    for seed in range(30):
        dice, watch = random.Random(seed), Watch()
        for _ in range(300):
            believed = dice.random()
            watch.saw(believed, right=dice.random() < believed)
            guesses += 1
            if watch.off:
                alarms += 1
                watch = Watch()
    # At most one in ALARM on average; three standard deviations of chance above that.
    assert alarms <= guesses / ALARM + 3 * (guesses / ALARM) ** 0.5


def test_tools_with_arguments_that_cannot_be_known_are_given_up_and_others_are_not() -> None:
    ensemble = Ensemble()
    for number in range(20):
        guesses = {"sum": Guess("calculate", {"a": 0.9}), "read": Guess("look", {"a": 0.9})}
        # It is right that the tool is called, and never with what; the other tool is not called at all.
        assert ensemble.reason("calculate", ["a"], SHOP) == ("" if number < 16 else FREE_FORM)
        ensemble.learn(guesses, {f"another {number}": "calculate"}, SHOP)
    assert ensemble.reason("look", ["a"], SHOP) in {"", DRIFTED}
    assert ensemble.reason("calculate", ["b"], SHOP) == ""


@given(st.lists(st.booleans(), max_size=80))
def test_a_tool_whose_arguments_are_right_in_one_of_five_is_never_given_up(more: list[bool]) -> None:
    misses = Misses()
    for number, right in enumerate(more):
        misses.saw(right=right or number % 5 == 0)
        assert not misses.hopeless


def test_a_precision_asks_for_more_where_a_tool_is_worse_than_it_says() -> None:
    ensemble = Ensemble(precision=0.8)
    assert ensemble.needed("look", ["a"], SHOP) == 0.8
    assert Ensemble().needed("look", ["a"], SHOP) == 0.0
    for number in range(200):
        turn(ensemble, {"a": 0.7}, right=number % 10 != 0, tool="good")
        turn(ensemble, {"a": 0.9}, right=number % 2 != 0, tool="bad")
    assert ensemble.probability("good", {"a": 0.7}, SHOP) >= ensemble.needed("good", ["a"], SHOP)
    assert ensemble.probability("bad", {"a": 0.9}, SHOP) < ensemble.needed("bad", ["a"], SHOP)
    for wrong in (0.0, 1.0, -1.0, 2.0):
        with pytest.raises(ConfigurationError):
            Ensemble(precision=wrong)


def test_it_is_safe_from_several_threads() -> None:
    ensemble = Ensemble()

    def work(seed: int) -> None:
        dice = random.Random(seed)
        for _ in range(100):
            turn(ensemble, {"a": dice.random(), "b": dice.random()}, right=dice.random() < 0.5)
            assert 0.0 <= ensemble.probability("look", {"a": 0.5}, SHOP) <= 1.0

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(ensemble.reliability()) == {"a", "b", "a+b"}
