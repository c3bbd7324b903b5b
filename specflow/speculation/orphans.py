"""Effects that are committed and that the loaded checkpoint does not know: the run, resumed, asks again.

A checkpoint can be older than the journal: the process was killed after a tool had run and before that
was saved. The model then runs again, and the same call comes under new ids.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable

from specflow.effects.call import Call
from specflow.execution.door import AGAIN, Done, Door
from specflow.journal.port import Journal
from specflow.journal.record import EffectRow, Kept, Lease
from specflow.journal.rules import ORPHANED
from specflow.settlement.recover import settle_session
from specflow.settlement.rest import Settler

log = logging.getLogger("specflow")


class Orphans:
    """What may be adopted once more, by fingerprint, in this run and in no other."""

    def __init__(self, kept: Iterable[Kept], known: Collection[str]) -> None:
        """`known` are the identities of the calls that the checkpoint's messages hold."""
        self._left: dict[str, list[EffectRow]] = {}
        for item in kept:
            # INVARIANT: what the conversation knows happened; nobody gets it twice, and nobody undoes it.
            if not any(name.partition(AGAIN)[0] in known for name in item.identities):
                self._left.setdefault(item.effect.fingerprint, []).append(item.effect)

    def __len__(self) -> int:
        return sum(map(len, self._left.values()))

    def holds(self, fingerprint: str) -> bool:
        """Whether such a call has already had its effect, and waits to be asked for."""
        return fingerprint in self._left

    def found(self, effect_id: str) -> None:
        """The run has asked for this one under its old name."""
        for fingerprint, rows in tuple(self._left.items()):
            rows[:] = [row for row in rows if row.effect_id != effect_id]
            if not rows:
                del self._left[fingerprint]

    async def adopt(
        self, journal: Journal, door: Door, lease: Lease, call: Call, identity: str
    ) -> Done | None:
        """The recorded result of the first orphan that is this very call; None when there is none.

        Raises:
            ConflictError: it is on record that it happened, but its result cannot be given again.
        """
        for row in tuple(self._left.get(call.fingerprint, ())):
            self.found(row.effect_id)
            if await journal.readopt(lease, row.effect_id, identity):
                return Done(value=door.recorded(row), effect_id=row.effect_id, replayed=True)
        return None

    async def take_back(
        self, journal: Journal, settler: Settler, lease: Lease, told: Callable[[EffectRow], None]
    ) -> None:
        """The run has ended and never asked for the rest: undo it, newest first, or mark it as stuck."""
        rows = sorted(
            (row for rows in self._left.values() for row in rows),
            key=lambda row: (row.created_at, row.seq),
            reverse=True,
        )
        self._left.clear()
        if not rows:
            return
        log.warning(
            "%d effects are on record that the resumed run never asked for: they are taken back (%s)",
            len(rows),
            ", ".join(row.effect_id for row in rows),
        )
        for condemned in await journal.condemn(lease, [row.effect_id for row in rows]):
            await settle_session(journal, settler, condemned, cause=ORPHANED, told=told)
