"""The contract's checks of calls made once more under their old key, and of answers that come late."""

from __future__ import annotations

import asyncio
import math
from typing import Any

from specflow.errors import FencedError, InvariantError
from specflow.journal.record import EffectRow, Lease, Outcome
from specflow.journal.verify import verify
from specflow.lifecycle import Stage
from specflow.testing.journal_bench import DONE, REACHED, Bench, check, path_of, refuses, to_stage

LOST = Outcome(stage=Stage.UNKNOWN, error="lost")
NEVER = Outcome(stage=Stage.FAILED, error="verified: it did not happen")


async def unknown(bench: Bench, lease: Lease, name: str = "e", until: float | None = 10.0) -> EffectRow:
    """A real, keyed call of which nobody knows what became."""
    changes = {"adopted_by": bench.real(name), "keyed": True, "call_deadline": until}
    return await _row(bench, await to_stage(bench, lease, name, Stage.UNKNOWN, **changes))


async def _row(bench: Bench, effect_id: str) -> EffectRow:
    row = await bench.journal.effect(effect_id)
    assert row is not None
    return row


@check
async def a_repetition_is_on_record_with_its_own_deadline(bench: Bench) -> None:
    journal, lease = bench.journal, await bench.lease()
    before = await unknown(bench, lease)
    assert await journal.repeat(lease, before.effect_id, rev=before.rev, call_deadline=25.5)
    row = await _row(bench, before.effect_id)
    assert (row.stage, row.call_deadline, row.rev) == (Stage.INTENDED, 25.5, before.rev + 1)
    assert (row.idem_key, row.attempts, row.error) == (before.idem_key, 0, before.error)
    rows = await bench.rows()
    event = [event for event in rows.events if event.subject == row.effect_id][-1]
    assert (event.source, event.target, event.cause) == ("unknown", "intended", "again")
    assert (event.facts, event.fence) == ({"call_deadline": 25.5}, lease.fence)
    assert await journal.record(lease, row.effect_id, DONE)
    await journal.close_session(lease)
    rows = await bench.rows()
    assert [target for _, target in path_of(rows, row.effect_id)][1:] == [
        "unknown", "intended", "done", "committed",
    ]  # fmt: skip
    assert verify(rows) == ()


@check
async def only_one_of_two_repeats_what_both_have_read(bench: Bench) -> None:
    journal, lease = bench.journal, await bench.lease()
    row = await unknown(bench, lease)
    tries = [journal.repeat(lease, row.effect_id, rev=row.rev, call_deadline=until) for until in (20.0, 30.0)]
    assert sorted(await asyncio.gather(*tries)) == [False, True]
    assert await journal.record(lease, row.effect_id, LOST)
    assert not await journal.repeat(lease, row.effect_id, rev=row.rev, call_deadline=40.0), (
        "read too long ago"
    )
    assert await journal.repeat(lease, row.effect_id, rev=row.rev + 2, call_deadline=40.0)


@check
async def only_what_is_unknown_and_wanted_is_repeated(bench: Bench) -> None:
    journal, lease = bench.journal, await bench.lease()
    for stage in REACHED:
        effect_id = await to_stage(bench, lease, stage.value, stage, keyed=True)
        rev = (await _row(bench, effect_id)).rev
        # Of these one is unknown, and it is a guess that nobody has adopted.
        assert not await journal.repeat(lease, effect_id, rev=rev, call_deadline=math.pi), stage
        await refuses(
            InvariantError, journal.move(lease, effect_id, Stage.UNKNOWN, Stage.INTENDED, cause="by hand")
        )
    assert await journal.abort(lease, bench.branch("unknown"), "mismatch")
    lost = await _row(bench, f"{bench.tag}-unknown")
    assert not await journal.repeat(lease, lost.effect_id, rev=lost.rev, call_deadline=math.pi)
    real = await unknown(bench, lease, "real")
    elsewhere = await bench.lease("other")
    assert not await journal.repeat(elsewhere, real.effect_id, rev=real.rev, call_deadline=20.0)
    assert not await journal.repeat(lease, "nothing", rev=1, call_deadline=20.0)
    assert await journal.decide_session(lease, "saga_aborted")
    assert not await journal.repeat(lease, real.effect_id, rev=real.rev, call_deadline=20.0), (
        "it is taken back"
    )


