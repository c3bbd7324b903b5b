"""Recorded runs as lessons for the history predictor, and trainings that never see the task they are for."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from typing import Any

from specflow.effects.call import Call
from specflow.effects.kind import EffectClass
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import CallContext, ToolSpec
from specflow.policy.settings import Judge
from specflow.prediction.candidate import Candidate
from specflow.prediction.history.apart import Tell
from specflow.prediction.history.lesson import Lesson, Moment, train
from specflow.prediction.history.patterns import Patterns
from specflow.prediction.history.tables import Tables
from specflow.prediction.predictor import AnyPredictor
from specflow.replay.guesses import proposals
from specflow.replay.steps import Step, steps_of, tools_of
from specflow.traces.recorded import RecordedRun

ALONE = 12
"""Up to so many tasks each is left out in a training of its own; more are left out in `FOLDS` parts."""

FOLDS = 5


async def not_run(call: Call, context: CallContext) -> Any:
    """The body of a tool that is only talked about."""
    raise AssertionError(f"{call.tool} is not to be run")


def lesson_of(run: RecordedRun, *, place: str, listens: AnyPredictor | None = None) -> Lesson:
    """The run as the predictor learns from it; with what one that `listens` proposed, if there is one.

    Raises:
        RecordingError: saying at `place` what in the record cannot be used.
    """
    moments, known = [], 0
    steps, tools = list(steps_of(run, place=place)), tools_of(run, not_run, place=place)
    heard = [()] * len(steps) if listens is None else asyncio.run(_heard(listens, steps, tools))
    for step, proposed in zip(steps, heard, strict=True):
        moments.append(Moment(new=step.history[known:], calls=step.calls, heard=proposed))
        known = len(step.history)
    return Lesson(moments=moments, tools=tools, task=run.task_id, agent=run.model)


async def _heard(
    listens: AnyPredictor, steps: Sequence[Step], tools: ToolRegistry
) -> list[Sequence[Candidate]]:
    return [await proposals(listens, step, tools, []) for step in steps]


def early_by(judge: Judge, registry: ToolRegistry) -> dict[str, bool]:
    """Which tools the policy takes for reads, whatever their arguments."""
    return {spec.name: _reads(judge, spec) for spec in registry}


def _reads(judge: Judge, spec: ToolSpec) -> bool:
    return judge.judge(spec, Call(tool=spec.name), context={}).effect is EffectClass.READ_ONLY


class Trainings:
    """Patterns for each task, learned from the runs of all others. `more` are lessons of further files."""

    def __init__(self, lessons: Sequence[Lesson], more: Sequence[Lesson], early: dict[str, bool]) -> None:
        self._lessons = [*lessons, *more]
        self._early = early
        tasks = sorted({lesson.task for lesson in lessons})
        random.Random(0).shuffle(tasks)  # noqa: S311 - an order, no secret
        parts = len(tasks) if len(tasks) <= ALONE else FOLDS
        self.parts: list[frozenset[str]] = [frozenset(tasks[at::parts]) for at in range(parts)]
        self._counted: dict[tuple[str, int | None], Tables] = {}

    def __iter__(self) -> Iterator[tuple[frozenset[str], Patterns]]:
        """Each part of the tasks, with what all others teach."""
        for part in self.parts:
            yield part, self.without(part)

    def without(self, tasks: frozenset[str], tell: Tell = lambda _what, _done, _of: None) -> Patterns:
        """What the runs of all other tasks teach."""
        others = [lesson for lesson in self._lessons if lesson.task not in tasks]
        early = self._early
        return train(others, early=lambda name: early.get(name, False), counted=self._counted, tell=tell)
