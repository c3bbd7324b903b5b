"""A call whose effect lives in the journal's own database: each try in a transaction, the last is committed.

With the commit the outcome is on record and the effect is there; without it there is neither. Nothing in
between can be seen, so nothing has to be found out afterwards.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from specflow.effects.call import Call
from specflow.effects.tool import CallContext, Runner
from specflow.errors import ConflictError, FencedError, SpecflowError
from specflow.execution.finish import finish
from specflow.execution.inside import being_inside, holding_transaction, inside
from specflow.execution.missed import Missed
from specflow.journal.port import Journal, Transaction
from specflow.journal.record import Lease, Outcome
from specflow.lifecycle import Stage


class InJournal:
    """A runner that hands the tool a transaction, and then ends it. Not to be used for two calls at once."""

    def __init__(
        self, journal: Journal, lease: Lease, effect_id: str, runner: Runner, *, parameter: str
    ) -> None:
        """`parameter` is the tool's that takes the transaction."""
        self._journal = journal
        self._lease = lease
        self._effect_id = effect_id
        self._runner = runner
        self._parameter = parameter
        self._open: Transaction | None = None
        self.certain = True
        """Whether it is known, after something went wrong, that nothing of it is kept."""

    async def __call__(self, call: Call, context: CallContext) -> Any:
        await self.give_up()  # of the try before
        transaction = await self._journal.transaction(self._lease, self._effect_id)
        self._open = transaction
        given = replace(context, transaction=transaction.connection, transaction_parameter=self._parameter)
        try:
            with holding_transaction(self._effect_id), being_inside((*inside(), self._effect_id)):
                return await self._runner(call, given)
        except BaseException:
            await finish(transaction.rollback())
            raise

    async def give_up(self) -> None:
        """Keep nothing of the try that is open, also where its body still runs."""
        transaction, self._open = self._open, None
        if transaction is not None:
            await finish(transaction.rollback())

    async def record(self, outcome: Outcome, missed: Missed) -> None:
        """Keep what the try has done, with its outcome. When it raises nothing is kept, if `certain`.

        Raises:
            FencedError: somebody has taken the session over.
            ConflictError: the effect is not intended any more: somebody has settled it.
            TransactionError: the tool has spoilt its transaction.
            JournalError: the database refused, or failed.
        """
        try:
            written = await self._taken().record(outcome)
        except FencedError:
            raise
        except SpecflowError as error:
            self.certain = False
            kept = await self._kept(error, missed)
            self.certain = True
            if kept:
                return
            raise
        if not written:
            raise ConflictError(
                f"effect {self._effect_id} was settled before its call had ended: nothing of it is kept",
                hint="raise its `timeout`, or look who settled it: specflow journal show",
                effect_id=self._effect_id,
            )

    async def undone(self, cause: str) -> bool:
        """Keep what a compensator has done, with the stage that says so. False: somebody else was first."""
        return await self._taken().move(Stage.COMPENSATING, Stage.COMPENSATED, cause=cause)

    async def _kept(self, error: SpecflowError, missed: Missed) -> bool:
        """Whether the commit was made although its answer was lost; if not, that is on record then."""
        # INVARIANT: one compare-and-set of the row decides, after the transaction: it waits for its locks.
        failed = Outcome(stage=Stage.FAILED, error=f"not committed: {error.message}"[:2000])
        if await missed.record(self._lease, self._effect_id, failed):
            return False
        row = await self._journal.effect(self._effect_id)
        return row is not None and row.stage is Stage.DONE

    def _taken(self) -> Transaction:
        transaction, self._open = self._open, None
        assert transaction is not None
        return transaction
