"""The proof's checks of calls made once more under their old key, or late, and of who asks meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from specflow.effects.call import Call
from specflow.errors import SpecflowError
from specflow.journal.record import EffectRow
from specflow.lifecycle import Stage
from specflow.testing.proof import Stand, check
from specflow.testing.scripted_core import ScriptedCore

BOOK = Call(tool="book", args={"seat": "A1"})
ASKED = {"tolerant": False, "verifiable": True, "keyed": True, "timeout": 5.0}


async def _row(stand: Stand) -> EffectRow:
    (row,) = (await stand.journal.snapshot()).effects
    return row


async def _failed(stand: Stand, core: ScriptedCore) -> EffectRow:
    """A real call that raised before it did anything, and of which that is not known."""
    stand.world.before["book"] = [OSError("the line is bad")]
    with contextlib.suppress(OSError):
        await core.call(BOOK, identity="m1 c0")
    row = await _row(stand)
    assert row.stage is Stage.UNKNOWN
    return row


async def _again(core: ScriptedCore) -> None:
    """The framework repeats the very call, in a process that has not heard how it ended."""
    core.session.doubtful.clear()
    with contextlib.suppress(SpecflowError):
        await core.call(BOOK, identity="m1 c0")


@check
async def a_repetition_is_on_record_before_it_is_made() -> None:
    """By the next process, and by the run itself."""

    async def real(core: ScriptedCore) -> None:
        await core.call(BOOK, identity="m1 c0")

    stand = Stand(offers={"tolerant": False, "verifiable": False, "keyed": True})
    await stand.dies(real, "call.after")
    await stand.core("next", seed=1).recover(owner="next")
    await stand.at_rest()
    assert stand.world.seen == [Stage.INTENDED, Stage.INTENDED]
    stand = Stand(offers=ASKED)
    core = stand.core("first")
    first = await _failed(stand, core)
    await asyncio.sleep(1)
    await _again(core)
    assert stand.world.seen == [Stage.INTENDED, Stage.INTENDED]
    assert (await _row(stand)).call_deadline == (first.call_deadline or 0.0) + 1
    await core.settle()
    await stand.at_rest()


@check
async def who_comes_after_a_repetition_waits_for_it() -> None:
    """Its process dies, or loses the session, while the repetition is travelling."""
    for dies in (True, False):
        stand = Stand(offers=ASKED, latency={"book": 4.0})
        core = stand.core("first")
        await _failed(stand, core)
        await asyncio.sleep(3)  # the first try is soon over
        work = asyncio.ensure_future(_again(core))
        await asyncio.sleep(1)
        if dies:
            stand.dead.add("first")
            await stand.core("next", seed=1).recover(owner="next")
        else:
            await stand.core("next", seed=1).call(BOOK, identity="m1 c0")
        await work
        await stand.core("last", seed=2).settle()
        with contextlib.suppress(SpecflowError):
            await core.settle()
        stand.dead.update({"first", "next"})
        await stand.core("last", seed=2).recover(owner="last")
        await stand.at_rest()
        assert stand.world.seats == {"A1": 1}


@check
async def a_no_from_before_a_repetition_does_not_count_after_it() -> None:
    """One task asks, and is told no; another one of the same process calls again before that is written."""
    stand = Stand(offers=ASKED, latency={"book": 2.5, "find": 2.0})
    core = stand.core("first")
    row = await _failed(stand, core)
    lease = await core.session.lease()
    asking = asyncio.ensure_future(core.settler.rest(lease, row, cause="asked"))
    await asyncio.sleep((row.call_deadline or 0.0) + 1.5 - asyncio.get_running_loop().time())
    work: Any = asyncio.ensure_future(_again(core))
    await asyncio.gather(asking, work)
    assert stand.world.seats == {"A1": 1}, "it was repeated after the question, and arrived"
    await core.settle()
    await stand.at_rest()


@check
async def nobody_calls_again_what_somebody_else_has_settled() -> None:
    """Between the look at the row and the repetition another process takes the session, and asks."""
    stand = Stand(offers=ASKED)
    core = stand.core("first")
    row = await _failed(stand, core)
    mine = await core.session.lease()
    await asyncio.sleep(10)
    following = stand.core("next", seed=1)
    await following.session.lease()
    await following.settle()
    assert (await _row(stand)).stage is Stage.FAILED
    with contextlib.suppress(SpecflowError):
        await core.parts.settler._repeat(  # noqa: SLF001 - with a row read before it was stopped; `rest` reads it anew
            mine, row, core.parts.registry.require("book"), BOOK
        )
    assert stand.world.seats == {}
    await stand.at_rest()


@check
async def who_was_stopped_before_its_call_does_not_make_it_late() -> None:
    """Between its intent and its call a process is stopped; others take over, wait, ask, and are told no."""
    stand = Stand(offers=ASKED)
    broken: Any = stand.journal
    intend = stand.journal.intend

    async def stopped(*args: Any, **given: Any) -> int:
        broken.intend = intend
        seq = await intend(*args, **given)
        await asyncio.sleep(20)
        return seq

    broken.intend = stopped
    work = asyncio.ensure_future(_again(stand.core("first")))
    await asyncio.sleep(1)
    stand.dead.add("first")
    await stand.core("next", seed=1).recover(owner="next")
    assert (await _row(stand)).stage is Stage.FAILED
    await work
    assert stand.world.seats == {}
    await stand.at_rest()
