"""A patch and its base: two effects that answer one real call, and stand or fall together.

The base is an early effect; the patch amends it, builds on it, and is covered by its undo. Both are adopted
in one transaction, under the name of the real call, which leads to the patch. `memory` and `sql` both ask
here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from specflow.errors import InvariantError, JournalError
from specflow.journal.record import Intent, Kept, UndoPlan
from specflow.lifecycle import BranchState, Stage

BASE = "~base"
"""After the identity of a real call: the name under which the base of its patch is adopted."""


def base_of(plan: UndoPlan | None) -> str:
    """The id of the effect that an effect with this undo amends; empty for all that amend nothing."""
    return plan.covered_by if plan is not None else ""


def check_cover(intent: Intent) -> None:
    """Refuse a patch that would not be lost with its base.

    Raises:
        InvariantError: it does not build on it, or is to be real from the start.
    """
    base = base_of(intent.undo)
    if base and (intent.adopted_by is not None or base not in intent.depends_on):
        raise InvariantError(f"{intent.tool} amends effect {base}: it builds on it, on an open branch")


def check_base(intent: Intent, stage: str, own: str, patched: bool, state: str) -> None:
    """Refuse a patch of what cannot be amended. `own` is what the base amends itself, `patched` whether
    something else amends it.

    Raises:
        JournalError: it has not happened, is decided, or is a pair already.
    """
    # INVARIANT: I16, a base has one patch, and had happened before that was intended.
    if stage == Stage.DONE and state == BranchState.OPEN and not own and not patched:
        return
    found = "amended already" if own or patched else f"{stage}, and its branch {state}"
    raise JournalError(
        f"{intent.tool} cannot amend effect {base_of(intent.undo)}, which is {found}",
        hint="nothing was written, and the call must not be made",
        effect_id=intent.effect_id,
        conflict="covered_by",
    )


def paired(kept: Iterable[Kept]) -> tuple[Kept, ...]:
    """The same, where a patch and its base are one."""
    found: Sequence[Kept] = tuple(kept)
    rows = {item.effect.effect_id: item.effect for item in found}
    bases = {base for item in found if (base := base_of(item.effect.undo))}
    return tuple(
        replace(item, base=rows.get(base_of(item.effect.undo)))
        for item in found
        if item.effect.effect_id not in bases
    )
