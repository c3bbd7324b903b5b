"""How far the totals of a replay could have come out otherwise: 95 % intervals over tasks.

Runs of one task are not independent, so tasks are drawn again and not runs (Efron's bootstrap).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from specflow.replay.interval import Interval, draws, ends, interval_of_sums
from specflow.replay.percentiles import RANKS, percentiles
from specflow.speculation.misfire import Misfire

PARTS = (
    *("sequential_seconds", "saved_seconds", "oracle_seconds", "regret_seconds", "wasted_seconds"),
    *("launched", "wasted_calls", "wasted_usd"),
)
KINDS = tuple(str(kind) for kind in Misfire)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one run adds: `amounts` in the order of `PARTS`, then its misfires in that of `KINDS`; and the
    seconds of its steps on both sides.
    """

    task: str
    amounts: tuple[float, ...]
    sequential: Sequence[float]
    speculative: Sequence[float]


@dataclass(slots=True)
class Spread:
    """The runs of a total, each by itself."""

    shares: list[Share] = field(default_factory=list)

    def amounts(self) -> dict[str, Any]:
        """For each part of a total the 2.5 % and 97.5 % points; None for a single task."""
        rows = [(share.task, share.amounts) for share in self.shares]
        return {
            "tasks": len({task for task, _ in rows}),
            **{part: interval_of_sums(rows, itemgetter(at)) for at, part in enumerate(PARTS)},
            "misfires": {
                kind: interval_of_sums(rows, itemgetter(at))
                for at, kind in enumerate(KINDS, start=len(PARTS))
            },
        }

    def latency(self) -> dict[str, dict[str, Interval]]:
        """The same for the percentiles of a step."""
        found = {}
        for side in ("sequential", "speculative"):
            by_task: dict[str, list[float]] = defaultdict(list)
            for share in self.shares:
                by_task[share.task] += getattr(share, side)
            drawn = [percentiles([one for steps in draw for one in steps]) for draw in draws(by_task)]
            found[side] = {rank: ends([row[rank] for row in drawn]) for rank in RANKS}
        return found
