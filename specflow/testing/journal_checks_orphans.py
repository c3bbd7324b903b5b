"""The contract's checks of what a lost checkpoint leaves behind."""

from __future__ import annotations

from specflow.errors import InvariantError
from specflow.journal.record import Lease
from specflow.journal.verify import verify
from specflow.lifecycle import SessionState, Stage
from specflow.testing.journal_bench import DONE, Bench, check, refuses, to_stage


async def _session(bench: Bench, name: str, run_key: str, **options: str) -> Lease:
    options = {"thread": bench.tag, "owner": "me", **options}
    return await bench.journal.open_session(f"{bench.tag}-{name}", run_key=run_key, **options)


async def _kept(bench: Bench, run_key: str = "r", **options: str) -> dict[str, tuple[str, ...]]:
    thread = options.pop("thread", bench.tag)
    found = await bench.journal.kept_by_run(thread, run_key, **options)
    return {item.effect.effect_id.rpartition("-")[2]: item.identities for item in found}


@check
async def what_a_run_kept_is_found_by_its_key(bench: Bench) -> None:
    journal = bench.journal
    first, second = await _session(bench, "s1", "r"), await _session(bench, "s2", "r")
    await to_stage(bench, first, "committed", Stage.COMMITTED)
    done = await bench.start(first, "done", adopted_by=bench.real("done"))
    await journal.record(first, done, DONE)
    await bench.start(first, "going", adopted_by=bench.real("going"))
    await to_stage(bench, first, "open", Stage.DONE)
    await to_stage(bench, first, "undone", Stage.COMPENSATED)
    await to_stage(bench, second, "later", Stage.COMMITTED)
    for name, run_key, options in (
        ("other-run", "q", {}),
        ("no-run", "", {}),
        ("other-thread", "r", {"thread": f"{bench.tag}-t"}),
        ("other-tenant", "r", {"tenant": f"{bench.tag}-x"}),
    ):
        lease = await _session(bench, name, run_key, **options)
        await to_stage(bench, lease, f"in-{name}".replace("-", "_"), Stage.COMMITTED)
    kept = {name: (bench.real(name),) for name in ("committed", "done", "later")}
    assert await _kept(bench) == kept
    assert list(await _kept(bench)) == ["committed", "done", "later"], "oldest first"
    assert await _kept(bench, "") == {}
    assert await _kept(bench, tenant=f"{bench.tag}-x") == {
        "in_other_tenant": (bench.real("in_other_tenant"),)
    }
    session = await journal.session(first.session_id)
    assert session is not None
    assert session.run_key == "r"


@check
async def what_stands_is_adopted_again_once_a_session(bench: Bench) -> None:
    journal, first = bench.journal, await _session(bench, "s1", "r")
    effect_id = await to_stage(bench, first, "a", Stage.COMMITTED)
    await journal.close_session(first)
    again = await _session(bench, "s2", "r")
    assert await journal.readopt(again, effect_id, bench.real("new"))
    assert not await journal.readopt(again, effect_id, bench.real("newer")), "once in a session"
    row = await journal.adopted(bench.real("new"))
    assert row is not None
    assert (row.effect_id, row.adopted_by) == (effect_id, bench.real("a"))
    third = await _session(bench, "s3", "r")
    assert not await journal.readopt(third, effect_id, bench.real("new")), "the name is taken"
    assert not await journal.readopt(third, effect_id, bench.real("a")), "the name is taken"
    assert await journal.readopt(third, effect_id, bench.real("third"))
    assert await _kept(bench) == {"a": (bench.real("a"), bench.real("new"), bench.real("third"))}
    other = await bench.start(third, "b")
    assert not await journal.adopt(third, other, bench.real("new")), "one real call, one effect"
    assert verify(await bench.rows()) == ()


