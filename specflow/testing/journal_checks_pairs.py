"""The contract's checks of a patch and its base: adopted together, lost together, taken back together."""

from __future__ import annotations

from specflow.errors import InvariantError, JournalError
from specflow.journal.cover import BASE
from specflow.journal.record import EffectRow, Lease, UndoPlan
from specflow.journal.verify import verify
from specflow.lifecycle import BranchState, Stage
from specflow.testing.journal_bench import Bench, check, path_of, refuses, to_stage


async def pair(bench: Bench, lease: Lease, name: str = "a", goal: Stage = Stage.DONE) -> tuple[str, str]:
    """A base that is done, and its patch brought to `goal`; returns their ids."""
    base = await to_stage(bench, lease, name, Stage.DONE)
    return base, await to_stage(bench, lease, f"{name}2", goal, **patches(base))


def patches(base: str) -> dict[str, object]:
    """What makes an intent a patch of `base`."""
    undo = UndoPlan(tool="", arguments={}, tolerates_missing=True, covered_by=base)
    return {"undo": undo, "verify": None, "depends_on": (base,), "fingerprint": "patched"}


async def _row(bench: Bench, effect_id: str) -> EffectRow:
    row = await bench.journal.effect(effect_id)
    assert row is not None
    return row


@check
async def a_patch_and_its_base_are_adopted_as_one(bench: Bench) -> None:
    journal, lease = bench.journal, await bench.lease()
    base, patch = await pair(bench, lease)
    assert not await journal.adopt(lease, base, bench.real()), "not alone"
    assert not await journal.adopt(lease, patch, bench.real()), "nor this one"
    assert await journal.adopt_patched(lease, base, patch, bench.real())
    assert not await journal.adopt_patched(lease, base, patch, bench.real("again"))
    found = await journal.adopted(bench.real())
    assert found is not None
    assert (found.effect_id, found.undo) == (patch, (await _row(bench, patch)).undo)
    assert (await _row(bench, base)).adopted_by == bench.real() + BASE
    for name in ("a", "a2"):
        assert await journal.branch_state(bench.branch(name)) == BranchState.CONFIRMED
    events = (await bench.rows()).events
    decided = [(e.subject, e.cause) for e in events if e.target == BranchState.CONFIRMED]
    assert decided == [(bench.branch("a"), "patched"), (bench.branch("a2"), "adopted")]
    await journal.close_session(lease)
    assert [await bench.stage(one) for one in (base, patch)] == [Stage.COMMITTED] * 2
    assert verify(await bench.rows()) == ()


@check
async def only_a_pair_that_has_happened_is_adopted(bench: Bench) -> None:
    journal, lease = bench.journal, await bench.lease()
    elsewhere = await bench.lease("other")
    for stage in (Stage.INTENDED, Stage.UNKNOWN, Stage.FAILED):
        base, patch = await pair(bench, lease, stage.value, stage)
        assert not await journal.adopt_patched(lease, base, patch, bench.real(stage)), stage
        assert not await journal.adopt(lease, base, bench.real(stage)), "what was patched is not as it was"
    base, patch = await pair(bench, lease)
    other, alone = await pair(bench, lease, "b"), await to_stage(bench, lease, "alone", Stage.DONE)
    for one, two in ((base, other[1]), (base, alone), (patch, base), (base, "nothing"), ("nothing", patch)):
        assert not await journal.adopt_patched(lease, one, two, bench.real())
    assert not await journal.adopt_patched(elsewhere, base, patch, bench.real())
    await bench.start(lease, "real", adopted_by=bench.real("taken"))
    await bench.start(lease, "real2", adopted_by=bench.real("name") + BASE)
    for name in ("taken", "name"):
        assert not await journal.adopt_patched(lease, base, patch, bench.real(name))
    assert await journal.abort(lease, bench.branch("a"), "mismatch")
    assert await journal.branch_state(bench.branch("a2")) == BranchState.ABORTED, "lost with its base"
    assert not await journal.adopt_patched(lease, base, patch, bench.real())
    assert await journal.adopt_patched(lease, *other, bench.real())


@check
async def a_pair_waits_for_what_it_builds_on(bench: Bench) -> None:
    journal, lease = bench.journal, await bench.lease()
    ground = await to_stage(bench, lease, "ground", Stage.DONE)
    base = await to_stage(bench, lease, "base", Stage.DONE, depends_on=(ground,))
    patch = await to_stage(bench, lease, "patch", Stage.DONE, **patches(base))
    assert not await journal.adopt_patched(lease, base, patch, bench.real())
    assert await journal.branch_state(bench.branch("base")) == BranchState.OPEN, "neither of them"
    assert await journal.adopt(lease, ground, bench.real("ground"))
    assert await journal.adopt_patched(lease, base, patch, bench.real())
    assert verify(await bench.rows()) == ()


