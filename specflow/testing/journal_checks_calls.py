"""The contract's checks of calls whose effect lives in the journal's own database."""

from __future__ import annotations

from specflow.errors import FencedError, JournalError, TransactionError
from specflow.journal.record import IN_ITS_ROW, Outcome
from specflow.lifecycle import Stage
from specflow.testing.journal_bench import DONE, Bench, check, path_of, refuses, to_stage


@check
async def a_journal_that_is_no_database_offers_no_transaction(bench: Bench) -> None:
    lease = await bench.lease()
    effect_id = await bench.start(lease, verify=IN_ITS_ROW)
    row = await bench.journal.effect(effect_id)
    assert row is not None
    assert row.in_journal
    if bench.journal.offers_transactions:
        await (await bench.journal.transaction(lease, effect_id)).rollback()
    else:
        await refuses(JournalError, bench.journal.transaction(lease, effect_id))
    assert await bench.stage(effect_id) is Stage.INTENDED


@check
async def an_outcome_in_a_transaction_is_as_any_other(bench: Bench) -> None:
    journal, lease = bench.journal, await bench.lease()
    effect_id = await bench.start(lease, verify=IN_ITS_ROW)
    if not journal.offers_transactions:
        return
    assert await (await journal.transaction(lease, effect_id)).record(DONE)
    row = await journal.effect(effect_id)
    assert row is not None
    assert (row.stage, row.result, row.rev) == (Stage.DONE, DONE.result, 2)
    assert path_of(await bench.rows(), effect_id) == [("", "intended"), ("intended", "done")]
    again = await journal.transaction(lease, effect_id)
    assert not await again.record(DONE), "it was not intended any more"
    assert await journal.abort(lease, bench.branch(), "mismatch")
    await journal.move(lease, effect_id, Stage.DONE, Stage.COMPENSATING, comp_key=f"{bench.tag}-undo")
    undo = await journal.transaction(lease, effect_id)
    assert await undo.move(Stage.COMPENSATING, Stage.COMPENSATED, cause="mismatch")
    assert await bench.stage(effect_id) is Stage.COMPENSATED
    late = await journal.transaction(lease, effect_id)
    assert not await late.move(Stage.COMPENSATING, Stage.COMPENSATED)
    assert path_of(await bench.rows(), effect_id)[-1] == ("compensating", "compensated")


@check
async def nothing_of_a_zombie_is_kept(bench: Bench) -> None:
    journal, lease = bench.journal, await bench.lease()
    effect_id = await bench.start(lease, verify=IN_ITS_ROW)
    undone = await to_stage(bench, lease, "undone", Stage.COMPENSATING)
    if not journal.offers_transactions:
        return
    assert await journal.take_session(lease.session_id, owner="heir", force=True)
    await refuses(FencedError, (await journal.transaction(lease, effect_id)).record(DONE))
    undo = await journal.transaction(lease, undone)
    await refuses(FencedError, undo.move(Stage.COMPENSATING, Stage.COMPENSATED))
    assert await bench.stage(effect_id) is Stage.INTENDED
    assert await bench.stage(undone) is Stage.COMPENSATING


@check
async def a_transaction_ends_once(bench: Bench) -> None:
    journal, lease = bench.journal, await bench.lease()
    effect_id = await bench.start(lease, verify=IN_ITS_ROW)
    if not journal.offers_transactions:
        return
    transaction = await journal.transaction(lease, effect_id)
    await transaction.rollback()
    await transaction.rollback()
    await refuses(TransactionError, transaction.record(DONE))
    assert await journal.record(lease, effect_id, Outcome(stage=Stage.FAILED, error="rolled back"))
