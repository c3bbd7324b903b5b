"""The misfires of replayed runs, counted by class: for each predictor, and for each tool."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from specflow.journal.event import CallEvent
from specflow.speculation.hindsight import Hindsight, Missed
from specflow.speculation.misfire import Misfire

Counts = dict[str, Counter[Misfire]]


@dataclass(slots=True)
class Misfires:
    """How many early calls nobody adopted, by what was wrong with them; the same calls, added up twice."""

    by_predictor: Counts = field(default_factory=lambda: defaultdict(Counter))
    by_tool: Counts = field(default_factory=lambda: defaultdict(Counter))

    def count(self, missed: Iterable[Missed]) -> None:
        """Count these in."""
        for one in missed:
            self.by_predictor[one.predictor][one.kind] += 1
            self.by_tool[one.tool][one.kind] += 1

    def include(self, other: Misfires) -> None:
        """Add the counts of other runs."""
        for mine, theirs in ((self.by_predictor, other.by_predictor), (self.by_tool, other.by_tool)):
            for name, counts in theirs.items():
                mine[name] += counts

    def total(self) -> dict[str, int]:
        """The count of each class, all of them."""
        return _row(sum(self.by_predictor.values(), Counter()))

    def rows(self) -> dict[str, dict[str, int]]:
        """The same for each predictor that has any."""
        return _rows(self.by_predictor)

    def tool_rows(self) -> dict[str, dict[str, int]]:
        """The same for each tool that has any."""
        return _rows(self.by_tool)


def _rows(counted: Counts) -> dict[str, dict[str, int]]:
    return {name: _row(counts) for name, counts in sorted(counted.items())}


def misfires_of(events: Iterable[CallEvent]) -> Iterator[Missed]:
    """The misfires of a run that is over, one for each early call that nobody adopted.

    A run of several sessions is one conversation: what a later session calls was too early in the first.
    """
    hindsight = Hindsight(keep=True)
    for event in events:
        hindsight.see(event)
    yield from hindsight.rest()


def _row(counts: Counter[Misfire]) -> dict[str, int]:
    return {str(kind): counts[kind] for kind in Misfire}
