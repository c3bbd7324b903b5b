"""Predictors that are always believed, for tests and benches of what comes after that."""

from __future__ import annotations

from collections.abc import Mapping

from specflow.prediction.calibration.ensemble import Ensemble, Guess, Scene


class AtTheirWord(Ensemble):
    """Nothing is learned: a probability stays what a predictor says, however often it was wrong."""

    def learn(self, guesses: Mapping[str, Guess], made: Mapping[str, str], scene: Scene) -> None:
        """Nothing follows from how guesses ended."""
