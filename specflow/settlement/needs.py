"""Which tools bringing effects to rest may need: known before anything is moved."""

from __future__ import annotations

from collections.abc import Iterable

from specflow.effects.registry import ToolRegistry
from specflow.journal.record import EffectRow
from specflow.lifecycle import RESTING, TERMINAL, Stage


def missing_tools(
    rows: Iterable[EffectRow], registry: ToolRegistry, *, saga: bool = False
) -> tuple[str, ...]:
    """Names of compensators and verify tools that `rows` may need and `registry` does not know, sorted.

    Without them those effects could only be marked stuck. `saga`: what is committed is taken back, too.
    """
    at_rest = TERMINAL | {Stage.STUCK} if saga else RESTING
    needed: set[str] = set()
    for row in rows:
        if row.stage not in at_rest:
            if row.undo is not None and not row.undo.covered_by:
                needed.add(row.undo.tool)
            unsure = row.stage in {Stage.INTENDED, Stage.UNKNOWN} and not row.in_journal
            if unsure and row.verify is not None:
                needed.add(row.verify.tool)
    return tuple(sorted(name for name in needed if name not in registry))
