"""How good each predictor's proposals were, step by step, against what the model really called."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from specflow.effects.call import Call
from specflow.journal.event import EventKind
from specflow.prediction.candidate import Candidate
from specflow.replay.believed import Believed, Believing
from specflow.replay.curves import precision_recall, reliability
from specflow.replay.guesses import Guess, guess_of
from specflow.replay.quality import quality
from specflow.replay.simulate import Played
from specflow.replay.steps import Step

Reads = Callable[[Call], bool]
"""Whether a call is a read."""


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
    guesses: list[Guess] = field(default_factory=list)

    def as_row(self, *, whole: bool = False) -> dict[str, Any]:
        """Shares in [0, 1], and n; with `whole` also the figures of `quality`, which take a moment."""
        more = quality(self.guesses) if whole else {}
        if whole:
            more |= {"curve": precision_recall(self.guesses), "reliability": reliability(self.guesses)}
        return {
            **more,
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

    def add(
        self,
        names: Sequence[str],
        steps: Sequence[Step],
        played: Played,
        *,
        reads: Reads,
        believing: Callable[[], Believing],
        task: str = "",
        least: float = 0.0,
    ) -> None:
        """Count one run in, of that task; of its proposals, those that are at least so likely."""
        proposals: dict[tuple[str, str], list[Candidate]] = defaultdict(list)
        for event in played.log.of(EventKind.PROPOSED):
            assert event.candidate is not None
            proposals[event.turn_id, event.candidate.predictor].append(event.candidate)
        for name in names:
            believes = believing()
            for turn_id, step in zip(played.turns, steps, strict=True):
                found = believes.step(step, proposals[turn_id, name])
                kept = [one for one in found if one.candidate.confidence >= least]
                self.count(name, step, kept, reads=reads, task=task)

    def count(
        self, name: str, step: Step, believed: Sequence[Believed], *, reads: Reads, task: str = ""
    ) -> None:
        """Count one step in, with what the predictor proposed in it, in order."""
        score, proposed = self.of[name], [one.candidate for one in believed]
        said = list(dict.fromkeys(candidate.call.fingerprint for candidate in proposed))
        wanted = [call.fingerprint for call in step.calls]
        score.proposed += len(said)
        score.right += len(set(said) & set(wanted))
        score.wanted += len(set(wanted))
        score.found += len(set(said) & set(wanted))
        if wanted:
            score.n += 1
            score.top1 += wanted[0] in said[:1]
            score.top3 += wanted[0] in said[:3]
        read = bool(step.calls) and reads(step.calls[0])
        # What writes waits for the model, however sure a guess is: it is neither a hit nor a misfire.
        early = [one for one in believed if reads(one.candidate.call)]
        guess = guess_of(step, proposed, read=read, task=task, early=[one.candidate for one in early])
        best = max(early, key=lambda one: one.candidate.confidence, default=None)
        if best is not None:
            enough = best.candidate.confidence >= best.enough
            guess = replace(guess, said=best.said, enough=enough)
        score.guesses.append(guess)


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0