@check
async def a_repetition_hides_no_earlier_try(bench: Bench) -> None:
    journal, lease = bench.journal, await bench.lease()
    row = await unknown(bench, lease)
    for sooner in (9.75, math.nan, math.inf):
        again = journal.repeat(lease, row.effect_id, rev=row.rev, call_deadline=sooner)
        await refuses(InvariantError, again)
    unkeyed = await _row(bench, await to_stage(bench, lease, "b", Stage.UNKNOWN, adopted_by=bench.real("b")))
    again = journal.repeat(lease, unkeyed.effect_id, rev=unkeyed.rev, call_deadline=20.0)
    await refuses(InvariantError, again)
    assert (await _row(bench, row.effect_id)) == row
    unbounded = await unknown(bench, lease, "c", until=None)
    assert await journal.repeat(lease, unbounded.effect_id, rev=unbounded.rev, call_deadline=0.5)
    assert await journal.repeat(lease, row.effect_id, rev=row.rev, call_deadline=10.0), (
        "the same is no sooner"
    )


@check
async def nothing_is_repeated_under_an_old_fence(bench: Bench) -> None:
    journal, lease = bench.journal, await bench.lease()
    row = await unknown(bench, lease)
    heir = await journal.take_session(lease.session_id, owner="heir", force=True)
    assert heir is not None
    given: dict[str, Any] = {"rev": row.rev, "call_deadline": 20.0}
    await refuses(FencedError, journal.repeat(lease, row.effect_id, **given))
    assert (await _row(bench, row.effect_id)) == row
    assert await journal.repeat(heir, row.effect_id, **given)
    assert (await _row(bench, row.effect_id)).fence == heir.fence


@check
async def what_was_found_out_before_a_repetition_does_not_count_after_it(bench: Bench) -> None:
    """Who asks waits for a deadline, asks, and is told no; meanwhile it is called again."""
    journal, lease = bench.journal, await bench.lease()
    row = await unknown(bench, lease)
    assert await journal.repeat(lease, row.effect_id, rev=row.rev, call_deadline=20.0)
    assert not await journal.record(lease, row.effect_id, NEVER, rev=row.rev)
    assert await bench.stage(row.effect_id) is Stage.INTENDED
    assert await journal.record(lease, row.effect_id, LOST, rev=row.rev + 1)
    assert not await journal.record(lease, row.effect_id, NEVER, rev=row.rev), "nor when that is lost as well"
    assert await bench.stage(row.effect_id) is Stage.UNKNOWN
    assert await journal.record(lease, row.effect_id, NEVER, rev=row.rev + 2)
    assert await bench.stage(row.effect_id) is Stage.FAILED
    assert verify(await bench.rows()) == ()


@check
async def a_call_may_say_how_it_ended_until_it_is_repeated(bench: Bench) -> None:
    journal, lease = bench.journal, await bench.lease()
    for name, repeated in (("a", False), ("b", True)):
        row = await unknown(bench, lease, name)  # intended at revision 1, given up for lost at 2
        if repeated:
            assert await journal.repeat(lease, row.effect_id, rev=row.rev, call_deadline=20.0)
        assert await journal.record(lease, row.effect_id, NEVER, rev=1) is not repeated
    told = await bench.start(lease, "c", adopted_by=bench.real("c"))
    assert await journal.record(lease, told, NEVER, rev=1)
    assert not await journal.record(lease, told, DONE, rev=1), "once"
    assert not await journal.record(lease, "nothing", DONE, rev=1)
    yes = await unknown(bench, lease, "d")
    assert await journal.repeat(lease, yes.effect_id, rev=yes.rev, call_deadline=20.0)
    assert await journal.record(lease, yes.effect_id, DONE), "that it happened is true whoever says so"
