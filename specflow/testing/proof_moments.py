"""The proof's checks of single moments: what is written when, what is asked, and who may still write."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import Any

from specflow.effects.call import Call
from specflow.errors import ConflictError, FencedError, JournalError, RefusedError
from specflow.journal.record import DependencyRow, UndoPlan
from specflow.lifecycle import BranchState, Stage
from specflow.testing.proof import Stand, check
from specflow.testing.proof_deaths import REAL, ask_for_all, life
from specflow.testing.scripted_core import ScriptedCore

LONG = 3600.0
BOOK = Call(tool="book", args={"seat": "A1"})


async def guess(core: ScriptedCore, *, seconds: float = 1.0) -> None:
    """One wrong guess, settled."""
    turn = core.begin()
    core.propose(turn, "book", seat="A1")
    await asyncio.sleep(seconds)
    core.end(turn, [])
    await core.settle()


@check
async def every_call_is_on_record_before_it_is_made() -> None:
    stand = Stand()
    await stand.dies(life)
    await stand.at_rest()
    assert set(stand.world.seen) == {Stage.INTENDED, Stage.COMPENSATING}


@check
async def without_an_intent_there_is_no_call() -> None:
    stand = Stand()
    core = stand.core("first")
    await core.session.lease()

    async def refuse(*_: object) -> int:
        raise JournalError("the disk is full")

    broken: Any = stand.journal
    broken.intend = refuse
    try:
        await core.call(BOOK)
    except JournalError:
        assert stand.world.calls == []
    else:
        raise AssertionError("it was called all the same")


@check
async def an_unknown_outcome_is_asked_after_not_guessed() -> None:
    for happened in (True, False):
        stand = Stand(offers={"tolerant": False, "verifiable": True, "keyed": False})
        broken = stand.world.failing if happened else stand.world.before
        broken["book"] = [OSError("the answer was lost")]
        await stand.dies(guess)
        (row,) = (await stand.at_rest()).effects
        assert row.stage is (Stage.COMPENSATED if happened else Stage.FAILED)
        assert len(stand.world.undos) == happened, "undone if and only if it happened"
        real = Stand(offers={"tolerant": False, "verifiable": True, "keyed": False})
        await real.dies(_real, "call.after" if happened else "call.before")
        await real.core("next", seed=1).recover(owner="next")
        (row,) = (await real.at_rest()).effects
        assert row.stage is (Stage.COMMITTED if happened else Stage.FAILED)


async def _real(core: ScriptedCore) -> None:
    await core.call(BOOK, identity="m1 c0")


@check
async def what_nobody_can_tell_is_stuck_and_said() -> None:
    stand = Stand(offers={"tolerant": False, "verifiable": False, "keyed": False})
    await stand.dies(guess, "call.after")
    report = await stand.core("next", seed=1).recover(owner="next")
    assert report.stuck == 1
    (row,) = (await stand.at_rest(stuck=1)).effects
    assert "unknown" in row.error


@check
async def an_undo_that_fails_for_good_is_stuck_and_said() -> None:
    stand = Stand()
    stand.world.before["cancel"] = [OSError("down")] * 3
    await stand.dies(guess)
    (row,) = (await stand.at_rest(stuck=1)).effects
    assert "down" in row.error
    assert stand.world.seats == {"A1": 1}


@check
async def an_undo_is_tried_again_until_it_succeeds() -> None:
    stand = Stand()
    stand.world.before["cancel"] = [OSError("down")] * 2
    await stand.dies(guess)
    (row,) = (await stand.at_rest()).effects
    assert (row.stage, row.attempts) == (Stage.COMPENSATED, 3)


@check
async def only_a_declared_compensator_is_run() -> None:
    stand = Stand()
    core = stand.core("first")
    lease = await core.session.lease()
    turn = core.begin()
    core.propose(turn, "book", seat="A1")
    await asyncio.sleep(1)
    (row,) = stand.journal._effects.values()  # noqa: SLF001 - what somebody wrote into the database
    undo = UndoPlan(tool="charge", arguments={"amount": "1"})
    stand.journal._effects[row.effect_id] = replace(row, undo=undo)  # noqa: SLF001 - as above
    core.end(turn, [])
    await core.settle()
    assert stand.world.charges == []
    await stand.at_rest(stuck=1)
    assert lease.fence == 1


@check
async def a_late_call_meets_its_undo() -> None:
    """Its process died while the call was still travelling: whoever asks after it waits for its deadline."""
    stand = Stand(
        offers={"tolerant": False, "verifiable": True, "keyed": True, "timeout": 5.0},
        latency={"book": 4.0},
    )
    core = stand.core("first")
    turn = core.begin()
    core.propose(turn, "book", seat="A1")
    await asyncio.sleep(1)
    stand.dead.add("first")
    await stand.core("next", seed=1).recover(owner="next")
    await asyncio.sleep(10)
    assert stand.world.seats == {}
    rows = await stand.journal.snapshot()
    assert [row.stage for row in rows.effects] == [Stage.COMPENSATED]


@check
async def a_write_in_flight_is_never_cancelled() -> None:
    stand = Stand(latency={"book": 5.0})
    core = stand.core("first")
    turn = core.begin()
    wrong = core.propose(turn, "book", seat="A1")
    await asyncio.sleep(1)
    core.retract(turn, wrong)
    await core.settle()
    await stand.at_rest()
    assert stand.world.interrupted == 0


@check
async def a_zombie_writes_nothing() -> None:
    stand = Stand()
    zombie = stand.core("first")
    turn = zombie.begin()
    right = zombie.propose(turn, "book", seat="B2")
    await asyncio.sleep(1)
    following = stand.core("next", seed=1)
    await ask_for_all(following)
    zombie.end(turn, [right])
    with contextlib.suppress(FencedError, ConflictError):
        await zombie.call(right, identity=REAL[0][1])
    await following.settle()
    with contextlib.suppress(FencedError):
        await zombie.settle()
    await stand.at_rest()
    assert stand.world.seats == {"B2": 1, "C3": 1}


@check
async def a_lease_ends_and_not_before() -> None:
    stand = Stand()
    core = stand.core("first")
    turn = core.begin()
    core.propose(turn, "book", seat="A1")
    await asyncio.sleep(1)
    following = stand.core("next", seed=1)
    assert (await following.recover(owner="next")).held == 1
    assert stand.world.seats == {"A1": 1}
    await asyncio.sleep(LONG)
    assert (await following.recover(owner="next")).recovered == 1
    assert stand.world.seats == {}


@check
async def adoption_and_abort_cannot_both_win() -> None:
    for first in ("adopt", "abort"):
        stand = Stand()
        core = stand.core("first")
        turn = core.begin()
        core.propose(turn, "book", seat="A1")
        await asyncio.sleep(1)
        lease = await core.session.lease()
        (row,) = (await stand.journal.snapshot()).effects
        adopt = stand.journal.adopt(lease, row.effect_id, "m1 c0")
        abort = stand.journal.abort(lease, row.branch_id, "mismatch")
        answers = [await step for step in ((adopt, abort) if first == "adopt" else (abort, adopt))]
        assert answers == [True, False]
        state = await stand.journal.branch_state(row.branch_id)
        assert state == (BranchState.CONFIRMED if first == "adopt" else BranchState.ABORTED)


@check
async def a_result_is_handed_over_only_once_it_is_adopted() -> None:
    stand = Stand()
    core = stand.core("first")
    turn = core.begin()
    right = core.propose(turn, "book", seat="B2")
    await asyncio.sleep(1)
    core.end(turn, [right])
    await core.call(right, identity="m1 c0")
    (row,) = (await stand.journal.snapshot()).effects
    assert row.adopted_by is not None
    assert await stand.journal.branch_state(row.branch_id) == BranchState.CONFIRMED


@check
async def one_real_call_has_one_effect() -> None:
    stand = Stand()
    core = stand.core("first")
    for _ in range(2):
        await core.call(BOOK, identity="m1 c0")
    await core.settle()
    assert len((await stand.at_rest()).effects) == 1


@check
async def nobody_is_charged_without_a_yes() -> None:
    stand = Stand()
    core = stand.core("first")
    turn = core.begin()
    money = core.propose(turn, "charge", amount=5)
    await asyncio.sleep(1)
    assert stand.world.charges == []
    core.end(turn, [money])
    with contextlib.suppress(RefusedError):
        await core.call(money)
    assert stand.world.charges == []
    await core.call(money, approved=True)
    assert list(map(float, stand.world.charges)) == [5.0]
    await core.settle()


@check
async def what_stands_on_something_is_undone_before_it() -> None:
    """An effect that another builds on is undone after it, and not at all while that one is stuck."""
    for helpless in (False, True):
        stand = Stand()
        core = stand.core("first")
        turn = core.begin()
        for seat in ("A1", "B2"):
            core.propose(turn, "book", seat=seat)
        await asyncio.sleep(1)
        base, above = sorted((await stand.journal.snapshot()).effects, key=lambda row: row.seq)
        # The older builds on the newer: the order of numbers alone would undo it wrongly.
        await _builds_on(stand, base.effect_id, above.effect_id)
        if helpless:
            stand.world.before["cancel"] = [OSError("down")] * 3
        core.end(turn, [])
        await core.settle()
        undone = [seat for kind, seat, _ in stand.world.log if kind == "cancel"]
        assert undone == ([] if helpless else [base.args["seat"], above.args["seat"]]), (helpless, undone)


async def _builds_on(stand: Stand, effect_id: str, needs_id: str) -> None:
    row = DependencyRow(effect_id=effect_id, needs_id=needs_id)
    stand.journal._dependencies[effect_id, needs_id] = row  # noqa: SLF001 - nothing in the core adds one later
