"""The contract's checks of what rests on what, and of taking back a whole session."""

from __future__ import annotations

from specflow.errors import InvariantError, JournalError
from specflow.journal.record import Lease
from specflow.journal.verify import verify
from specflow.lifecycle import BranchState, Stage
from specflow.testing.journal_bench import DONE, Bench, check, refuses, to_stage


async def _tower(bench: Bench, lease: Lease) -> None:
    """a; b builds on a; c is below b's branch; d builds on c; e stands alone."""
    await bench.start(lease, "a")
    await bench.start(lease, "b", depends_on=(f"{bench.tag}-a",))
    await bench.start(lease, "c", parent_id=bench.branch("b"))
    await bench.start(lease, "d", depends_on=(f"{bench.tag}-c", f"{bench.tag}-a"))
    await bench.start(lease, "e")


@check
async def nothing_is_adopted_before_what_it_rests_on(bench: Bench) -> None:
    journal, lease = bench.journal, await bench.lease()
    await _tower(bench, lease)
    for name in ("d", "c", "b"):
        assert not await journal.adopt(lease, f"{bench.tag}-{name}", bench.real(name))
        assert await journal.branch_state(bench.branch(name)) == BranchState.OPEN
    for name in ("a", "b", "c", "d"):
        assert await journal.adopt(lease, f"{bench.tag}-{name}", bench.real(name)), name
    assert verify(await bench.rows()) == ()


@check
async def what_rests_on_the_lost_is_lost_with_it(bench: Bench) -> None:
    journal, lease = bench.journal, await bench.lease()
    await _tower(bench, lease)
    assert await journal.abort(lease, bench.branch("b"), "mismatch")
    rows = await bench.rows()
    states = {row.branch_id: (row.state, row.cause) for row in rows.branches}
    assert states == {
        bench.branch("a"): (BranchState.OPEN, ""),
        bench.branch("b"): (BranchState.ABORTED, "mismatch"),
        bench.branch("c"): (BranchState.ABORTED, f"lost with {bench.branch('b')}"),
        bench.branch("d"): (BranchState.ABORTED, f"lost with {bench.branch('c')}"),
        bench.branch("e"): (BranchState.OPEN, ""),
    }
    assert {row.branch_id: row.parent_id for row in rows.branches}[bench.branch("c")] == bench.branch("b")
    assert verify(rows) == ()


@check
async def what_was_lost_before_keeps_its_cause(bench: Bench) -> None:
    journal, lease = bench.journal, await bench.lease()
    await _tower(bench, lease)
    assert await journal.abort(lease, bench.branch("c"), "first")
    assert await journal.abort(lease, bench.branch("a"), "second")
    causes = {row.branch_id: row.cause for row in (await bench.rows()).branches}
    assert causes[bench.branch("c")] == "first"
    assert causes[bench.branch("b")] == f"lost with {bench.branch('a')}"
    assert causes[bench.branch("d")] == f"lost with {bench.branch('c')}"
    assert verify(await bench.rows()) == ()


@check
async def nothing_rests_on_the_lost_and_nothing_real_on_the_open(bench: Bench) -> None:
    journal, lease = bench.journal, await bench.lease()
    other = await bench.lease("other")
    await bench.start(lease, "open")
    await bench.start(lease, "lost")
    await journal.abort(lease, bench.branch("lost"), "mismatch")
    await bench.start(other, "elsewhere")
    refused = (
        {"depends_on": (f"{bench.tag}-lost",)},
        {"parent_id": bench.branch("lost")},
        {"depends_on": (f"{bench.tag}-nothing",)},
        {"parent_id": bench.branch("nothing")},
        {"depends_on": (f"{bench.tag}-elsewhere",)},
        {"parent_id": bench.branch("elsewhere")},
        {"depends_on": (f"{bench.tag}-open",), "adopted_by": bench.real()},
        {"parent_id": bench.branch("open"), "adopted_by": bench.real()},
    )
    for changes in refused:
        error = await refuses(JournalError, journal.intend(lease, bench.intent("new", **changes)))
        assert error.facts["conflict"] == "depends_on"
    assert await journal.effect(f"{bench.tag}-new") is None
    assert await journal.adopt(lease, f"{bench.tag}-open", bench.real("first"))
    await journal.intend(
        lease, bench.intent("new", depends_on=(f"{bench.tag}-open",), adopted_by=bench.real())
    )


@check
async def a_session_its_effects_and_their_dependents_are_found(bench: Bench) -> None:
    journal, lease = bench.journal, await bench.lease()
    await _tower(bench, lease)
    names = [row.effect_id.rpartition("-")[2] for row in await journal.effects(lease.session_id)]
    assert names == ["e", "d", "c", "b", "a"]
    found = [row.effect_id for row in await journal.dependents(f"{bench.tag}-a")]
    assert found == [f"{bench.tag}-d", f"{bench.tag}-b"]
    assert await journal.dependents(f"{bench.tag}-e") == ()
    assert await journal.effects("nothing") == ()
    session = await journal.session(lease.session_id)
    assert session is not None
    assert (session.session_id, session.fence, session.decision) == (lease.session_id, 1, "")
    assert await journal.session("nothing") is None


@check
async def only_the_session_takes_back_what_was_committed(bench: Bench) -> None:
    journal, lease = bench.journal, await bench.lease()
    committed = await to_stage(bench, lease, "a", Stage.COMMITTED)
    kept = await bench.start(lease, "b", adopted_by=bench.real("b"))
    assert await journal.record(lease, kept, DONE)
    undo = Stage.COMPENSATING
    error = await refuses(InvariantError, journal.move(lease, committed, Stage.COMMITTED, undo))
    assert "saga_aborted" in error.hint
    await refuses(InvariantError, journal.move(lease, kept, Stage.DONE, undo))
    assert await journal.decide_session(lease, "saga_aborted")
    for effect_id, stage in ((kept, Stage.DONE), (committed, Stage.COMMITTED)):
        assert await journal.move(lease, effect_id, stage, undo, comp_key=f"{effect_id}-undo")
        assert await journal.move(lease, effect_id, undo, Stage.COMPENSATED)
    await journal.close_session(lease, decision="saga_aborted")
    assert verify(await bench.rows()) == ()
