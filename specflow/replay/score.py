"""How good each predictor's proposals were, step by step, against what the model really called."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import chain
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
from specflow.replay.took import Took, times
from specflow.speculation.believe import CERTAIN

Proposed = Mapping[str, Sequence[Sequence[Candidate]]]
"""By predictor and step."""

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
    took: list[Took] = field(default_factory=list)

    def as_row(self, *, whole: bool = False) -> dict[str, Any]:
        """Shares in [0, 1], and n; with `whole` also the figures of `quality`, which take a moment."""
        more = quality(self.guesses) if whole else {}
        if whole:
            more |= {"curve": precision_recall(self.guesses), "reliability": reliability(self.guesses)}
            took = times(self.took)
            more |= {"milliseconds": took} if took else {}
        return {
            **more,
            "top1": _share(self.top1, self.n),
            "top3": _share(self.top3, self.n),
            "precision": _share(self.right, self.proposed),
            "recall": _share(self.found, self.wanted),
            "n": self.n,
        }

    def count(self, step: Step, believed: Sequence[Believed], *, reads: Reads, task: str = "") -> None:
        """Count one step in, with what was proposed in it, in order."""
        proposed = [one.candidate for one in believed]
        said = list(dict.fromkeys(candidate.call.fingerprint for candidate in proposed))
        wanted = [call.fingerprint for call in step.calls]
        self.proposed += len(said)
        self.right += len(set(said) & set(wanted))
        self.wanted += len(set(wanted))
        self.found += len(set(said) & set(wanted))
        if wanted:
            self.n += 1
            self.top1 += wanted[0] in said[:1]
            self.top3 += wanted[0] in said[:3]
        read = bool(step.calls) and reads(step.calls[0])
        # What writes waits for the model, however sure a guess is: it is neither a hit nor a misfire.
        early = [one for one in believed if reads(one.candidate.call)]
        guess = guess_of(
            step,
            proposed,
            read=read,
            task=task,
            early=[one.candidate for one in early],
            wanted=any(map(reads, step.calls)),
        )
        best = max(early, key=lambda one: one.candidate.confidence, default=None)
        if best is not None:
            enough = best.candidate.confidence >= best.enough
            guess = replace(guess, said=best.said, enough=enough)
        self.guesses.append(guess)


@dataclass(slots=True)
class Scores:
    """The scores of all predictors over many runs; `together` is that of all that guess, as one."""

    of: dict[str, Score] = field(default_factory=lambda: defaultdict(Score))
    together: Score = field(default_factory=Score)

    def include(self, other: Scores) -> None:
        """Add the counts of other runs."""
        for mine, theirs in (
            *((self.of[name], one) for name, one in other.of.items()),
            (self.together, other.together),
        ):
            for item in fields(Score):
                setattr(mine, item.name, getattr(mine, item.name) + getattr(theirs, item.name))

    def as_json(self, *, whole: bool) -> dict[str, Any]:
        """A row for each predictor; and for the ensemble, None where there are not two that guess."""
        return {
            "predictors": {name: score.as_row(whole=whole) for name, score in sorted(self.of.items())},
            "ensemble": self.together.as_row(whole=whole) if self.together.guesses else None,
        }

    def add(
        self,
        steps: Sequence[Step],
        said: Proposed,
        *,
        reads: Reads,
        believing: Callable[[str], Believing],
        task: str = "",
        least: float = 0.0,
    ) -> None:
        """Count one run in, of that task: what each predictor proposed at each step, in order, as far as that
        is at least so likely; and what all propose together, the likeliest first. `believing` is asked for
        each predictor, and for all together by the name "".
        """
        # What the model writes itself is no guess: with it, all together would always be right, and too late.
        guessing = [name for name in said if name not in CERTAIN]
        together = [list(chain(*parts)) for parts in zip(*(said[name] for name in guessing), strict=True)]
        sides = [(self.of[name], name, proposed) for name, proposed in said.items()]
        if len(guessing) > 1:
            sides.append((self.together, "", together))
        for score, name, proposed in sides:
            believes = believing(name)
            for step, heard in zip(steps, proposed, strict=True):
                found = believes.step(step, heard)
                kept = [one for one in found if one.candidate.confidence >= least]
                if not name:
                    kept.sort(key=lambda one: -one.candidate.confidence)
                score.count(step, kept, reads=reads, task=task)


def proposed_in(played: Played, names: Sequence[str]) -> Proposed:
    """What each predictor proposed for each message of a run, in order; not what it foresaw after it."""
    found: dict[tuple[str, str], list[Candidate]] = defaultdict(list)
    for event in played.log.of(EventKind.PROPOSED):
        assert event.candidate is not None
        if not event.parent_id:
            found[event.candidate.predictor, event.turn_id].append(event.candidate)
    return {name: [found[name, turn_id] for turn_id in played.turns] for name in names}


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0
