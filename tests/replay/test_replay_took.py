"""The time that predictors take, of conversations of about thirty messages alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specflow.policy.load import loads
from specflow.prediction.candidate import Candidate
from specflow.prediction.predictor import TurnContext
from specflow.replay.ask import score_run
from specflow.replay.took import LENGTHS, Took, times


@given(st.lists(st.builds(Took, st.integers(0, 60), st.floats(0, 1_000)), max_size=40))
def test_other_lengths_do_not_count_and_the_percentile_is_one_of_the_times(took: list[Took]) -> None:
    found = times(took)
    counted = sorted(one.milliseconds for one in took if 27 <= one.messages <= 33)
    if not counted:
        assert found is None
        return
    assert found is not None
    assert found["n"] == len(counted)
    assert round(counted[0], 3) <= found["median"] <= found["p95"] <= round(counted[-1], 3)
    assert found["p95"] in {round(one, 3) for one in counted}


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
