"""How long the history predictor takes: `python tests/prediction/measure_history.py RUNS POLICY`.

Patterns are learned from the runs of every second task; in those of the others, the moments at which a
conversation has about 30 messages are timed (processor time): what a new message costs, a prediction, and
learning what the model then did: what is counted before the next prediction, and what waits until after it.
As in an agent, there is a prediction at every moment, each one is learned from, and the next builds on what
was worked out before.
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median
from time import process_time

from specflow.policy.load import load
from specflow.prediction.history.lesson import train
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
    took, heard, counted, weighed = [], [], [], []
    for lesson in (lesson for lesson in lessons if lesson.task not in taught):
        dialogue, owed = patterns.dialogue(lesson.tools), None
        messages = 0
        for moment in lesson.moments:
            messages += len(moment.new)
            began = process_time()
            for item in moment.new:
                dialogue.take(item)
            there = process_time()
            considered = patterns.consider(dialogue, lesson.tools, reads)
            considered.chances()
            said = process_time()
            if owed is not None:
                patterns.weigh(owed)
                patterns.look_up(considered)
            later = process_time()
            owed = patterns.count(dialogue, considered, *moment.first, moment.more)
            if messages in LENGTHS:
                heard.append(there - began)
                took.append(said - there)
                weighed.append(later - said)
                counted.append(process_time() - later)
    print(f"{len(took)} moments after {LENGTHS[0]} to {LENGTHS[-1]} messages, median and p95 in ms:")
    what = {"a prediction": took, "new messages": heard, "counting": counted, "learning, later": weighed}
    for name, times in what.items():
        print(f"  {name}: {1_000 * median(times):.3f}, {1_000 * sorted(times)[int(0.95 * len(times))]:.3f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
