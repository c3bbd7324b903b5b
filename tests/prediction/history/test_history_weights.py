"""The weights of the softmax, where there is room for few."""

from __future__ import annotations

import pytest

from specflow.prediction.history import weights as module
from specflow.prediction.history.chooser import Options
from specflow.prediction.history.weights import Weights


def offered() -> Options:
    found = Options(["on"], module.WordTraits(()))
    found.add("look", (("id", "1"),), [("reply", 1), ("again", 0, "user", 1, 0)])
    found.add("look", None, [("other", 1, -2, 1, True, 3, 2, 2, 0, True)])
    return found


@pytest.mark.parametrize("room", [0, 1, 2, 3, 5, 8, 1_000])
def test_what_there_is_no_room_for_is_not_learned_and_the_rest_is(
    room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", room)
    weights = Weights()
    compiled = weights.compile(offered())
    blocks = [block for row in compiled.blocks for block in row]
    assert sum(len(block.at) for block in blocks) <= room
    for _ in range(20):
        weights.learn(compiled, 0)
    first, second = weights.scores(compiled)
    assert (first > second) == (room > 0)
    # As added up one by one.
    values = weights._traits.values
    for block in blocks:
        assert block.total == sum(values[index] for index in block.at)
