"""The figures of a predictor by hand, and that nothing is learned from the task that is tested."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from specflow.effects.call import Call
from specflow.policy.load import loads
from specflow.prediction.calibration.ensemble import Scene
from specflow.prediction.candidate import Candidate
from specflow.prediction.history import lesson as lessons_module
from specflow.prediction.history.lesson import Lesson
from specflow.prediction.history.patterns import kit_of
from specflow.prediction.history.predictor import HistoryPredictor
from specflow.prediction.partial_call import PartialCallPredictor
from specflow.replay.ask import score_run
from specflow.replay.cast import casts
from specflow.replay.curves import precision_recall
from specflow.replay.guesses import Guess, guess_of
from specflow.replay.interval import interval
from specflow.replay.lessons import ALONE, Trainings, lesson_of
from specflow.replay.quality import best_threshold, calibration_error, quality, recall, top
from specflow.replay.steps import steps_of
from specflow.replay.variant import Variant
from specflow.replay.variants import Replays


def guess(place: int, confidence: float, *, read: bool = True, task: str = "1") -> Guess:
    return Guess(task, read, place, confidence, place == 0, begins=place == 0, wanted=read)


def test_recall_at_a_precision_by_hand() -> None:
    guesses = [
        *(guess(0, 0.9) for _ in range(4)),
        guess(1, 0.8),  # 4 of 5 are right from here on
        guess(0, 0.5),
        guess(-1, 0.5),  # of equal confidence: 5 of 7
        guess(-1, 0.1, read=False),
        guess(-1, 0.0),
    ]
    assert best_threshold(guesses) == 0.9  # at 0.8 as many are right, and one is wrong
    assert recall(guesses) == 4 / 8
    assert best_threshold([guess(1, 0.9)]) is None
    assert recall([]) == 0.0


def test_the_error_of_calibration_by_hand() -> None:
    # Nine in ten where 0.9 was said; one in two where 0.1 was said.
    guesses = [*(guess(0, 0.9) for _ in range(9)), guess(1, 0.9), guess(0, 0.1), guess(1, 0.1)]
    assert calibration_error(guesses) == pytest.approx(2 * 0.4 / 12)
    assert calibration_error([]) == 0.0


def test_top_counts_places() -> None:
    guesses = [guess(0, 1), guess(2, 1), guess(3, 1), guess(-1, 0)]
    assert (top(guesses, 1), top(guesses, 3)) == (0.25, 0.5)


def test_intervals_draw_tasks_and_not_steps() -> None:
    alike = [guess(0 if task % 2 else 1, 1.0, task=str(task)) for task in range(10) for _ in range(50)]
    apart = [guess(0 if step % 2 else 1, 1.0, task=str(step)) for step in range(500)]
    low, high = interval(alike, lambda drawn: top(drawn, 1)) or (0, 0)
    near, far = interval(apart, lambda drawn: top(drawn, 1)) or (0, 0)
    assert high - low > 0.4
    assert 0.2 > far - near > 0
    assert interval(alike, lambda drawn: top(drawn, 1)) == [low, high]
    assert interval([guess(0, 1.0)], lambda drawn: top(drawn, 1)) is None


def test_where_a_guess_was_lost(kit: Any) -> None:
    run = kit.run(
        {"role": "user", "content": "look at 1 and 2"}, kit.answer(4.0, ("read", {"id": 2})), kit.answer(1.0)
    )
    step, reply = steps_of(run)

    def said(tool: str, number: int, confidence: float = 0.9) -> Candidate:
        return Candidate(call=Call(tool=tool, args={"id": number}), confidence=confidence, predictor="p")

    def lost(*candidates: Candidate) -> tuple[str, ...]:
        return guess_of(step, candidates, read=True, task="1").lost

    assert lost(said("read", 2)) == ()
    assert lost(said("read", 1)) == ("argument:read.id",)
    assert lost(said("other", 2), said("read", 2, 0.5)) == ("name:read",)
    assert lost() == ("name:read",)
    found = guess_of(
        step, [said("read", 1), said("read", 2, 0.2), said("read", 2, 0.95)], read=True, task="1"
    )
    assert (found.place, found.confidence, found.right) == (0, 0.95, True)
    other = guess_of(reply, [said("read", 1, 0.3)], read=False, task="1")
    assert (other.read, other.place, other.confidence, other.right) == (False, -1, 0.3, False)


def test_a_value_that_the_conversation_does_not_hold_is_told_apart(kit: Any) -> None:
    run = kit.run({"role": "user", "content": "look"}, kit.answer(4.0, ("read", {"id": 71})))
    (step,) = steps_of(run)
    wrong = Candidate(call=Call(tool="read", args={"id": 1}), confidence=0.9, predictor="p")
    assert guess_of(step, [wrong], read=True, task="1").lost == ("nowhere:read.id",)


def runs(kit: Any, tasks: int) -> list[Any]:
    """Runs in which the same thing is read in every run of a task, and in no other."""
    return [
        kit.run(
            {"role": "user", "content": f"about {7000 + task}"},
            kit.answer(1.0, ("read", {"id": 7000 + task})),
        ).model_copy(update={"task_id": str(task)})
        for task in range(tasks)
        for _ in range(2)
    ]


@pytest.mark.parametrize("tasks", [2, 4, ALONE + 1])
def test_no_training_sees_the_task_that_it_is_for(
    kit: Any, tasks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = [lesson_of(run, place="here") for run in runs(kit, tasks)]
    seen: list[set[str]] = []
    whole = lessons_module.train

    def spy(lessons: list[Lesson], **more: Any) -> Any:
        seen.append({one.task for one in lessons})
        return whole(lessons, **more)

    monkeypatch.setattr("specflow.replay.lessons.train", spy)
    more = [given[0], given[-1]]  # the same runs once more, as --train would have them
    trainings = Trainings(given, more, {"read": True})
    tested: list[str] = []
    for part in trainings.parts:
        trainings.without(part)
        assert not seen[-1] & part
        assert seen[-1] | part == {str(task) for task in range(tasks)}
        tested.extend(part)
    assert sorted(tested) == sorted(str(task) for task in range(tasks))


def test_every_run_is_scored_once_by_what_other_tasks_teach(kit: Any) -> None:
    given = runs(kit, 5)

    def judge_for(registry: Any) -> Any:
        return loads(kit.policy, tools=registry)

    cast = casts(
        ((Path("runs"), run) for run in given), (), names=["history", "partial_call"], judge_for=judge_for
    )
    scored = []
    for (_, run), who in cast:
        predictors = who.fresh(["history", "partial_call"])
        scored.append((run, score_run(run, judge_for=judge_for, predictors=predictors)))
    assert sorted(run.task_id for run, _ in scored) == sorted(run.task_id for run in given)
    for _, one in scored:
        rows = one.as_json(whole=True)["predictors"]
        assert rows["history"]["reads"]["n"] == 1
        assert rows["history"]["top1"] == 1.0  # the number that the user says: learned from other numbers
        assert rows["partial_call"]["n"] == 1


def test_the_figures_have_their_intervals() -> None:
    rows = quality([guess(0, 0.9, task=str(task)) for task in range(4)])
    assert rows["reads"] == {
        "n": 4,
        "top1": 1.0,
        "top1_interval": [1.0, 1.0],
        "top3": 1.0,
        "top3_interval": [1.0, 1.0],
    }
    assert rows["tasks"] == 4
    assert rows["every_step"]["recall"] == 1.0
    assert rows["lost"] == {"name": {}, "argument": {}, "nowhere": {}}


def test_what_words_are_worth_is_learned_along_the_stream_and_never_in_the_patterns(kit: Any) -> None:
    given = runs(kit, 6)
    cast = casts(
        ((Path("runs"), run) for run in given),
        (),
        names=["history"],
        judge_for=lambda registry: loads(kit.policy, tools=registry),
    )
    believed: list[float] = []
    for (_, run), who in cast:
        assert who.patterns is not None
        before = who.patterns.stages.as_json()
        scored = score_run(
            run,
            judge_for=lambda registry: loads(kit.policy, tools=registry),
            predictors=who.fresh(["history"]),
            stream=who.stream("asked", who.fresh(["history"])),
        )
        (guess,) = scored.scores.of["history"].guesses
        believed.append(guess.confidence)
        assert guess.right
        assert guess.said > 0
        assert who.patterns.stages.as_json() == before
    # The two runs of a task are alike: what was right in the first is believed more in the second.
    assert all(second > first for first, second in zip(believed[::2], believed[1::2], strict=True))


def test_thresholds_of_each_tool_by_hand() -> None:
    def enough(right: bool, *, enough: bool) -> Guess:
        return Guess("1", True, 0 if right else 1, 0.9, right, (), 0.8, enough, wanted=True)

    guesses = [enough(True, enough=True), enough(False, enough=True), enough(True, enough=False)]
    row = quality([*guesses, guess(-1, 0.0)])["every_step"]
    assert (row["by_tool"]["n"], row["by_tool"]["precision"], row["by_tool"]["recall"]) == (2, 0.5, 0.25)


def test_a_guess_of_what_must_wait_is_neither_right_nor_wrong(kit: Any) -> None:
    """Only reads are started on a guess, so only these can be misfires."""
    run = kit.run(
        kit.answer(1.0, ("read", {"id": 1})),
        kit.answer(1.0, ("pay", {"id": 2})),
        kit.answer(1.0, ("pay", {"id": 3}), ("read", {"id": 3})),
        kit.answer(1.0),
    )
    one = score_run(
        run,
        judge_for=lambda registry: loads(kit.policy, tools=registry),
        predictors=[PartialCallPredictor()],
    )
    first, pays, both, reply = one.scores.of["partial_call"].guesses
    assert (first.right, first.confidence > 0.9, first.place) == (True, True, 0)
    assert (pays.right, pays.confidence, pays.place) == (False, 0.0, 0)
    assert (both.right, both.begins, both.place) == (True, False, 0), "in the message, and not its first call"
    assert (both.wanted, both.read) == (True, False)
    assert quality([first, both])["every_step"]["recall"] == 1.0
    assert quality([first, both])["every_step"]["recall_first"] == 0.0, "one of two guesses is not .8 of them"
    assert (reply.right, reply.confidence) == (False, 0.0)
    row = quality([first, pays, reply])["every_step"]
    assert (row["recall"], row["n"]) == (1.0, 3)
    assert row["ece"] == row["ece_said"] < 0.01, "what the model writes itself is taken at its word"
    points = precision_recall([first, pays, reply])
    assert {point["precision"] for point in points} == {1.0}


def test_a_wrong_guess_at_a_read_stands_behind_a_surer_one_at_a_write(kit: Any) -> None:
    run = kit.run(kit.answer(1.0, ("pay", {"id": 1})), kit.answer(1.0, ("read", {"id": 2})))
    calls = {name: Call(tool=name, args={"id": 2}) for name in ("pay", "read")}
    said = [(0, calls["pay"], 0.9), (0, calls["read"], 0.6)]
    one = score_run(
        run,
        judge_for=lambda registry: loads(kit.policy, tools=registry),
        predictors=[kit.guesser([said, said])],
    )
    wrong, right = one.scores.of["guesser"].guesses
    assert (wrong.right, wrong.said) == (False, 0.6), "the read that would have been started"
    assert (right.right, right.said, right.place) == (True, 0.6, 1)
    assert right.lost == ("name:read",), "the surest guess was another"


def test_what_words_are_worth_goes_on_from_run_to_run_where_they_are_played(kit: Any) -> None:
    """As in a process that serves one conversation after another; every way to replay has its own."""
    given = runs(kit, 6)

    def judge_for(registry: Any) -> Any:
        return loads(kit.policy, tools=registry)

    base = Variant(predictors=("history",), takes="2s")
    replays = Replays(
        judge_for=judge_for, variants=[base, replace(base, threshold=1.0, sweep="x", value="1")]
    )
    believed: list[float] = []
    for (_, run), who in casts(
        ((Path("runs"), run) for run in given), (), names=["history"], judge_for=judge_for
    ):
        replays.add(run, who, place="here")
        believed.append(replays.total.scores.of["history"].guesses[-1].confidence)
        before = who.streams[base].played.probability("read", {"history": 0.5}, Scene(domain=kit_of_run(run)))
        alone = HistoryPredictor(who.patterns).patterns.stages
        assert who.streams[base].stages.as_json() == alone.as_json(), "the training itself learns nothing"
        assert 0 < before <= 1
    assert all(second > first for first, second in zip(believed[::2], believed[1::2], strict=True))
    assert len(who.streams) == 2


def kit_of_run(run: Any) -> str:
    return kit_of(lesson_of(run, place="here").tools)


def test_a_run_that_is_also_in_train_counts_once(kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    given = [(Path("runs"), run) for run in runs(kit, 4)]
    other = (Path("other"), given[0][1])
    learned: list[int] = []
    whole = lessons_module.train

    def spy(lessons: list[Lesson], **more: Any) -> Any:
        learned.append(len(lessons))
        return whole(lessons, **more)

    monkeypatch.setattr("specflow.replay.lessons.train", spy)

    def judge_for(registry: Any) -> Any:
        return loads(kit.policy, tools=registry)

    for _ in casts(given[:4], [*given, other], names=["history"], judge_for=judge_for):
        pass
    # Two runs of the other task that is replayed, four of those that are only learned from, and for one of
    # the two tasks the run that is in another file as well.
    assert sorted(learned) == [2 + 4, 2 + 4 + 1]
