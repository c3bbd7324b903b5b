"""Effects that are committed and that the loaded checkpoint does not know: the run, resumed, asks again.

A checkpoint can be older than the journal: the process was killed after a tool had run and before that
was saved. The model then runs again, and the same call comes under new ids.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from specflow.effects.call import Call
from specflow.errors import ConflictError, FencedError, JournalError, SpecflowError
from specflow.execution.door import Door
from specflow.execution.finish import finish
from specflow.execution.order import Done
from specflow.journal.port import Journal
from specflow.journal.record import AGAIN, EffectRow, Kept, Lease
from specflow.journal.rules import ORPHANED
from specflow.lifecycle import BranchState, Stage
from specflow.settlement.recover import settle_taken
from specflow.settlement.rest import Settler
from specflow.speculation.conversation import Conversation, lost

log = logging.getLogger("specflow")

PAUSES = (0.2, 1.0)
"""Seconds before the second and third try to have them taken back: after this, nobody would."""


class Orphans:
    """What may be adopted once more, by fingerprint, in this run and in no other."""

    def __init__(self, kept: Iterable[Kept], known: Conversation, *, before: Orphans | None = None) -> None:
        """`kept` is all that the run has committed, `known` what the loaded checkpoint knows.

        `before` are those of an earlier point in the same session: what could not be given stays refused.
        """
        self._known = known
        self._left: dict[str, list[Kept]] = {}
        self._refused: dict[str, EffectRow] = dict(before.refused) if before is not None else {}
        self._going: list[Kept] = []
        self._lock = asyncio.Lock()
        for item in kept:
            self._leave(item)

    @property
    def refused(self) -> Mapping[str, EffectRow]:
        """By fingerprint: what stands and cannot be given again."""
        return self._refused

    def __len__(self) -> int:
        """How many would be taken back, were this the end of the run."""
        return 0 if self._known.branched else len(self._lost())

    def holds(self, fingerprint: str) -> bool:
        """Whether such a call has already had its effect, and waits to be asked for, or cannot be given."""
        return bool(self._lost(fingerprint)) or fingerprint in self._refused

    def _lost(self, fingerprint: str | None = None) -> list[Kept]:
        # INVARIANT: what the conversation knows happened; nobody gets it twice, and nobody undoes it.
        # Asked anew each time: of a part that is not under way again yet, it is not known that it is.
        groups = self._left.values() if fingerprint is None else [self._left.get(fingerprint, [])]
        return [item for items in groups for item in items if lost(item, self._known)]

    def found(self, effect_id: str) -> None:
        """The run has asked for this one under its old name."""
        self._take({effect_id})

    def asked(self, identity: str) -> None:
        """The run asks for what had this name, or for a further try of it."""
        items = [item for items in self._left.values() for item in items]
        self._take(
            {
                item.effect.effect_id
                for item in items
                if any(name.partition(AGAIN)[0] == identity for name in item.identities)
            }
        )

    async def adopt(  # noqa: PLR0917 - what it takes, and the call
        self, journal: Journal, door: Door, lease: Lease, call: Call, identity: str, moment: str = ""
    ) -> Done | None:
        """The recorded result of the first orphan that is this very call; None when there is none.

        Raises:
            ConflictError: it is on record that it happened, but its result cannot be given again. It stands,
                and is not made a second time in this run, under whatever name.
            JournalError: the journal does not answer; it may be asked for again.
        """
        while found := self._lost(call.fingerprint):
            (item,) = self._take({found[0].effect.effect_id})
            row = item.effect
            try:
                again = await finish(journal.readopt(lease, row.effect_id, identity, moment=moment))
                if not again and await self._stands(journal, row):
                    # The answer to an earlier try was lost: it has a name in this session already.
                    self._refused[call.fingerprint] = row
            except asyncio.CancelledError:
                self._refused[call.fingerprint] = row
                raise
            except Exception:
                # INVARIANT: whoever asks next meets it again, and does not make the call beside it.
                self._leave(item)
                raise
            if again:
                for made in item.moments:
                    self._known.give(made)
                return Done(value=self._given(door, row), effect_id=row.effect_id, replayed=True)
        refused = self._refused.get(call.fingerprint)
        if refused is not None:
            raise ConflictError(
                f"{call.tool} is on record as done in this run (journal effect {refused.effect_id}); its "
                "result cannot be given again",
                hint=f"look at it with: specflow journal show {refused.effect_id}",
                effect_id=refused.effect_id,
            )
        return None

    def meeting(self, meets: Callable[[EffectRow], bool]) -> bool:
        """Whether one whose undo writes back what was there before has to go before what `meets` it."""
        owed = [] if self._known.branched else self._lost()
        return any(_meets(item, meets) for item in (*self._going, *owed))

    async def make_way(
        self,
        journal: Journal,
        settler: Settler,
        lease: Lease,
        told: Callable[[EffectRow], None],
        meets: Callable[[EffectRow], bool],
    ) -> None:
        """Take back now, before the run writes the same, what is undone by writing back what was before it.

        At the end of the run that would undo what the run itself has written since.
        """
        if self.meeting(meets):
            chosen = self._condemn(journal, settler, lease, told, lambda item: _meets(item, meets))
            # To its end, whatever becomes of the call; who closes the session waits for it.
            await asyncio.shield(asyncio.ensure_future(chosen))

    async def quiet(self) -> None:
        """Wait until nothing is being taken back."""
        async with self._lock:
            pass

    async def take_back(
        self, journal: Journal, settler: Settler, lease: Lease, told: Callable[[EffectRow], None]
    ) -> None:
        """The run has ended and never asked for the rest: undo it, newest first, or mark it as stuck.

        Raises:
            FencedError: the lease is lost; the run goes on elsewhere, and so do its orphans.
            SpecflowError: the first that kept one of their sessions from being settled, when all are tried.
        """
        await self._condemn(journal, settler, lease, told, lambda _item: True)

    async def _condemn(
        self,
        journal: Journal,
        settler: Settler,
        lease: Lease,
        told: Callable[[EffectRow], None],
        chosen: Callable[[Kept], bool],
    ) -> None:
        async with self._lock:
            if self._known.branched:
                return  # the other branch of the conversation stands, and knows them
            ids = {item.effect.effect_id for item in self._lost() if chosen(item)}
            items = self._take(ids)
            items.sort(key=lambda item: (item.effect.created_at, item.effect.seq), reverse=True)
            if not items:
                return
            self._going = items
            try:
                leases = await _condemned(journal, lease, items)
            except SpecflowError:
                for item in items:
                    self._leave(item)
                raise
            else:
                await _settle(journal, settler, leases, told)
            finally:
                self._going = []

    def _given(self, door: Door, row: EffectRow) -> object:
        try:
            return door.recorded(row)
        except ConflictError:
            self._refused[row.fingerprint] = row
            raise

    @staticmethod
    async def _stands(journal: Journal, row: EffectRow) -> bool:
        now, state = await journal.effect(row.effect_id), await journal.branch_state(row.branch_id)
        if now is None:
            return False
        return now.stage is Stage.COMMITTED or (now.stage is Stage.DONE and state == BranchState.CONFIRMED)

    def _leave(self, item: Kept) -> None:
        self._left.setdefault(item.effect.fingerprint, []).append(item)

    def _take(self, effect_ids: Collection[str]) -> list[Kept]:
        taken: list[Kept] = []
        for fingerprint, items in tuple(self._left.items()):
            taken += [item for item in items if item.effect.effect_id in effect_ids]
            items[:] = [item for item in items if item.effect.effect_id not in effect_ids]
            if not items:
                del self._left[fingerprint]
        return taken


def _meets(item: Kept, meets: Callable[[EffectRow], bool]) -> bool:
    """Whether its undo writes back what was there before it, over what `meets` it or what amended it."""
    return item.rows[-1].before_known and any(map(meets, item.rows))


async def _condemned(journal: Journal, lease: Lease, items: Sequence[Kept]) -> tuple[Lease, ...]:
    ids = [item.effect.effect_id for item in items]
    log.warning(
        "%d effects are on record that the resumed run never asked for: they are taken back (%s)",
        len(ids),
        ", ".join(ids),
    )
    # INVARIANT: what somebody has adopted since we looked is not taken back.
    seen = frozenset(name for item in items for name in item.identities)
    for pause in PAUSES:
        try:
            return await journal.condemn(lease, ids, seen=seen)
        except FencedError:
            raise
        except JournalError as error:
            log.warning("they are not taken back yet: %s", error)
        await asyncio.sleep(pause)
    return await journal.condemn(lease, ids, seen=seen)


async def _settle(
    journal: Journal, settler: Settler, leases: Iterable[Lease], told: Callable[[EffectRow], None]
) -> None:
    trouble: SpecflowError | None = None
    for lease in leases:
        try:
            await settle_taken(journal, settler, lease, cause=ORPHANED, told=told)
        except SpecflowError as error:
            trouble = trouble or error
    if trouble is not None:
        raise trouble
