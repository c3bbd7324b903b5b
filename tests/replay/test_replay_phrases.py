"""The sniffer of a replay knows how calls are announced from the runs of other tasks, and from no others."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from specflow.cli.program import app
from specflow.policy.load import loads
from specflow.prediction.candidate import Candidate
from specflow.prediction.predictor import TurnContext
from specflow.replay.ask import score_run
from specflow.replay.cast import Cast, casts
from specflow.replay.lessons import ALONE, not_run
from specflow.replay.steps import steps_of, tools_of
from specflow.traces.recorded import RecordedRun

MARKS = ["".join(letters) for letters in itertools.product("bdgk", "lr", "oaiu", "p")]
"""A word for each task that its model says before it calls, and no other task's."""
POSITION = {
    "type": "function",
    "function": {
        "name": "parcel_position",
        "description": "Retrieve the position of a parcel.",
        "parameters": {
            "type": "object",
            "properties": {"order_id": {"type": "string"}},
            "required": ["order_id"],
        },
    },
}


def lines(kit: Any, tasks: int) -> list[dict[str, Any]]:
    """Two runs of each task."""
    return [
        kit.record(
            {"role": "user", "content": f"Where is A-{10_000 + task}?"},
            kit.answer(
                2.0,
                ("parcel_position", {"order_id": f"A-{10_000 + task}"}),
                reasoning=f"Let me check the whereabouts {MARKS[task]} of A-{10_000 + task}. One moment.",
            ),
            tools=[POSITION],
        )
        | {"task_id": str(task)}
        for task in range(tasks)
        for _ in range(2)
    ]


def placed(given: list[dict[str, Any]], file: str = "runs") -> list[tuple[Path, RecordedRun]]:
    return [
        (Path(file), RecordedRun.model_validate(one | {"number": number}))
        for number, one in enumerate(given, start=1)
    ]


def cast_of(kit: Any, given: list[Any], more: list[Any], *names: str, phrases: bool = True) -> list[Any]:
    return list(
        casts(
            given,
            more,
            names=names,
            judge_for=lambda registry: loads(kit.policy, tools=registry),
            phrases=phrases,
        )
    )


def words_of(who: Cast) -> set[str]:
    assert who.triggers is not None
    return {word for phrase in who.triggers._counts for word in phrase.split()}


def told_of(who: Cast) -> dict[str, float]:
    """By predictor, how many guesses the training has seen of it."""
    assert who.patterns is not None
    return {key[1]: bins.n for key, bins in who.patterns.stages if key[0] == "predictor"}


def test_what_the_word_of_the_sniffer_is_worth_is_learned_from_the_other_tasks(kit: Any) -> None:
    given = placed(
        [
            kit.record(
                {"role": "user", "content": f"Where is A-{10_000 + task}?"},
                kit.answer(
                    2.0,
                    ("parcel_position", {"order_id": f"A-{10_000 + task}"}),
                    reasoning=f"I will retrieve the parcel position of A-{10_000 + task}."
                    if task
                    else "Well.",
                ),
                tools=[POSITION],
            )
            | {"task_id": str(task)}
            for task in range(4)
        ]
    )
    for (_, run), who in cast_of(kit, given, [], "history", "sniffer"):
        # One guess in each run that the training has seen, but for task 0, whose model says nothing.
        assert told_of(who)["sniffer"] == pytest.approx(3 if run.task_id == "0" else 2, rel=0.01)
    assert not any("sniffer" in told_of(who) for _, who in cast_of(kit, given, [], "history"))


@pytest.mark.parametrize("tasks", [2, 5, ALONE + 3])
@pytest.mark.parametrize("names", [("sniffer", "history"), ("sniffer",)])
def test_no_word_is_learned_from_the_task_that_is_tested(
    kit: Any, tasks: int, names: tuple[str, ...]
) -> None:
    given = placed(lines(kit, tasks))
    more = placed(lines(kit, tasks + 1), "more")  # the same tasks once more, and another one
    seen = cast_of(kit, given, more, *names)
    assert len(seen) == len(given)
    for (_, run), who in seen:
        known = words_of(who)
        assert MARKS[int(run.task_id)] not in known
        assert MARKS[tasks] in known
        together = {int(other.task_id) for (_, other), one in seen if one.triggers is who.triggers}
        assert known & set(MARKS) == {MARKS[task] for task in range(tasks + 1) if task not in together}


def test_what_was_learned_is_said_and_nothing_is_learned_from_the_run(kit: Any) -> None:
    def said(phrases: bool) -> list[list[str]]:
        found = []
        for (_, run), who in cast_of(kit, given, [], "sniffer", "history", phrases=phrases):
            before = who.triggers.as_json() if who.triggers else None
            (sniffer,) = who.fresh(["sniffer"])
            (step,) = steps_of(run)
            ear = sniffer.listen(TurnContext(tools=tools_of(run, not_run, place=""), history=step.history))
            heard = [one for _, chunk in step.pieces for one in ear.hear(chunk)]
            found.append([one.call.args["order_id"] for one in heard if isinstance(one, Candidate)])
            score_run(
                run,
                judge_for=lambda registry: loads(kit.policy, tools=registry),
                predictors=who.fresh(["sniffer"]),
            )
            assert (who.triggers.as_json() if who.triggers else None) == before
        return found

    given = placed(lines(kit, 5))
    assert sorted(said(True)) == sorted([f"A-{10_000 + task}"] for task in range(5) for _ in range(2))
    assert said(False) == [[]] * 10


def test_without_history_and_further_runs_nothing_is_learned(kit: Any) -> None:
    assert all(who.triggers is None for _, who in cast_of(kit, placed(lines(kit, 5)), [], "sniffer"))


def test_the_command_with_and_without_phrases(kit: Any, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(
        "version: 1\ntools:\n  parcel_position: {effect: read_only, speculate: now, reads: [p], "
        "destinations: {host: a.example}}\n"
    )
    file = tmp_path / "runs.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in lines(kit, 5)))
    command = [
        "replay",
        str(file),
        "--policy",
        str(policy),
        "--json",
        "--predictors",
        "sniffer",
        "--score-only",
    ]
    found = {}
    for more in ((), ("--train", str(file)), ("--train", str(file), "--no-phrases")):
        result = CliRunner().invoke(app, [*command, *more])
        assert result.exit_code == 0, result.output
        found[more[2:] or bool(more)] = json.loads(result.stdout)["predictors"]["sniffer"]["top1"]
    assert found == {False: 0.0, True: 1.0, ("--no-phrases",): 0.0}
