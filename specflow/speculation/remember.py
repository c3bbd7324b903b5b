"""The predictor that remembers: what conversations have taught, from a file and back to it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from specflow.effects.call import Call
from specflow.effects.kind import EffectClass
from specflow.effects.tool import ToolSpec
from specflow.policy.settings import Judge
from specflow.prediction.calibration.ensemble import Ensemble
from specflow.prediction.history.patterns import Patterns
from specflow.prediction.history.predictor import HistoryPredictor
from specflow.prediction.predictor import AnyPredictor
from specflow.prediction.sniffer import ReasoningSniffer

log = logging.getLogger("specflow")


@dataclass(frozen=True, slots=True)
class Remembering:
    """A history predictor and the file that its patterns are kept in; neither where nothing is kept."""

    predictors: tuple[HistoryPredictor, ...] = ()
    file: Path = Path()

    def ensemble(self, precision: float | None) -> Ensemble:
        """One that begins with what probabilities have been worth so far; that is kept with the patterns.

        Raises:
            ConfigurationError: the precision is none.
        """
        stages = self.predictors[0].patterns.stages if self.predictors else None
        return Ensemble(stages, precision=precision)

    def share(self, predictors: Iterable[AnyPredictor]) -> None:
        """Let the sniffers that learn go by the trigger phrases that are kept, and add to them."""
        for kept in self.predictors:
            for predictor in predictors:
                if (
                    isinstance(predictor, ReasoningSniffer)
                    and predictor.learns
                    and predictor.triggers is None
                ):
                    predictor.triggers = kept.patterns.triggers

    def save(self) -> None:
        """Write the patterns. A file that cannot be written is said and hurts nobody."""
        for predictor in self.predictors:
            try:
                predictor.save(self.file)
            except OSError as error:
                log.warning("the patterns could not be written to %s: %s", self.file, error)


def remembering(file: str | Path | None, judge: Judge) -> Remembering:
    """A predictor with the patterns of the file, or without any if there is no such file yet.

    It proposes calls of tools that the policy takes for reads whatever their arguments are.

    Raises:
        PatternsError: the file cannot be read.
    """
    if file is None:
        return Remembering()

    def reads(spec: ToolSpec) -> bool:
        return judge.judge(spec, Call(tool=spec.name), context={}).effect is EffectClass.READ_ONLY

    file = Path(file)
    patterns = Patterns.load(file) if file.exists() else Patterns()
    return Remembering((HistoryPredictor(patterns, early=reads),), file)