@check
async def what_does_not_stand_is_not_adopted_again(bench: Bench) -> None:
    journal, lease = bench.journal, await _session(bench, "s1", "r")
    elsewhere = await _session(bench, "s2", "r", tenant=f"{bench.tag}-x")
    for stage in (Stage.INTENDED, Stage.DONE, Stage.UNKNOWN, Stage.FAILED, Stage.COMPENSATED, Stage.STUCK):
        effect_id = await to_stage(bench, lease, stage.value, stage)
        assert not await journal.readopt(lease, effect_id, bench.real(f"again-{stage}")), stage
    assert not await journal.readopt(lease, "nothing", bench.real("again"))
    committed = await to_stage(bench, lease, "a", Stage.COMMITTED)
    assert not await journal.readopt(elsewhere, committed, bench.real("again"))


@check
async def what_somebody_else_has_adopted_since_is_not_condemned(bench: Bench) -> None:
    journal, first = bench.journal, await _session(bench, "s1", "r")
    ids = [await to_stage(bench, first, name, Stage.COMMITTED) for name in ("a", "b")]
    await journal.close_session(first)
    other, run = await _session(bench, "s2", "r"), await _session(bench, "s3", "r")
    for effect_id, name in zip(ids, ("x", "y"), strict=True):
        assert await journal.readopt(other, effect_id, bench.real(name))
    assert await journal.condemn(run, ids) == ()
    (lease,) = await journal.condemn(run, ids, seen=[bench.real("y"), bench.real("z")])
    stages = [await bench.stage(effect_id) for effect_id in ids]
    assert stages == [Stage.COMMITTED, Stage.COMPENSATING], "only what was known to be asked for"
    assert await journal.move(lease, ids[1], Stage.COMPENSATING, Stage.COMPENSATED)
    await journal.close_session(lease)
    assert verify(await bench.rows()) == ()


@check
async def the_condemned_are_compensating_all_at_once(bench: Bench) -> None:
    journal = bench.journal
    first, second = await _session(bench, "s1", "r"), await _session(bench, "s2", "r")
    active, run = await _session(bench, "s3", "r"), await _session(bench, "s4", "r")
    ids = [await to_stage(bench, first, name, Stage.COMMITTED) for name in ("a", "b", "kept")]
    ids.append(await to_stage(bench, second, "c", Stage.COMMITTED))
    undone = await to_stage(bench, second, "undone", Stage.COMPENSATED)
    held = await to_stage(bench, active, "held", Stage.COMMITTED)
    undo = Stage.COMPENSATING
    await refuses(InvariantError, journal.move(first, ids[0], Stage.COMMITTED, undo, cause="mismatch"))
    await journal.close_session(first)
    await journal.close_session(second)
    foreign = await _session(bench, "s5", "r", tenant=f"{bench.tag}-x")
    assert await journal.condemn(foreign, ids) == ()
    wanted = [ids[0], ids[3], ids[1], undone, held, "nothing"]
    leases = await journal.condemn(run, wanted)
    assert {(lease.session_id, lease.owner, lease.fence) for lease in leases} == {
        (first.session_id, "me", 2),
        (second.session_id, "me", 2),
    }
    assert await journal.condemn(run, wanted) == (), "nothing is left to condemn"
    stages = {effect_id: await bench.stage(effect_id) for effect_id in (*ids, undone, held)}
    assert stages == {
        ids[0]: undo,
        ids[1]: undo,
        ids[2]: Stage.COMMITTED,
        ids[3]: undo,
        undone: Stage.COMPENSATED,
        held: Stage.COMMITTED,
    }
    for lease in leases:
        for effect_id in (ids[0], ids[1]) if lease.session_id == first.session_id else (ids[3],):
            key = f"{effect_id}-undo"
            assert await journal.move(lease, effect_id, undo, undo, comp_key=key, cause="orphaned")
            assert await journal.move(lease, effect_id, undo, Stage.COMPENSATED)
        await journal.close_session(lease)
    rows = await bench.rows()
    assert verify(rows) == ()
    states = {row.session_id: row.state for row in rows.sessions}
    assert states[first.session_id] is SessionState.CLOSED
