"""The time that predictors take, of conversations of about thirty messages alone."""

from __future__ import annotations

from collections.abc import Sequence
from time import thread_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specflow.policy.load import loads
from specflow.prediction.candidate import Candidate
from specflow.prediction.history.predictor import Deaf
from specflow.prediction.predictor import TurnContext
from specflow.replay.ask import score_run
from specflow.replay.took import LENGTHS, Took, times


@given(
    st.lists(
        st.builds(Took, st.integers(0, 60), st.floats(0, 1_000), st.none() | st.floats(0, 1_000)), max_size=40
    )
)
def test_other_lengths_do_not_count_and_the_percentile_is_one_of_the_times(took: list[Took]) -> None:
    found = times(took)
    counted = [one for one in took if 27 <= one.messages <= 33]
    if not counted:
        assert found is None
        return
    assert found is not None
    assert found["n"] == len(counted)
    foreseen = [one for one in counted if one.foreseen is not None]
    parts = {
        "new_messages": [one.listened for one in counted],
        "prediction": [one.foreseen for one in foreseen],
        "both": [one.listened + (one.foreseen or 0.0) for one in foreseen],
    }
    for name, part in parts.items():
        assert (name in found) is bool(part)
        if part:
            said = found[name]
            assert round(min(part), 3) <= said["p50"] <= said["p95"] <= round(max(part), 3)
            assert {said["p50"], said["p95"]} <= {round(one, 3) for one in part}


class Counting:
    """Foresees nothing, and counts how often it was asked about so long conversations."""

    name = "counting"

    def __init__(self) -> None:
        self.asked = 0

    async def foresee(self, context: TurnContext) -> Sequence[Candidate]:
        self.asked += len(context.history) in LENGTHS
        return ()


@pytest.mark.parametrize(("steps", "counts"), [(40, True), (3, False)])
def test_runs_that_are_long_enough_have_times_in_their_rows(kit: Any, steps: int, counts: bool) -> None:
    run = kit.run(*(kit.answer(1.0, ("read", {"id": number})) for number in range(steps)))
    predictor = Counting()
    scored = score_run(
        run, judge_for=lambda registry: loads(kit.policy, tools=registry), predictors=[predictor]
    )
    row = scored.scores.as_json(whole=True)["predictors"]["counting"]
    assert bool(predictor.asked) is counts
    assert row.get("milliseconds", {"n": 0})["n"] == predictor.asked


class Busy:
    """Works for a while when it listens, and in turn when it foresees."""

    name = "busy"

    def __init__(self, *, listens: float, foresees: float) -> None:
        self._listens, self._foresees = listens, foresees

    def listen(self, context: TurnContext) -> Deaf:
        work(self._listens)
        return Deaf()

    async def foresee(self, context: TurnContext) -> Sequence[Candidate]:
        work(self._foresees)
        return ()


def work(seconds: float) -> None:
    until = thread_time() + seconds
    while thread_time() < until:
        pass


@pytest.mark.parametrize(("listens", "foresees"), [(0.02, 0.0), (0.0, 0.02)])
def test_taking_in_what_is_new_and_a_prediction_are_told_apart(
    kit: Any, listens: float, foresees: float
) -> None:
    run = kit.run(*(kit.answer(1.0, ("read", {"id": number})) for number in range(32)))
    predictor = Busy(listens=listens, foresees=foresees)
    scored = score_run(
        run, judge_for=lambda registry: loads(kit.policy, tools=registry), predictors=[predictor]
    )
    row = scored.scores.as_json(whole=True)["predictors"]["busy"]["milliseconds"]
    assert (row["new_messages"]["p50"] >= 20) is (listens > 0)
    assert (row["prediction"]["p50"] >= 20) is (foresees > 0)
    assert row["both"]["p50"] >= 20
