"""What a turn has taught is weighed when nobody waits for it; in time for the next, and never lost."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from specflow.prediction.history.lesson import train
from specflow.prediction.history.patterns import Patterns
from specflow.prediction.history.predictor import HistoryPredictor
from specflow.prediction.predictor import HistoryItem, TurnContext


@pytest.fixture(scope="module")
def learned(kit: Any) -> dict[str, Any]:
    return train(kit.lessons(range(14)), early=kit.early).as_json()


def contexts(kit: Any, seeds: list[int], turns: int | None = None) -> list[TurnContext]:
    """The turns of these conversations, as if they all went on side by side."""
    tools, talks = kit.shop(), [kit.conversation(seed) for seed in seeds]
    said: list[list[HistoryItem]] = [[] for _ in talks]
    found = []
    for at in range(max(len(talk.moments) for talk in talks)):
        for mine, talk in zip(said, talks, strict=True):
            if at < len(talk.moments):
                mine.extend(talk.moments[at].new)
                found.append(TurnContext(tools=tools, history=tuple(mine)))
    return found[:turns]


def weights(patterns: Patterns) -> Any:
    return patterns.as_json()["weights"]


@pytest.mark.parametrize("seeds", [[300], [300, 301], [300, 301, 302]])
def test_however_it_is_asked_it_learns_the_same(
    kit: Any, learned: dict[str, Any], seeds: list[int], tmp_path: Path
) -> None:
    async def in_one_loop(predictor: HistoryPredictor) -> None:
        for context in contexts(kit, seeds):
            predictor.listen(context)
            await predictor.foresee(context)
            await asyncio.sleep(0)

    async def without_a_pause(predictor: HistoryPredictor) -> None:
        for context in contexts(kit, seeds):
            predictor.listen(context)
            await predictor.foresee(context)

    async def never_asked(predictor: HistoryPredictor) -> None:
        for context in contexts(kit, seeds):
            predictor.listen(context)

    written = set()
    for how in (in_one_loop, without_a_pause, never_asked):
        predictor = HistoryPredictor(Patterns.from_json(learned))
        asyncio.run(how(predictor))
        predictor.save(tmp_path / "patterns.json")
        written.add((tmp_path / "patterns.json").read_text(encoding="utf-8"))
    assert len(written) == 1
    assert weights(Patterns.load(tmp_path / "patterns.json")) != weights(Patterns.from_json(learned))


def test_what_it_foresees_does_not_wait_for_it(kit: Any, learned: dict[str, Any]) -> None:
    async def check() -> None:
        predictor, moved = HistoryPredictor(Patterns.from_json(learned)), 0
        for context in contexts(kit, [300]):
            before = weights(predictor.patterns)
            predictor.listen(context)
            await predictor.foresee(context)
            assert weights(predictor.patterns) == before
            await asyncio.sleep(0)
            moved += weights(predictor.patterns) != before
        assert moved > 1

    asyncio.run(check())


def test_what_was_taught_is_in_what_is_written(kit: Any, learned: dict[str, Any], tmp_path: Path) -> None:
    predictor = HistoryPredictor(Patterns.from_json(learned))
    for context in contexts(kit, [300], turns=2):
        predictor.listen(context)
    before = weights(predictor.patterns)
    predictor.save(tmp_path / "patterns.json")
    assert weights(Patterns.load(tmp_path / "patterns.json")) != before


def test_looked_up_again_the_weights_say_what_they_say(kit: Any, learned: dict[str, Any]) -> None:
    """What is worked out before it is asked for is what would have been worked out then."""
    ahead, plain = (HistoryPredictor(Patterns.from_json(learned)) for _ in range(2))
    plain.patterns.look_up = lambda _considered: None  # type: ignore[method-assign] - looks nothing up
    for context in contexts(kit, [300, 301]):
        said = []
        for predictor in (ahead, plain):
            predictor.listen(context)
            said.append(asyncio.run(predictor.foresee(context)))
        assert said[0] == said[1]


@pytest.mark.parametrize("asked", [True, False])
def test_nothing_is_considered_before_somebody_asks_or_goes_on(
    kit: Any, learned: dict[str, Any], asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To listen takes in what is new alone; but each moment is considered once, before more is learned."""
    predictor, considered = HistoryPredictor(Patterns.from_json(learned)), []
    consider = predictor.patterns.consider

    def counting(dialogue: Any, *rest: Any) -> Any:
        considered.append(dialogue.step)
        return consider(dialogue, *rest)

    monkeypatch.setattr(predictor.patterns, "consider", counting)
    turns = contexts(kit, [300])
    for number, context in enumerate(turns):
        predictor.listen(context)
        assert len(considered) == number
        if asked:
            assert asyncio.run(predictor.foresee(context)) == asyncio.run(predictor.foresee(context))
            assert len(considered) == number + 1
    assert considered == sorted(set(considered))
