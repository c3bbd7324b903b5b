"""The contract's checks of decisions, moves, leases and endings."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from specflow.errors import InvariantError, JournalError
from specflow.journal.record import Outcome
from specflow.lifecycle import MOVES, BranchState, Stage, may_move
from specflow.testing.journal_bench import (
    DONE,
    REACHED,
    Bench,
    check,
    path_of,
    refuses,
    to_stage,
)


@check
async def adoption_and_abort_cannot_both_win(bench: Bench) -> None:
    journal, lease = bench.journal, await bench.lease()
    for index in range(8):
        effect_id = await bench.start(lease, f"e{index}")
        adopt = journal.adopt(lease, effect_id, bench.real(f"c{index}"))
        abort = journal.abort(lease, bench.branch(f"e{index}"), "mismatch")
        pair = (adopt, abort) if index % 2 else (abort, adopt)
        answers = await asyncio.gather(*pair)
        assert sorted(answers) == [False, True]
        row = await journal.effect(effect_id)
        assert row is not None
        confirmed = await journal.branch_state(row.branch_id) == BranchState.CONFIRMED
        assert confirmed == (row.adopted_by is not None)


@check
async def a_real_call_adopts_one_effect_only(bench: Bench) -> None:
    lease = await bench.lease()
    first, second = await bench.start(lease, "a"), await bench.start(lease, "b")
    assert await bench.journal.adopt(lease, first, bench.real())
    assert not await bench.journal.adopt(lease, second, bench.real())
    assert await bench.journal.branch_state(bench.branch("b")) == BranchState.OPEN
    assert not await bench.journal.adopt(lease, first, bench.real("again"))
    row = await bench.journal.adopted(bench.real())
    assert row is not None
    assert row.effect_id == first
    assert await bench.journal.adopted(bench.real("again")) is None


@check
async def only_what_can_still_commit_is_adopted(bench: Bench) -> None:
    lease = await bench.lease()
    for stage in REACHED:
        effect_id = await to_stage(bench, lease, stage.value, stage)
        adopted = await bench.journal.adopt(lease, effect_id, bench.real(f"late-{stage}"))
        assert adopted == (stage in {Stage.INTENDED, Stage.DONE, Stage.UNKNOWN}), stage


@check
async def decisions_are_immutable(bench: Bench) -> None:
    journal, lease = bench.journal, await bench.lease()
    await bench.start(lease, "a")
    assert await journal.abort(lease, bench.branch("a"), "budget")
    assert not await journal.abort(lease, bench.branch("a"), "again")
    assert not await journal.adopt(lease, f"{bench.tag}-a", bench.real())
    branch = (await bench.rows()).branches[0]
    assert (branch.state, branch.cause, branch.decided_fence) == (BranchState.ABORTED, "budget", 1)
    assert not await journal.abort(lease, "nothing", "x")
    assert not await journal.adopt(lease, "nothing", bench.real())
    assert await journal.branch_state("nothing") is None
    assert await journal.decide_session(lease, "saga_aborted")
    assert await journal.decide_session(lease, "saga_aborted")
    assert not await journal.decide_session(lease, "completed")
    await journal.record(lease, f"{bench.tag}-a", Outcome(stage=Stage.FAILED))
    await refuses(JournalError, journal.close_session(lease, decision="completed"))
    await journal.close_session(lease, decision="saga_aborted")
    assert (await bench.rows()).sessions[0].decision == "saga_aborted"


@check
async def no_illegal_move_is_possible(bench: Bench) -> None:
    journal, lease = bench.journal, await bench.lease()
    for stage in REACHED:
        effect_id = await to_stage(bench, lease, stage.value, stage)
        for target in Stage:
            if not may_move(stage, target):
                await refuses(InvariantError, journal.move(lease, effect_id, stage, target))
        for source, targets in MOVES.items():
            for target in targets:
                # Only `repeat` makes an unknown call intended once more.
                if source is not stage and target is not Stage.INTENDED:
                    assert not await journal.move(lease, effect_id, source, target)
        assert await bench.stage(effect_id) is stage
    rows = await bench.rows()
    for effect in rows.effects:
        path = path_of(rows, effect.effect_id)
        assert path[0] == ("", Stage.INTENDED)
        assert all(after[0] == before[1] for before, after in pairwise(path))
        assert all(may_move(Stage(source), Stage(target)) for source, target in path[1:])
        assert (path[-1][1], len(path)) == (effect.stage, effect.rev)


@check
async def an_outcome_counts_once(bench: Bench) -> None:
    journal, lease = bench.journal, await bench.lease()
    effect_id = await bench.start(lease)
    assert await journal.record(lease, effect_id, Outcome(stage=Stage.UNKNOWN, error="lost"))
    assert not await journal.record(lease, effect_id, Outcome(stage=Stage.UNKNOWN, error="again"))
    assert await journal.record(lease, effect_id, DONE)
    assert not await journal.record(lease, effect_id, Outcome(stage=Stage.FAILED))
    assert not await journal.record(lease, "nothing", DONE)
    row = await journal.effect(effect_id)
    assert row is not None
    assert (row.stage, row.result, row.rev, row.error) == (Stage.DONE, DONE.result, 3, "")
    await refuses(InvariantError, journal.record(lease, effect_id, Outcome(stage=Stage.COMMITTED)))


@check
async def committing_and_undoing_follow_the_branch(bench: Bench) -> None:
    journal, lease = bench.journal, await bench.lease()
    effect_id = await to_stage(bench, lease, "a", Stage.DONE)
    await refuses(InvariantError, journal.move(lease, effect_id, Stage.DONE, Stage.COMMITTED))
    await refuses(InvariantError, journal.move(lease, effect_id, Stage.DONE, Stage.COMPENSATING))
    assert await journal.adopt(lease, effect_id, bench.real())
    await refuses(InvariantError, journal.move(lease, effect_id, Stage.DONE, Stage.COMPENSATING))
    assert await journal.move(lease, effect_id, Stage.DONE, Stage.COMMITTED)


@check
async def an_undo_keeps_its_key_and_counts_its_tries(bench: Bench) -> None:
    journal, lease = bench.journal, await bench.lease()
    effect_id = await to_stage(bench, lease, "a", Stage.DONE)
    await journal.abort(lease, bench.branch("a"), "mismatch")
    key, going = bench.real("undo"), Stage.COMPENSATING
    assert await journal.move(lease, effect_id, Stage.DONE, going, comp_key=key, comp_args={"id": 1})
    assert await journal.move(lease, effect_id, going, going, not_before=99.5, error="503")
    row = await journal.effect(effect_id)
    assert row is not None
    assert (row.comp_key, row.comp_args, row.attempts) == (key, {"id": 1}, 2)
    assert (row.not_before, row.error) == (99.5, "503")
    await refuses(InvariantError, journal.move(lease, effect_id, going, going, comp_key="another"))
    other = await to_stage(bench, lease, "b", Stage.DONE)
    await journal.abort(lease, bench.branch("b"), "mismatch")
    error = await refuses(JournalError, journal.move(lease, other, Stage.DONE, going, comp_key=key))
    assert error.facts["conflict"] == "comp_key"
    assert await bench.stage(other) is Stage.DONE
    assert await journal.move(lease, effect_id, going, Stage.COMPENSATED, cause="undone")
    row = await journal.effect(effect_id)
    assert row is not None
    assert (row.stage, row.attempts, row.not_before, row.rev) == (Stage.COMPENSATED, 2, None, 5)
