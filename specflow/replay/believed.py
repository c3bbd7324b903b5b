"""What predictors' proposals are worth in a replay: as a running agent would take them, and no better.

The probabilities begin with what the runs of other tasks have shown, and go on with the stream: the steps
that are over, of this run and of those before it, as in a process that serves one conversation after another.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from specflow.prediction.calibration.ensemble import Ensemble, Guess, Scene
from specflow.prediction.calibration.stages import Stages
from specflow.prediction.candidate import Candidate
from specflow.prediction.history.predictor import HistoryPredictor
from specflow.prediction.predictor import AnyPredictor, Foresees
from specflow.replay.steps import Step
from specflow.speculation.believe import CERTAIN


def stages_of(predictors: Sequence[AnyPredictor]) -> Stages:
    """What the training of these predictors has shown their words to be worth; a copy of one's own."""
    trained = (one.patterns.stages for one in predictors if isinstance(one, HistoryPredictor))
    return next(trained, Stages()).copy()


def as_they_speak(predictors: Iterable[AnyPredictor]) -> list[AnyPredictor]:
    """Those that foresee before those that listen."""
    return sorted(predictors, key=lambda predictor: not isinstance(predictor, Foresees))


@dataclass(slots=True)
class Stream:
    """What the words of these predictors have been worth, run after run: first what their training has shown;
    then also what came of them in the runs before, as the core has `played` them, and as each predictor was
    scored `alone` (all together by the name "").
    """

    stages: Stages = field(default_factory=Stages)
    played: Ensemble = field(init=False)
    alone: dict[str, Ensemble] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.played = Ensemble(self.stages.copy())

    def of(self, name: str) -> Ensemble:
        """What is scored by that name."""
        return self.alone.setdefault(name, Ensemble(self.stages.copy()))


@dataclass(frozen=True, slots=True)
class Believed:
    """A candidate with its probability; what its predictor `said`; from which one on guesses of its tool are
    right in the share that is asked for (`enough`).
    """

    candidate: Candidate
    said: float
    enough: float


@dataclass(slots=True)
class Believing:
    """Of one predictor in one run, or of several together; the ensemble goes on from run to run."""

    scene: Scene
    precision: float
    ensemble: Ensemble = field(default_factory=Ensemble)

    def step(self, step: Step, proposed: Sequence[Candidate]) -> list[Believed]:
        """The distinct proposals of a step in their order; then what the model did is learned."""
        guesses: dict[str, Guess] = {}
        kept: dict[str, Candidate] = {}
        for candidate in proposed:
            key, tool = candidate.call.fingerprint, candidate.call.tool
            kept.setdefault(key, candidate)
            guesses.setdefault(key, Guess(tool)).hear(candidate.predictor, candidate.confidence)
        found = [self._believed(kept[key], guess) for key, guess in guesses.items()]
        if guesses:
            made = {call.fingerprint: call.tool for call in step.calls}
            self.ensemble.learn(guesses, made, self.scene)
        return found

    def _believed(self, candidate: Candidate, guess: Guess) -> Believed:
        tool, said = candidate.call.tool, guess.said
        if candidate.predictor in CERTAIN:
            # The model is writing it: taken at its word, as at run time.
            return Believed(candidate, max(said.values()), 0.0)
        likely = self.ensemble.probability(tool, said, self.scene)
        enough = self.ensemble.threshold(tool, said, self.scene, self.precision)
        return Believed(replace(candidate, confidence=likely), max(said.values()), enough)
