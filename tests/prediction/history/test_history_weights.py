"""The weights of the softmax, where there is room for few."""

from __future__ import annotations

import pytest

from specflow.prediction.history import weights as module
from specflow.prediction.history.chooser import Options
from specflow.prediction.history.keys import Key
from specflow.prediction.history.weights import Weights


def offered() -> Options:
    found = Options(["on"], module.WordTraits(()))
    found.add("look", [(("id", "1"),)], [[("reply", 1)]], (("again", 0, "user", 1, 0),))
    found.add("look", [None], [[("other", 1, -2, 1, True, 3, 2, 2, 0, True)]], ())
    return found


def calls(shared: int) -> Options:
    """Three calls of each of two tools; so many of what speaks for each is said once for all of its tool."""
    found = Options(["on"], module.WordTraits(()))
    for tool in ("look", "find"):
        args = [(("id", str(number)),) for number in range(3)]
        whole: list[Key] = [("reply", 1), ("agent", "m", tool, ""), ("prior", -2, 0)]
        found.add(
            tool, args, [[*whole[shared:], ("nth", n, 3, True)] for n in range(3)], tuple(whole[:shared])
        )
    return found


@pytest.mark.parametrize("shared", [0, 1, 2, 3])
@pytest.mark.parametrize("kept", [1, 2, 5, 1_000])
def test_what_is_said_once_for_all_calls_of_a_tool_counts_for_each(
    shared: int, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, other = Weights(), Weights()
    for _ in range(15):
        plain.learn(plain.compile(calls(0)), 4)
    monkeypatch.setattr(module, "MOST_BLOCKS", kept)
    for _ in range(15):
        # Of blocks, as many are kept as there is room for; what they say is the same.
        other.learn(other.compile(calls(shared)), 4)
    said = other.scores(other.compile(calls(shared)))
    assert said == pytest.approx(plain.scores(plain.compile(calls(0))))
    assert max(said) == said[4]


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
