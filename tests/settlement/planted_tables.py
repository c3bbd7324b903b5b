"""Bugs in calls whose effect lives in the journal's own database."""

from __future__ import annotations

from typing import Any

import pytest
from planted_bugs import bug

from specflow.errors import FencedError
from specflow.execution.in_journal import InJournal
from specflow.journal.call_transaction import OVER, CallTransaction
from specflow.journal.record import EffectRow
from specflow.lifecycle import Stage
from specflow.probe import reach


@bug(
    "effect and outcome are two commits",
    "CallTransaction._write",
    "death_leaves_effect_and_outcome_or_neither",
    "what_a_zombie_wrote_is_rolled_back",
    "an_undo_in_the_tables_is_made_once_whoever_makes_it",
)
def _(patch: pytest.MonkeyPatch) -> None:
    def apart(self: Any, operation: Any) -> Any:
        try:
            self._journal.commit()
            reach("call.recorded")
            self._journal.begin(0.0)
            tx = self._journal.transaction(0.0)
            written = operation.apply(tx)
            tx.write_events()
            self._journal.commit()
        finally:
            self._end(OVER)
        return written

    patch.setattr(CallTransaction, "_write", apart)


@bug(
    "what was written is kept although the fence is lost",
    "CallTransaction._write",
    "what_a_zombie_wrote_is_rolled_back",
)
def _(patch: pytest.MonkeyPatch) -> None:
    end = CallTransaction._end

    def kept(self: Any, why: str) -> None:
        if self._fenced and not self._over:
            self._journal.commit()
        end(self, why)

    def write(self: Any, operation: Any) -> Any:
        class Noticing:
            def apply(_self, tx: Any) -> Any:  # noqa: N805 - `self` is the transaction
                try:
                    return operation.apply(tx)
                except FencedError:
                    self._fenced = True
                    raise

        return real(self, Noticing())

    real = CallTransaction._write
    patch.setattr(CallTransaction, "_fenced", False, raising=False)
    patch.setattr(CallTransaction, "_end", kept)
    patch.setattr(CallTransaction, "_write", write)


@bug(
    "what was not committed counts as unknown",
    "EffectRow.in_journal",
    "death_leaves_effect_and_outcome_or_neither",
    "what_a_zombie_wrote_is_rolled_back",
)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(EffectRow, "in_journal", False)


@bug(
    "an undo in the journal's database, and that it is undone, are two commits",
    "InJournal.undone",
    "death_leaves_effect_and_outcome_or_neither",
    "an_undo_in_the_tables_is_made_once_whoever_makes_it",
)
def _(patch: pytest.MonkeyPatch) -> None:
    async def apart(self: Any, cause: str) -> Any:
        transaction = self._taken()
        transaction._journal.commit()
        await transaction.rollback()
        reach("call.recorded")
        move = self._journal.move
        return await move(self._lease, self._effect_id, Stage.COMPENSATING, Stage.COMPENSATED, cause=cause)

    patch.setattr(InJournal, "undone", apart)


@bug(
    "what a failed try has done is kept",
    "CallTransaction.rollback",
    "an_undo_in_the_tables_is_made_once_whoever_makes_it",
)
def _(patch: pytest.MonkeyPatch) -> None:
    rollback = CallTransaction.rollback

    async def kept(self: Any) -> None:
        if self._begun and not self._over:
            self._journal.commit()
        await rollback(self)

    patch.setattr(CallTransaction, "rollback", kept)