@check
async def only_what_has_happened_once_is_patched(bench: Bench) -> None:
    journal, lease = bench.journal, await bench.lease()
    base, patch = await pair(bench, lease)
    going = await bench.start(lease, "going")
    kept = await to_stage(bench, lease, "kept", Stage.DONE)
    assert await journal.adopt(lease, kept, bench.real("kept"))
    for refused in (base, patch, going, kept):
        error = await refuses(JournalError, journal.intend(lease, bench.intent("new", **patches(refused))))
        assert error.facts["conflict"] == "covered_by"
    error = await refuses(JournalError, journal.intend(lease, bench.intent("new", **patches("nothing"))))
    assert error.facts["conflict"] == "depends_on"
    fresh = await to_stage(bench, lease, "fresh", Stage.DONE)
    for changes in ({"depends_on": ()}, {"adopted_by": bench.real()}):
        await refuses(
            InvariantError, journal.intend(lease, bench.intent("new", **(patches(fresh) | changes)))
        )
    assert await journal.effect(f"{bench.tag}-new") is None


@check
async def a_pair_is_taken_back_without_a_call_for_the_patch(bench: Bench) -> None:
    journal, lease = bench.journal, await bench.lease()
    base, patch = await pair(bench, lease)
    assert await journal.abort(lease, bench.branch("a"), "mismatch")
    undo, cause = Stage.COMPENSATING, f"covered by {base}"
    assert await journal.move(lease, patch, Stage.DONE, undo, cause=cause)
    assert await journal.move(lease, patch, undo, Stage.COMPENSATED, cause=cause)
    assert await journal.move(lease, base, Stage.DONE, undo, comp_key=f"{base}-undo")
    assert await journal.move(lease, base, undo, Stage.COMPENSATED)
    await journal.close_session(lease)
    rows = await bench.rows()
    assert verify(rows) == ()
    assert path_of(rows, patch)[-2:] == [("done", "compensating"), ("compensating", "compensated")]
    assert [event.cause for event in rows.events if event.subject == patch][-2:] == [cause] * 2


@check
async def a_resumed_run_meets_a_pair_as_one_call(bench: Bench) -> None:
    journal = bench.journal

    async def session(name: str) -> Lease:
        return await journal.open_session(f"{bench.tag}-{name}", thread=bench.tag, owner="me", run_key="r")

    first = await session("s1")
    base, patch = await pair(bench, first)
    assert await journal.adopt_patched(first, base, patch, bench.real())
    (kept,) = await journal.kept_by_run(bench.tag, "r")
    assert (kept.effect.effect_id, kept.effect.fingerprint) == (patch, "patched")
    assert kept.base is not None
    assert (kept.base.effect_id, kept.identities) == (base, (bench.real(),))
    await journal.close_session(first)
    second, third = await session("s2"), await session("s3")
    assert not await journal.readopt(second, base, bench.real("new")), "the base is not given alone"
    assert await journal.readopt(second, patch, bench.real("new"))
    assert await journal.condemn(third, [base]) == (), "nor taken back alone"
    assert await journal.condemn(third, [patch]) == (), "somebody has asked for it since"
    assert await journal.condemn(third, [base, patch]) == ()
    (lease,) = await journal.condemn(third, [patch], seen=[bench.real("new")])
    assert [await bench.stage(one) for one in (base, patch)] == [Stage.COMPENSATING] * 2, "both at once"
    assert await journal.move(lease, patch, Stage.COMPENSATING, Stage.COMPENSATED, cause="orphaned")
    assert await journal.move(lease, base, Stage.COMPENSATING, Stage.COMPENSATED, cause="orphaned")
    await journal.close_session(lease)
    assert verify(await bench.rows()) == ()


@check
async def a_pair_in_a_session_at_work_is_left_alone(bench: Bench) -> None:
    journal = bench.journal
    active = await journal.open_session(f"{bench.tag}-s1", thread=bench.tag, owner="me", run_key="r")
    base, patch = await pair(bench, active)
    assert await journal.adopt_patched(active, base, patch, bench.real())
    for one in (base, patch):
        assert await journal.move(active, one, Stage.DONE, Stage.COMMITTED)
    run = await bench.lease("s2")
    assert await journal.condemn(run, [patch]) == ()
    assert [await bench.stage(one) for one in (base, patch)] == [Stage.COMMITTED] * 2
