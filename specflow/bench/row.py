"""One line of what `specflow bench` found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from specflow.bench.paired import Paired

DIGITS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """`value` and `baseline` are medians in `unit`; `ratio` is the median of value/baseline over `n`
    rounds, `low` and `high` its quartiles. A comparison that could not be made has None in all five and
    n 0, and `note` says why; otherwise `note` says what a reader should know.
    """

    bench: str
    case: str
    metric: str
    value: float | None
    unit: str
    baseline: float | None
    ratio: float | None
    n: int
    low: float | None
    high: float | None
    note: str = ""

    @property
    def skipped(self) -> bool:
        """Whether the comparison was not made."""
        return self.value is None

    def as_json(self) -> dict[str, Any]:
        """The shape programs rely on; six significant digits."""
        return {
            name: float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
            for name, value in asdict(self).items()
        }


def row(bench: str, case: str, metric: str, unit: str, found: Paired, *, note: str = "") -> Row:
    """The row of a comparison."""
    return Row(
        bench=bench,
        case=case,
        metric=metric,
        value=found.ours,
        unit=unit,
        baseline=found.baseline,
        ratio=found.ratio,
        n=found.n,
        low=found.low,
        high=found.high,
        note=note,
    )


def skipped(bench: str, case: str, metric: str, unit: str, why: str) -> Row:
    """The row of a comparison that could not be made."""
    return Row(
        bench=bench,
        case=case,
        metric=metric,
        value=None,
        unit=unit,
        baseline=None,
        ratio=None,
        n=0,
        low=None,
        high=None,
        note=f"skipped: {why}",
    )
