"""The probability of one predictor's guess: what it says, corrected step by step by how such guesses ended.

Each stage is a curve (`curve.fit`) over the outcomes of guesses that share a key: all of the predictor; those
in one domain (a set of tools); those of one tool in it; those made for one model in it. A stage corrects what
the stages before it have left wrong, and its prior is that they have left nothing: where little was seen, the
wider stage's word stands (a hierarchy by composition).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from specflow.prediction.calibration.bins import Bin, Bins
from specflow.prediction.calibration.curve import Curve, Prior, fit

MOST_KEYS = 2_048
"""Keys that are remembered; the one that was not met for longest goes first."""

RENEWED = 0.05
"""A curve is fitted again when that share of its weight is new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Whose guess it is, and of what: `domain` names the set of tools, `model` who is guessed about."""

    predictor: str
    tool: str
    domain: str = ""
    model: str = ""

    @property
    def keys(self) -> tuple[tuple[str, ...], ...]:
        """The keys of its stages, in their order."""
        within = (self.predictor, self.domain)
        return (
            ("predictor", self.predictor),
            ("domain", *within),
            ("tool", *within, self.tool),
            ("model", *within, self.model),
        )


TOOL = 2
"""The place of the tool's own stage."""

WINDOWS = {"predictor": 1_000.0, "domain": 600.0, "tool": 300.0, "model": 300.0}
"""Guesses that count, in each kind of stage."""

PRIORS = {
    "predictor": Prior(slope=0.15, shift=0.5),
    "domain": Prior(slope=0.1, shift=0.3),
    "tool": Prior(slope=0.1, shift=0.5),
    "model": Prior(slope=0.05, shift=0.3),
}


@dataclass(slots=True)
class _Stage:
    """The outcomes of one key, and the curve through them; `fresh` counts what the curve has not seen yet."""

    bins: Bins
    prior: Prior
    curve: Curve = field(default_factory=Curve)
    fresh: float = 0.0

    def now(self) -> Curve:
        if self.fresh and self.fresh >= RENEWED * self.bins.n:
            self.curve, self.fresh = fit(self.bins, self.prior), 0.0
        return self.curve


class Stages:
    """Not safe from several threads at once."""

    def __init__(self) -> None:
        self._of: OrderedDict[tuple[str, ...], _Stage] = OrderedDict()

    def probability(self, source: Source, confidence: float) -> float:
        """How likely a guess is right of which its predictor says `confidence`."""
        for key in source.keys:
            stage = self._of.get(key)
            if stage is not None:
                confidence = stage.now()(confidence)
        return confidence

    def saw(self, source: Source, confidence: float, *, right: bool) -> None:
        """A guess of which its predictor said `confidence` was right, or wrong."""
        for key in source.keys:
            stage = self._stage(key)
            stage.bins.saw(confidence, right=right)
            confidence = stage.now()(confidence)
            stage.fresh += 1.0

    def count_as(self, most: Mapping[tuple[str, ...], float]) -> None:
        """Let what was seen count as at most so many guesses, by key: they were not independent."""
        for key, guesses in most.items():
            stage = self._stage(key)
            stage.bins.count_as(guesses)
            stage.fresh = stage.bins.n

    def outcomes(self, source: Source) -> list[Bin]:
        """How guesses of the source's tool in its domain ended lately, by the probability they were given."""
        stage = self._of.get(source.keys[TOOL])
        if stage is None:
            return []
        curve = stage.now()
        return [Bin(n=one.n, said=curve(one.said), right=one.right) for one in stage.bins]

    def came(self, source: Source) -> float:
        """How many guesses of the source's tool in its domain were right lately."""
        stage = self._of.get(source.keys[TOOL])
        return 0.0 if stage is None else sum(stage.bins.came)

    def _stage(self, key: tuple[str, ...]) -> _Stage:
        stage = self._of.get(key)
        if stage is None:
            while len(self._of) >= MOST_KEYS:
                self._of.popitem(last=False)
            stage = self._of[key] = _Stage(Bins(WINDOWS[key[0]]), PRIORS[key[0]])
        self._of.move_to_end(key)
        return stage

    def __iter__(self) -> Iterator[tuple[tuple[str, ...], Bins]]:
        """Keys with their outcomes by what was said before their stage."""
        for key, stage in list(self._of.items()):  # it may be told more meanwhile
            yield key, stage.bins

    def as_json(self) -> list[Any]:
        """What is written: keys and counts."""
        return [[list(key), bins.as_json()] for key, bins in self]

    @classmethod
    def from_json(cls, rows: Any) -> Stages:
        """Counts as they were written.

        Raises:
            KeyError, TypeError, ValueError, IndexError: the data has another shape.
        """
        made = cls()
        for key, counts in rows:
            name = tuple(str(part) for part in key)
            stage = made._stage(name)
            stage.bins = Bins.from_json(counts, window=WINDOWS[name[0]])
            stage.fresh = stage.bins.n
        return made

    def copy(self) -> Stages:
        """Another one that has seen the same."""
        return Stages.from_json(self.as_json())
