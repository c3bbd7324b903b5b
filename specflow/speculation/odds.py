"""How likely a guess is right: the predictor's word at first, then how its guesses have ended.

For each (tool, predictor, bucket) the probability has a Beta posterior. Its prior is the candidate's own
confidence c, worth `PRIOR` observed guesses: Beta(PRIOR * c, PRIOR * (1 - c)). What is known of the tool and
the predictor in all buckets together moves the prior's mean first, so that a bucket hardly seen yet starts
from there (empirical Bayes, Gelman et al., Bayesian Data Analysis, ch. 5). A guess that was adopted counts
for, one that was started and lost against; every outcome fades by `FADING` with the next, so that the last
fifty or so count: predictors drift.

The gate goes by the lower end of the posterior's one-sided 90 % interval, approximated by Wilson's score
bound (Wilson 1927) with n = a + b and mean a / n. It is exact enough for money: never more than 0.03 above
the exact quantile, below it by up to 0.17 where nothing but a very sure prior is known, and within 0.03 from
fifty outcomes on. Unlike the normal approximation it stays in [0, 1], and more confidence or one more hit
never lowers it.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from specflow.journal.event import Outcomes
from specflow.journal.record import PredictionRow

PRIOR = 8.0
"""Observed guesses that a predictor's own confidence is worth."""

FADING = 0.98
"""Of its weight an outcome keeps with each further one: 50 outcomes weigh as much as all before them."""

QUANTILE = 1.2815515655446004
"""Standard normal quantile of 0.9."""

MOST_KEYS = 4_096
"""Keys that are remembered; the one that was not asked for or taught for longest goes first."""

BLAMELESS = frozenset({"preempted", "shutdown", "claimed", "on_record", "elsewhere", "loop_ended"})
"""Causes that end a guess and say nothing about whether it was right, such as a call that was never made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Whose guess it is, of which tool; `bucket` tells situations apart in which it fares differently."""

    tool: str
    predictor: str
    bucket: str = ""

    @property
    def everywhere(self) -> Source:
        """The same in all situations together."""
        return Source(tool=self.tool, predictor=self.predictor)


class Odds:
    """Belongs to the runtime: shared by its sessions, safe from any thread. No draw, no clock."""

    def __init__(self) -> None:
        self._seen: OrderedDict[Source, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def posterior(self, source: Source, confidence: float) -> tuple[float, float]:
        """The parameters a and b of the Beta posterior for a guess of that confidence (in [0, 1])."""
        with self._lock:
            mean = confidence
            if source.bucket:
                hits, lost = self._get(source.everywhere)
                mean = (PRIOR * mean + hits) / (PRIOR + hits + lost)
            hits, lost = self._get(source)
        return PRIOR * mean + hits, PRIOR * (1.0 - mean) + lost

    def bound(self, source: Source, confidence: float) -> float:
        """What the probability is at least, with 90 % certainty."""
        return lower_bound(*self.posterior(source, confidence))

    def saw(self, source: Source, *, right: bool) -> None:
        """A guess was adopted (`right`), or was started and lost."""
        with self._lock:
            self._teach(source, right)
            if source.bucket:
                self._teach(source.everywhere, right)

    def load(self, rows: Iterable[PredictionRow]) -> None:
        """Learn from what a journal has kept, oldest first."""
        for row in rows:
            if counts(row.cause):
                source = Source(tool=row.tool, predictor=row.predictor)
                self.saw(source, right=row.outcome in {Outcomes.HIT, Outcomes.LATE})

    def _get(self, source: Source) -> tuple[float, float]:
        found = self._seen.get(source)
        if found is None:
            return 0.0, 0.0
        self._seen.move_to_end(source)
        return found

    def _teach(self, source: Source, right: bool) -> None:
        hits, lost = self._get(source)
        if source not in self._seen and len(self._seen) >= MOST_KEYS:
            self._seen.popitem(last=False)
        self._seen[source] = (hits * FADING + right, lost * FADING + (not right))


def counts(cause: str) -> bool:
    """Whether an end with that cause says something about the guess."""
    return cause not in BLAMELESS


def lower_bound(a: float, b: float) -> float:
    """An approximation of the 10 % quantile of Beta(a, b), for a + b >= `PRIOR`; see the module."""
    n = a + b
    mean, z2 = a / n, QUANTILE * QUANTILE
    spread = QUANTILE * math.sqrt(mean * (1.0 - mean) / n + z2 / (4.0 * n * n))
    return max(0.0, (mean + z2 / (2.0 * n) - spread) / (1.0 + z2 / n))
