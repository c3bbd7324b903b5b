"""Loose match modes: what was answered by other arguments, and whether it shows in the final answer."""

from __future__ import annotations

from typing import Any

import pytest

from specflow.cli.replay_loose import loose_said
from specflow.effects.call import Call
from specflow.policy.load import loads
from specflow.replay.latency import latency
from specflow.replay.summary import Summary, replay_run


def loose(kit: Any, *turns: Any, early: dict[str, Any]) -> dict[str, Any]:
    one = replay_run(
        kit.run(*turns),
        Summary(),
        judge_for=lambda tools: loads(kit.policy, tools=tools),
        predictors=[kit.guesser([[(0, Call(tool="loose", args=early), 0.9)]])],
        latency=latency("1s"),
    )
    assert one.outcomes["hit"] == 1
    return one.as_json()


def asked(kit: Any, answer: str, other: str | None = None) -> list[Any]:
    """A call with note b and its answer; later, if recorded, the same with note a, and a last message."""
    turns = [kit.answer(4.0, ("loose", {"id": 1, "note": "b"}))]
    turns[0]["tool_results"] = [{"id": "c0", "content": answer}]
    if other is not None:
        turns.append(kit.answer(4.0, ("loose", {"id": 1, "note": "a"})))
        turns[1]["tool_results"] = [{"id": "c0", "content": other}]
    return turns


def final(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text, "gen_s": 1.0}


EARLY = {"id": 1, "note": "a"}


@pytest.mark.parametrize(
    ("answer", "other", "said", "counts"),
    [
        ("gate 12", "gate 12", "Gate 12.", (1, 1, 0, 0, 0, 0)),
        ("gate 12", "gate 14", "Gate 12.", (1, 0, 1, 0, 1, 1)),
        ("gate 12", "gate 14", "Have a nice trip.", (1, 0, 1, 0, 1, 0)),
        ("gate 12", "gate 12 of 3", "Gate 12.", (1, 0, 1, 0, 1, 0)),
        ("gate 12", None, "Gate 12.", (1, 0, 0, 1, 1, 1)),
        ("gate 12", None, "Thank you.", (1, 0, 0, 1, 1, 0)),
    ],
)
def test_answers_of_other_arguments_by_hand(
    kit: Any, answer: str, other: str | None, said: str, counts: tuple[int, ...]
) -> None:
    found = loose(kit, *asked(kit, answer, other), final(said), early=EARLY)
    assert tuple(found["loose"].values()) == counts
    assert list(found["loose"]) == ["adopted", "same", "different", "unknown", "runs", "final_answers"]
    shown = "\n".join(loose_said(found))
    assert f"{counts[2]} different, {counts[3]} not recorded, in {counts[4]} of 1 runs" in shown


def test_the_same_arguments_are_no_loose_match(kit: Any) -> None:
    found = loose(kit, *asked(kit, "gate 12"), final("Gate 12."), early={"id": 1, "note": "b"})
    assert set(found["loose"].values()) == {0}
    assert list(loose_said(found)) == []
