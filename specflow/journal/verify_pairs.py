"""I16: a patch and its base are adopted together, and taken back by the undo of the base."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from specflow.journal.cover import BASE, base_of
from specflow.journal.record import EffectRow
from specflow.journal.verify_rows import Rows, Violation, violation
from specflow.lifecycle import BranchState, Stage


def pairs_hold_together(rows: Rows) -> Iterator[Violation]:
    """Every patch against its base."""
    amended = Counter(base_of(row.undo) for row in rows.effects.values())
    needs = {(row.effect_id, row.needs_id) for row in rows.snapshot.dependencies}
    for patch in rows.effects.values():
        name = base_of(patch.undo)
        if not name:
            continue
        base = rows.effects.get(name)
        if base is None or base.session_id != patch.session_id or (patch.effect_id, name) not in needs:
            message = f"{patch.tool} amends an effect that it does not build on"
            yield violation("I16", message, patch.effect_id, name)
            continue
        if amended[name] > 1 or base_of(base.undo):
            yield violation("I16", f"{base.tool} was amended twice", name, patch.effect_id)
        for message in (*_adopted_apart(rows, base, patch), *_undone_apart(base, patch)):
            yield violation("I16", message, name, patch.effect_id)


def _adopted_apart(rows: Rows, base: EffectRow, patch: EffectRow) -> Iterator[str]:
    happened, called = rows.first(base.effect_id, Stage.DONE), rows.first(patch.effect_id, Stage.INTENDED)
    if called is not None and (happened is None or happened > called):
        yield f"{patch.tool} was called before what it amends had happened"
    expected = None if patch.adopted_by is None else patch.adopted_by + BASE
    if base.adopted_by != expected:
        yield f"{base.tool} and its patch were adopted apart"
    confirmed = rows.first(base.branch_id, BranchState.CONFIRMED)
    done = rows.first(patch.effect_id, Stage.DONE)
    if confirmed is not None and (done is None or done > confirmed):
        yield f"{base.tool} was adopted before its patch had happened"


def _undone_apart(base: EffectRow, patch: EffectRow) -> Iterator[str]:
    if patch.comp_key is not None or patch.comp_args is not None:
        yield f"{patch.tool} was undone by a call of its own"
    if patch.stage is Stage.COMPENSATED and base.stage is Stage.COMMITTED:
        yield f"{base.tool} stands, and its patch was taken back"
