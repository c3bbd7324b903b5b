"""What predictors would propose in a recorded run: each is asked at every step, and nothing is played."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from specflow.effects.call import Call
from specflow.prediction.calibration.ensemble import Scene
from specflow.prediction.candidate import Candidate
from specflow.prediction.history.patterns import kit_of
from specflow.prediction.predictor import AnyPredictor
from specflow.replay.believed import Believing, Stream, as_they_speak, stages_of
from specflow.replay.guesses import proposals, reads
from specflow.replay.lessons import not_run
from specflow.replay.quality import PRECISION
from specflow.replay.steps import steps_of, tools_of
from specflow.replay.summary import JudgeFor, Summary
from specflow.traces.recorded import RecordedRun


def score_run(
    run: RecordedRun,
    *,
    judge_for: JudgeFor,
    predictors: Sequence[AnyPredictor],
    stream: Stream | None = None,
    place: str = "",
) -> Summary:
    """Ask the predictors at each step of one run what they would propose, each alone, and play nothing. Then
    believe them alone, and together. `stream` is what their words were worth in the runs before this one; it
    learns.

    Raises:
        RecordingError: saying at `place` what in the record cannot be used.
    """
    place = place or f"run {run.number}"
    steps = tuple(steps_of(run, place=place))
    registry = tools_of(run, not_run, place=place)
    judge = judge_for(registry)
    one = Summary(runs=1, steps=len(steps), untimed_steps=sum(not step.timed for step in steps))

    heard = stream or Stream(stages_of(predictors))
    scene = Scene(domain=kit_of(registry), model=run.model)

    def is_read(call: Call) -> bool:
        return reads(judge, registry, call)

    def believing(name: str) -> Believing:
        return Believing(scene, PRECISION, heard.of(name))

    async def ask() -> dict[str, list[list[Candidate]]]:
        return {
            predictor.name: [
                await proposals(predictor, step, registry, one.scores.of[predictor.name].took)
                for step in steps
            ]
            for predictor in as_they_speak(predictors)
        }

    one.scores.add(steps, asyncio.run(ask()), reads=is_read, believing=believing, task=run.task_id)
    return one
