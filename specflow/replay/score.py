"""How good each predictor's proposals were, step by step, against what the model really called."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

from specflow.journal.event import EventKind
from specflow.replay.simulate import Played
from specflow.replay.steps import Step


@dataclass(slots=True)
class Score:
    """Counts over steps with calls (`n`) and over proposals.

    top-1 and top-3 compare a step's first and first three distinct proposals with the first call of the
    message; precision is over distinct proposals, recall over distinct calls.
    """

    n: int = 0
    top1: int = 0
    top3: int = 0
    proposed: int = 0
    right: int = 0
    wanted: int = 0
    found: int = 0

    def as_row(self) -> dict[str, float | int]:
        """Shares in [0, 1], and n."""
        return {
            "top1": _share(self.top1, self.n),
            "top3": _share(self.top3, self.n),
            "precision": _share(self.right, self.proposed),
            "recall": _share(self.found, self.wanted),
            "n": self.n,
        }


@dataclass(slots=True)
class Scores:
    """The scores of all predictors over many runs."""

    of: dict[str, Score] = field(default_factory=lambda: defaultdict(Score))

    def include(self, other: Scores) -> None:
        """Add the counts of other runs."""
        for name, counts in other.of.items():
            mine = self.of[name]
            for item in fields(Score):
                setattr(mine, item.name, getattr(mine, item.name) + getattr(counts, item.name))

    def add(self, names: Sequence[str], steps: Sequence[Step], played: Played) -> None:
        """Count one run in."""
        proposals: dict[tuple[str, str], list[str]] = defaultdict(list)
        for event in played.log.of(EventKind.PROPOSED):
            assert event.candidate is not None
            said = proposals[event.turn_id, event.candidate.predictor]
            if event.candidate.call.fingerprint not in said:
                said.append(event.candidate.call.fingerprint)
        for name in names:
            score = self.of[name]
            for turn_id, step in zip(played.turns, steps, strict=True):
                wanted = [call.fingerprint for call in step.calls]
                said = proposals[turn_id, name]
                score.proposed += len(said)
                score.right += len(set(said) & set(wanted))
                score.wanted += len(set(wanted))
                score.found += len(set(said) & set(wanted))
                if wanted:
                    score.n += 1
                    score.top1 += wanted[0] in said[:1]
                    score.top3 += wanted[0] in said[:3]


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0
