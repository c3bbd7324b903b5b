"""How far the totals of a replay could have come out otherwise: 95 % intervals over tasks.

Runs of one task are not independent, so tasks are drawn again and not runs (Efron's bootstrap).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from specflow.replay.interval import Interval, draws, ends, interval_of_sums, intervals_of_columns
from specflow.replay.misfires import Counts, Misfires
from specflow.replay.percentiles import RANKS, percentiles
from specflow.speculation.misfire import Misfire

PARTS = (
    *("sequential_seconds", "saved_seconds", "oracle_seconds", "chained_oracle_seconds"),
    *("run_oracle_seconds", "known_oracle_seconds"),
    *("regret_seconds", "regret_withheld_seconds", "regret_late_seconds", "regret_begun_late_seconds"),
    "wasted_seconds",
    *("launched", "wasted_calls", "wasted_usd"),
)
KINDS = tuple(str(kind) for kind in Misfire)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one run adds: `amounts` in the order of `PARTS`, then its misfires in that of `KINDS`; the
    seconds of its steps on both sides; and its misfires once more, by whose they were.
    """

    task: str
    amounts: tuple[float, ...]
    sequential: Sequence[float]
    speculative: Sequence[float]
    misfires: Misfires = field(default_factory=Misfires)


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

    def misfires(self) -> dict[str, dict[str, dict[str, Interval]]]:
        """The same for the misfires by predictor and by tool: of each class, and of `all` of them."""
        found: dict[str, dict[str, dict[str, Interval]]] = {}
        for side in ("by_predictor", "by_tool"):
            rows = [(share.task, _columns(getattr(share.misfires, side))) for share in self.shares]
            mine = found[f"misfires_{side}"] = {}
            for (name, kind), interval in sorted(intervals_of_columns(rows).items()):
                mine.setdefault(name, {})[kind] = interval
        return found

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


def _columns(counted: Counts) -> dict[tuple[str, str], float]:
    """By name and class; also where the class did not occur, so that whoever has one has them all."""
    found = {(name, kind): float(counts[Misfire(kind)]) for name, counts in counted.items() for kind in KINDS}
    return {**found, **{(name, "all"): float(counts.total()) for name, counts in counted.items()}}
