"""The contract's checks of what a lost checkpoint leaves behind."""

from __future__ import annotations

from specflow.errors import InvariantError
from specflow.journal.record import Lease, Outcome
from specflow.journal.rules import SAGA_ABORTED, TAKEN_BACK
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
async def every_name_keeps_the_moment_at_which_it_was_given(bench: Bench) -> None:
    journal, first = bench.journal, await _session(bench, "s1", "r")
    born = await bench.start(first, "born", adopted_by=bench.real("born"), moment="m1 \u00fc")
    await journal.record(first, born, DONE)
    early = await to_stage(bench, first, "early", Stage.DONE)
    await bench.start(first, "silent", adopted_by=bench.real("silent"))
    assert await journal.adopt(first, early, bench.real("early"), moment="m2")
    again = await _session(bench, "s2", "r")
    assert await journal.readopt(again, born, bench.real("again"), moment="m3")
    assert await journal.readopt(again, early, bench.real("silent-again"))
    found = await journal.kept_by_run(bench.tag, "r")
    assert {item.effect.effect_id: item.moments for item in found} == {
        born: ("m1 \u00fc", "m3"),
        early: ("m2", ""),
    }
    row = await journal.adopted(bench.real("again"))
    assert row is not None
    assert row.moment == "m1 \u00fc"


@check
async def real_calls_that_nobody_can_tell_about_are_found_by_their_run(bench: Bench) -> None:
    journal, first = bench.journal, await _session(bench, "s1", "r")
    for name, stages in (("unknown", ()), ("stuck", (Stage.STUCK,))):
        effect_id = await bench.start(first, name, adopted_by=bench.real(name), moment=f"m {name}")
        assert await journal.record(first, effect_id, Outcome(stage=Stage.UNKNOWN))
        for stage in stages:
            assert await journal.move(first, effect_id, Stage.UNKNOWN, stage)
    await to_stage(bench, first, "committed", Stage.COMMITTED)
    early = await bench.start(first, "early")
    assert await journal.record(first, early, Outcome(stage=Stage.UNKNOWN))
    other = await _session(bench, "s2", "q")
    elsewhere = await bench.start(other, "elsewhere", adopted_by=bench.real("elsewhere"))
    assert await journal.record(other, elsewhere, Outcome(stage=Stage.UNKNOWN))
    found = await journal.doubtful_by_run(bench.tag, "r")
    assert [(item.identities, item.moments) for item in found] == [
        ((bench.real("unknown"),), ("m unknown",)),
        ((bench.real("stuck"),), ("m stuck",)),
    ]
    assert await journal.doubtful_by_run(bench.tag, "") == ()
    assert await journal.doubtful_by_run(bench.tag, "r", tenant="x") == ()


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


@check
async def a_run_is_known_to_be_taken_back_once_a_session_of_it_is_decided_so(bench: Bench) -> None:
    journal, tag = bench.journal, bench.tag
    first = await _session(bench, "s1", "r")
    elsewhere = await _session(bench, "s2", "r", tenant=f"{tag}-x")
    await _session(bench, "s3", "")
    assert not await journal.run_taken_back(tag, "r")
    assert await journal.decide_session(first, SAGA_ABORTED)
    await journal.decide_session(elsewhere, "completed")
    assert await journal.run_taken_back(tag, "r")
    for thread, run_key, tenant in (
        (tag, "q", ""),
        (f"{tag}-t", "r", ""),
        (tag, "r", f"{tag}-x"),
        (tag, "", ""),
    ):
        assert not await journal.run_taken_back(thread, run_key, tenant=tenant)
    await journal.close_session(first, decision=SAGA_ABORTED)
    assert await journal.run_taken_back(tag, "r"), "also when it is over"


@check
async def a_failed_run_condemns_what_its_earlier_sessions_did(bench: Bench) -> None:
    journal, first = bench.journal, await _session(bench, "s1", "r")
    below, above = [await to_stage(bench, first, name, Stage.COMMITTED) for name in ("a", "b")]
    await journal.close_session(first)
    run = await _session(bench, "s2", "r")
    (lease,) = await journal.condemn(
        run, [below, above], seen=[bench.real("a"), bench.real("b")], cause=TAKEN_BACK
    )
    for effect_id in (above, below):
        assert await bench.stage(effect_id) is Stage.COMPENSATING
        assert await journal.move(lease, effect_id, Stage.COMPENSATING, Stage.COMPENSATED)
    await journal.close_session(lease)
    causes = {row.cause for row in (await bench.rows()).events if row.target == Stage.COMPENSATING}
    assert causes == {TAKEN_BACK}
    assert verify(await bench.rows()) == ()
