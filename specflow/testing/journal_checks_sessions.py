"""The contract's checks of leases, sessions and how things end."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from specflow.errors import FencedError, InvariantError, JournalError
from specflow.journal.record import Lease, PredictionRow
from specflow.lifecycle import SessionState, Stage
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
async def a_zombie_writes_nothing(bench: Bench) -> None:
    journal, old = bench.journal, await bench.lease()
    effect_id = await to_stage(bench, old, "a", Stage.DONE)
    assert await journal.take_session(old.session_id, owner="other") is None, "the lease still runs"
    new = await journal.take_session(old.session_id, owner="other", force=True)
    assert new == Lease(session_id=old.session_id, owner="other", fence=2)
    before = await bench.rows()
    await refuses(FencedError, journal.intend(old, bench.intent("b")))
    await refuses(FencedError, journal.record(old, effect_id, DONE))
    await refuses(FencedError, journal.adopt(old, effect_id, bench.real()))
    await refuses(FencedError, journal.abort(old, bench.branch("a"), "x"))
    await refuses(FencedError, journal.move(old, effect_id, Stage.DONE, Stage.COMMITTED))
    await refuses(FencedError, journal.decide_session(old, "completed"))
    await refuses(FencedError, journal.close_session(old))
    assert await bench.rows() == before
    assert await journal.adopt(new, effect_id, bench.real())
    row = await journal.effect(effect_id)
    assert row is not None
    assert (row.fence, (await bench.rows()).branches[0].decided_fence) == (1, 2)


@check
async def one_bad_write_hurts_no_other(bench: Bench) -> None:
    journal, lease = bench.journal, await bench.lease()
    old = await bench.lease("other")
    await journal.take_session(old.session_id, owner="thief", force=True)
    writes = [journal.intend(lease, bench.intent(f"e{index}")) for index in range(6)]
    writes.insert(3, journal.intend(lease, bench.intent("e0", branch_id=bench.branch("x"))))
    writes.insert(5, journal.intend(old, bench.intent("late")))
    answers = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(answer).__name__ for answer in answers] == ["int"] * 3 + [
        "JournalError",
        "int",
        "FencedError",
        "int",
        "int",
    ]
    assert [answer for answer in answers if isinstance(answer, int)] == [1, 2, 3, 4, 5, 6]
    outcomes = [journal.record(lease, f"{bench.tag}-e{index}", DONE) for index in (0, 1, 1, 2, 9)]
    assert await asyncio.gather(*outcomes) == [True, True, False, True, False]


@check
async def a_lease_of_one_session_is_none_of_another(bench: Bench) -> None:
    journal = bench.journal
    mine, other = await bench.lease("a"), await bench.lease("b")
    effect_id = await to_stage(bench, mine, "x", Stage.DONE)
    assert not await journal.record(other, effect_id, DONE)
    assert not await journal.adopt(other, effect_id, bench.real())
    assert not await journal.abort(other, bench.branch("x"), "x")
    assert not await journal.move(other, effect_id, Stage.DONE, Stage.COMPENSATING)
    assert await bench.stage(effect_id) is Stage.DONE
    stranger = Lease(session_id=f"{bench.tag}-none", owner="me", fence=1)
    await refuses(JournalError, journal.intend(stranger, bench.intent("y")))


@check
async def a_session_is_taken_from_the_dead_only(bench: Bench) -> None:
    journal, lease = bench.journal, await bench.lease(owner="dying")
    assert await journal.take_session(lease.session_id, owner="heir") is None
    bench.dead.add("dying")
    heir = await journal.take_session(lease.session_id, owner="heir")
    assert heir is not None
    assert heir.fence == 2
    assert await journal.take_session(lease.session_id, owner="late") is None
    assert await journal.take_session(f"{bench.tag}-none", owner="late") is None
    rows = await bench.rows()
    assert [event.fence for event in rows.events] == [1, 2]
    await refuses(JournalError, bench.lease())
    await journal.close_session(heir)
    assert await journal.take_session(lease.session_id, owner="late", force=True) is None


@check
async def a_session_given_back_may_be_taken_at_once(bench: Bench) -> None:
    journal, old = bench.journal, await bench.lease()
    kept = await bench.lease("kept")

    async def abandoned() -> set[str]:
        return {row.session_id for row in await journal.abandoned_sessions()} & {
            old.session_id, kept.session_id
        }  # fmt: skip

    assert await abandoned() == set()
    await journal.release_session(old)
    assert await abandoned() == {old.session_id}
    new = await journal.take_session(old.session_id, owner="heir")
    assert new is not None
    assert new.fence == old.fence + 1
    # The old owner gives back what is no longer its own, and somebody what never was.
    await journal.release_session(old)
    await journal.release_session(replace(new, session_id=f"{bench.tag}-none"))
    assert await abandoned() == set()
    assert await journal.take_session(new.session_id, owner="third") is None
    await journal.close_session(new)
    await journal.release_session(new)
    assert await abandoned() == set(), "a closed session is nobody's business"


@check
async def the_sessions_of_the_dead_are_abandoned(bench: Bench) -> None:
    journal = bench.journal
    mine, theirs = await bench.lease("mine"), await bench.lease("theirs", owner=f"{bench.tag}-other")
    bench.dead.add(f"{bench.tag}-other")
    found = [row for row in await journal.abandoned_sessions() if row.thread == bench.tag]
    assert [row.session_id for row in found] == [theirs.session_id]
    assert found[0].owner == f"{bench.tag}-other"
    assert await journal.take_session(mine.session_id, owner="heir") is None
    assert await journal.take_session(theirs.session_id, owner="heir") is not None


@check
async def a_session_closes_at_rest_only(bench: Bench) -> None:
    journal, lease = bench.journal, await bench.lease()
    early = await to_stage(bench, lease, "early", Stage.DONE)
    await refuses(JournalError, journal.close_session(lease))
    assert await journal.abort(lease, bench.branch("early"), "turn_ended")
    await refuses(JournalError, journal.close_session(lease))
    assert [row.effect_id for row in await journal.unsettled(lease.session_id)] == [early]
    await journal.move(lease, early, Stage.DONE, Stage.COMPENSATING)
    await journal.move(lease, early, Stage.COMPENSATING, Stage.COMPENSATED)
    real = await bench.start(lease, "real", adopted_by=bench.real())
    await refuses(JournalError, journal.close_session(lease))
    await journal.record(lease, real, DONE)
    assert [row.thread for row in await journal.active_sessions(bench.tag)] == [bench.tag]
    assert lease.session_id in {row.session_id for row in await journal.active_sessions()}
    await journal.close_session(lease)
    assert await journal.active_sessions(bench.tag) == ()
    assert await bench.stage(real) is Stage.COMMITTED, "what was adopted is committed at the latest now"
    rows = await bench.rows()
    assert rows.sessions[0].state is SessionState.CLOSED
    assert path_of(rows, lease.session_id) == [("", "active"), ("active", "closed")]
    await refuses(JournalError, journal.intend(lease, bench.intent("late")))
    await refuses(JournalError, journal.close_session(lease))


@check
async def the_newest_session_is_the_one_opened_last(bench: Bench) -> None:
    journal, thread = bench.journal, bench.tag

    async def newest(thread: str, tenant: str = "") -> str:
        row = await journal.newest_session(thread, tenant=tenant)
        return f"{row.session_id} {row.state}" if row else "none"

    assert await newest(thread) == "none"
    for name in ("m", "z", "a", "k"):  # in the order of no alphabet
        lease = await bench.lease(name)
        assert await newest(thread) == f"{thread}-{name} active"
    await journal.open_session(f"{thread}-x", thread=thread, owner="me", tenant=thread)
    await journal.open_session(f"{thread}-y", thread=f"{thread}-y", owner="me")
    await journal.close_session(lease)
    assert await journal.take_session(f"{thread}-a", owner="heir", force=True) is not None
    await journal.close_session(replace(lease, session_id=f"{thread}-m"))
    assert await newest(thread) == f"{thread}-k closed"
    assert await newest(thread, thread) == f"{thread}-x active"
    assert await newest(f"{thread}-y") == f"{thread}-y active"
    assert await newest(f"{thread}-y", thread) == "none"


@check
async def a_session_is_decided_in_known_words_only(bench: Bench) -> None:
    journal, lease = bench.journal, await bench.lease()
    before = await bench.rows()
    for ask in (journal.decide_session(lease, "perhaps"), journal.close_session(lease, decision="")):
        error = await refuses(InvariantError, ask)
        assert "completed, saga_aborted" in error.hint
    assert await bench.rows() == before


@check
async def a_session_has_a_name_that_can_be_found_again(bench: Bench) -> None:
    journal = bench.journal
    for name in ("", "a\x00b", "\ud800"):
        await refuses(JournalError, journal.open_session(name, thread="t", owner="me"))
        await refuses(JournalError, journal.open_session(f"{bench.tag}-s", thread="t", owner=name))
        await refuses(JournalError, journal.take_session(name, owner="me"))
    lease = await journal.open_session(f"{bench.tag}-é", thread="", owner="mé")
    assert [row.session_id for row in (await bench.rows()).sessions] == [lease.session_id]


@check
async def an_operator_reopens_what_is_stuck(bench: Bench) -> None:
    journal, lease = bench.journal, await bench.lease()
    stuck = await to_stage(bench, lease, "a", Stage.STUCK)
    assert await journal.reopen_session(lease.session_id, owner="op") is None, "it is still active"
    await journal.abort(lease, bench.branch("a"), "turn_ended")
    await journal.close_session(lease)
    operator = await journal.reopen_session(lease.session_id, owner="op")
    assert operator is not None
    assert operator.fence == 2
    await refuses(FencedError, journal.close_session(lease))
    assert await journal.move(operator, stuck, Stage.STUCK, Stage.COMPENSATED, cause="asked the airline")
    await refuses(JournalError, journal.close_session(operator, decision="saga_aborted"))
    await journal.close_session(operator)
    assert await journal.reopen_session(lease.session_id, owner="op") is None, "nothing is stuck"
    assert await journal.reopen_session(f"{bench.tag}-none", owner="op") is None


@check
async def unsettled_effects_come_newest_first(bench: Bench) -> None:
    lease = await bench.lease()
    ids = {stage: await to_stage(bench, lease, stage.value, stage) for stage in REACHED}
    live = (Stage.INTENDED, Stage.DONE, Stage.UNKNOWN, Stage.COMPENSATING)
    expected = [ids[stage] for stage in reversed(live)]
    assert [row.effect_id for row in await bench.journal.unsettled(lease.session_id)] == expected
    opened = [bench.branch(name) for name in ("done", "failed", "intended", "stuck", "unknown")]
    assert list(await bench.journal.open_branches(lease.session_id)) == opened


@check
async def dependencies_are_kept(bench: Bench) -> None:
    lease = await bench.lease()
    first = await bench.start(lease, "a")
    second = await bench.start(lease, "b", depends_on=(first, first))
    pairs = [(row.effect_id, row.needs_id) for row in (await bench.rows()).dependencies]
    assert pairs == [(second, first)]
    itself = bench.intent("c", depends_on=(f"{bench.tag}-c",))
    await refuses(InvariantError, bench.journal.intend(lease, itself))


@check
async def predictions_arrive_by_the_next_write(bench: Bench) -> None:
    row = PredictionRow(
        speculation_id=f"{bench.tag}-spec",
        session_id=bench.tag,
        tool="book",
        fingerprint="print",
        predictor="sniffer",
        confidence=0.5,
        outcome="miss",
        cause="mismatch\x00",
        at=1.0,
    )
    bench.journal.note(row)
    lease = await bench.lease()
    await bench.start(lease)
    assert [found.cause for found in (await bench.rows()).predictions] == ["mismatch\ufffd"]


@check
async def the_newest_predictions_are_read_oldest_first(bench: Bench) -> None:
    at = 1e9 + len(bench.tag)
    for number in range(5):
        bench.journal.note(_prediction(bench, number, at + number % 4))
    lease = await bench.lease()
    await bench.start(lease)
    found = await bench.journal.predictions(10_000)
    ours = [row for row in found if row.session_id == bench.tag]
    assert [row.speculation_id[-1] for row in ours] == ["0", "4", "1", "2", "3"]
    assert ours[0] == _prediction(bench, 0, at), "as it was noted"
    assert [row.at for row in found] == sorted(row.at for row in found)
    assert await bench.journal.predictions(2) == found[-2:]


def _prediction(bench: Bench, number: int, at: float) -> PredictionRow:
    return PredictionRow(
        speculation_id=f"{bench.tag}-spec-{number}",
        session_id=bench.tag,
        tool="book",
        fingerprint="print",
        predictor="sniffer",
        confidence=0.5,
        outcome="hit",
        cause="",
        at=at,
        runway=2.0,
        saved=1.0,
    )


@check
async def a_closed_journal_refuses(bench: Bench) -> None:
    lease = await bench.lease()
    await bench.journal.aclose()
    await bench.journal.aclose()
    await refuses(JournalError, bench.journal.intend(lease, bench.intent()))
    await refuses(JournalError, bench.journal.effect("x"))
    await refuses(JournalError, bench.journal.take_session("x", owner="y"))
