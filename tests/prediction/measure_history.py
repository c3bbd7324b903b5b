"""How long the history predictor takes: `python tests/prediction/measure_history.py RUNS POLICY`.

Patterns are learned from the runs of every second task; in those of the others, the moments at which a
conversation has about 30 messages are timed (processor time): what a new message costs, and a prediction.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from time import process_time

from specflow.policy.load import load
from specflow.prediction.history.dialogue import Dialogue
from specflow.prediction.history.lesson import Lesson, train
from specflow.prediction.history.patterns import Patterns
from specflow.prediction.predictor import HistoryItem
from specflow.replay.lessons import early_by, lesson_of
from specflow.traces.recorded import read_runs

LENGTHS = range(27, 34)


def main(runs: Path, policy: Path) -> None:
    lessons = [lesson_of(run, place=f"{runs}:{run.number}") for run in read_runs(runs)]
    tasks = sorted({lesson.task for lesson in lessons})
    taught = set(tasks[::2])
    early: dict[str, bool] = {}
    for lesson in lessons:
        if not all(spec.name in early for spec in lesson.tools):
            early.update(early_by(load(policy, tools=lesson.tools), lesson.tools))

    def reads(name: str) -> bool:
        return early.get(name, False)

    patterns = train([lesson for lesson in lessons if lesson.task in taught], early=reads)
    took, heard = [], []
    for lesson in (lesson for lesson in lessons if lesson.task not in taught):
        dialogue = patterns.dialogue(lesson.tools)
        messages = 0
        for moment in lesson.moments:
            messages += len(moment.new)
            heard.append(_timed_take(dialogue, moment.new))
            if messages in LENGTHS:
                took.append(_timed_consider(patterns, dialogue, lesson, reads))
    took.sort()
    heard.sort()
    print(
        f"{len(took)} predictions at {LENGTHS[0]} to {LENGTHS[-1]} messages: "
        f"median {median(took):.3f} ms, p95 {took[int(0.95 * len(took))]:.3f} ms; "
        f"taking in the new messages of a moment: median {median(heard):.3f} ms, "
        f"p95 {heard[int(0.95 * len(heard))]:.3f} ms"
    )


def _timed_take(dialogue: Dialogue, new: Sequence[HistoryItem]) -> float:
    began = process_time()
    for item in new:
        dialogue.take(item)
    return 1_000 * (process_time() - began)


def _timed_consider(
    patterns: Patterns, dialogue: Dialogue, lesson: Lesson, reads: Callable[[str], bool]
) -> float:
    began = process_time()
    patterns.consider(dialogue, lesson.tools, reads).chances()
    return 1_000 * (process_time() - began)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
