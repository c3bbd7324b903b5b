"""The contract's checks of claims on resource keys, and of tools that are switched off."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from specflow.errors import ClaimedError, JournalError
from specflow.journal.record import Intent, Lease, Outcome
from specflow.journal.verify import verify
from specflow.lifecycle import Stage
from specflow.testing.journal_bench import DONE, REACHED, Bench, check, refuses, to_stage

UNKNOWN = Outcome(stage=Stage.UNKNOWN, error="no answer")


async def _claims(bench: Bench) -> list[tuple[str, str, str]]:
    rows = (await bench.rows()).claims
    return [(row.effect_id.removeprefix(f"{bench.tag}-"), row.resource, row.mode) for row in rows]


def _intent(bench: Bench, name: str, **changes: Any) -> Intent:
    # A tool of its own: what other checks have left unknown of a tool stands in the way of its claims.
    return bench.intent(name, **{"tool": f"book-{bench.tag}", **changes})


async def _start(bench: Bench, lease: Lease, name: str, **changes: Any) -> str:
    intent = _intent(bench, name, **changes)
    await bench.journal.intend(lease, intent)
    return intent.effect_id


async def _to(bench: Bench, lease: Lease, name: str, goal: Stage, **changes: Any) -> str:
    return await to_stage(bench, lease, name, goal, **{"tool": f"book-{bench.tag}", **changes})


async def _refused(bench: Bench, lease: Lease, name: str, claims: Sequence[str], **changes: Any) -> str:
    """The effect that is in the way, by its name."""
    intent = _intent(bench, name, claims=tuple(claims), **changes)
    error = await refuses(ClaimedError, bench.journal.intend(lease, intent))
    assert await bench.journal.effect(intent.effect_id) is None, "nothing was written"
    return str(error.facts["effect_id"]).removeprefix(f"{bench.tag}-")


@check
async def a_claim_keeps_other_sessions_off(bench: Bench) -> None:
    journal = bench.journal
    mine, other = await bench.lease("a"), await bench.lease("b")
    seat, row = f"seat:{bench.tag}", f"row:{bench.tag}"
    await _start(bench, mine, "first", claims=(seat, row, seat))
    assert await _claims(bench) == [("first", row, "exclusive"), ("first", seat, "exclusive")]
    error = await refuses(ClaimedError, journal.intend(other, _intent(bench, "second", claims=(seat,))))
    assert error.facts["effect_id"] == f"{bench.tag}-first"
    assert error.facts["session_id"] == mine.session_id
    assert (error.facts["tool"], error.facts["stage"], error.facts["resource"]) == (
        f"book-{bench.tag}",
        "intended",
        seat,
    )
    assert f"{bench.tag}-first" in str(error)
    assert "specflow journal show" in error.hint
    before = await bench.rows()
    assert await _refused(bench, other, "real", (seat,), adopted_by=bench.real()) == "first"
    assert await bench.rows() == before
    await _start(bench, other, "elsewhere", claims=(f"{seat}x",))
    await _start(bench, other, "unclaimed")
    assert verify(await bench.rows()) == ()


@check
async def what_is_part_of_an_effect_shares_its_claims(bench: Bench) -> None:
    outer, inner, other = await bench.lease("a"), await bench.lease("b"), await bench.lease("c")
    seat = f"seat:{bench.tag}"
    whole = await _start(bench, outer, "whole", claims=(seat,), adopted_by=bench.real("whole"))
    part = await _start(bench, inner, "part", claims=(seat,), inside=("something", whole))
    assert await _claims(bench) == [("part", seat, "shared"), ("whole", seat, "exclusive")]
    assert await bench.journal.record(outer, whole, DONE)
    assert await _refused(bench, other, "third", (seat,)) == "part", "nobody else shares it"
    assert await _refused(bench, outer, "fourth", (seat,), adopted_by=bench.real("fourth")) == "part"
    assert await bench.journal.record(inner, part, Outcome(stage=Stage.FAILED))
    await _start(bench, other, "third", claims=(seat,))
    assert verify(await bench.rows()) == ()


@check
async def a_claim_ends_with_the_decision_of_its_effect(bench: Bench) -> None:
    mine, other = await bench.lease("a"), await bench.lease("b")
    live = {Stage.INTENDED, Stage.DONE, Stage.UNKNOWN, Stage.COMPENSATING, Stage.STUCK}
    for stage in REACHED:
        seat = f"seat:{bench.tag}:{stage}"
        await _to(bench, mine, stage.value, stage, claims=(seat,))
        if stage in live:
            assert await _refused(bench, other, f"{stage}-2", (seat,)) == stage.value
        else:
            await _start(bench, other, f"{stage}-2", claims=(seat,))
    kept = await _to(bench, mine, "kept", Stage.DONE, claims=(f"seat:{bench.tag}:kept",))
    assert await _refused(bench, other, "kept-2", (f"seat:{bench.tag}:kept",)) == "kept"
    assert await bench.journal.adopt(mine, kept, bench.real("kept"))
    await _start(bench, other, "kept-2", claims=(f"seat:{bench.tag}:kept",))
    assert verify(await bench.rows()) == ()


@check
async def a_pattern_claims_all_that_it_covers(bench: Bench) -> None:
    tag = bench.tag
    mine, other = await bench.lease("a"), await bench.lease("b")
    await _start(bench, mine, "all", claims=(f"{tag}:db:users:*",))
    await _start(bench, mine, "one", claims=(f"{tag}:db:orders:7",))
    met = (f"{tag}:db:users:1", f"{tag}:db:users:a:b", f"{tag}:db:users:*", f"{tag}:db:users:a*")
    for number, key in enumerate(met):
        assert await _refused(bench, other, f"m{number}", (key,)) == "all"
    assert await _refused(bench, other, "wide", (f"{tag}:db:orders:*",)) == "one"
    assert await _refused(bench, other, "wider", (f"{tag}:db:*",)) == "one"
    free = (f"{tag}:db:users", f"{tag}:db:users_old:1", f"{tag}:db:orders:70", f"{tag}:db:order*:")
    for number, key in enumerate(free[:3]):
        await _start(bench, other, f"f{number}", claims=(key,))
    assert await _refused(bench, other, "cut", (free[3],)) == "one", "a star counts from the last colon on"
    assert verify(await bench.rows()) == ()


@check
async def an_early_call_builds_on_what_its_own_session_holds(bench: Bench) -> None:
    journal, lease = bench.journal, await bench.lease()
    seat = f"seat:{bench.tag}"
    await _start(bench, lease, "a", claims=(seat,))
    await _start(bench, lease, "b", claims=(seat, f"row:{bench.tag}"))
    await _start(bench, lease, "c", claims=(f"row:{bench.tag}", seat), depends_on=(f"{bench.tag}-a",))
    await _start(bench, lease, "d", claims=(f"else:{bench.tag}",))
    links = [(row.effect_id, row.needs_id) for row in (await bench.rows()).dependencies]
    names = [tuple(one.removeprefix(f"{bench.tag}-") for one in link) for link in links]
    assert names == [("b", "a"), ("c", "a"), ("c", "b")]
    assert not await journal.adopt(lease, f"{bench.tag}-b", bench.real("b"))
    for name in ("a", "b", "c"):
        assert await journal.adopt(lease, f"{bench.tag}-{name}", bench.real(name))
    await _start(bench, lease, "real", claims=(seat,), adopted_by=bench.real("real"))
    assert len((await bench.rows()).dependencies) == 3, "a real call builds on nothing that may be lost"
    assert verify(await bench.rows()) == ()


@check
async def nothing_early_builds_on_what_is_being_undone(bench: Bench) -> None:
    journal, lease = bench.journal, await bench.lease()
    seat = f"seat:{bench.tag}"
    await _to(bench, lease, "a", Stage.DONE, claims=(seat,))
    assert await journal.abort(lease, bench.branch("a"), "mismatch")
    assert await _refused(bench, lease, "b", (seat,)) == "a"
    await _start(bench, lease, "real", claims=(seat,), adopted_by=bench.real())
    assert verify(await bench.rows()) == ()


@check
async def of_many_at_once_one_session_gets_the_claim(bench: Bench) -> None:
    journal = bench.journal
    leases = [await bench.lease(f"s{number}") for number in range(6)]
    for turn in range(4):
        seat = f"seat:{bench.tag}:{turn}"
        # Among intents without claims, outcomes and other claims, so that they share a transaction.
        writes = [
            journal.intend(lease, _intent(bench, f"{turn}-{number}", claims=(seat,)))
            for number, lease in enumerate(leases)
        ]
        writes += [
            journal.intend(
                lease, _intent(bench, f"{turn}-free-{number}", claims=(f"seat:{bench.tag}:{turn}:{number}",))
            )
            for number, lease in enumerate(leases)
        ]
        answers = await asyncio.gather(*writes, return_exceptions=True)
        refused = [isinstance(answer, ClaimedError) for answer in answers]
        assert refused.count(True) == 5, answers
        assert not any(refused[6:])
        winner = refused.index(False)
        outcome = journal.record(leases[winner], f"{bench.tag}-{turn}-{winner}", Outcome(stage=Stage.FAILED))
        again = journal.intend(leases[winner - 1], _intent(bench, f"{turn}-next", claims=(seat,)))
        recorded, seq = await asyncio.gather(outcome, again)
        assert recorded
        assert seq > 1, "what failed is in nobody's way, not even in the same transaction"
        assert verify(await bench.rows()) == ()


@check
async def an_unknown_outcome_without_keys_holds_its_tool(bench: Bench) -> None:
    journal, tool = bench.journal, f"book-{bench.tag}"
    mine, other = await bench.lease("a"), await bench.lease("b")
    lost = await _start(bench, mine, "lost", tool=tool)
    keyed = await _start(bench, mine, "keyed", tool=tool, claims=(f"seat:{bench.tag}:1",))
    batch = [journal.record(mine, effect_id, UNKNOWN) for effect_id in (lost, keyed)]
    assert await asyncio.gather(*batch) == [True, True]
    assert ("lost", f"tool:{tool}:*", "shared") in await _claims(bench)
    assert len(await _claims(bench)) == 2, "what has keys holds those"
    assert await _refused(bench, other, "same", (f"seat:{bench.tag}:9",), tool=tool) == "lost"
    await _start(bench, other, "unclaimed", tool=tool)
    await _start(bench, other, "another", tool=f"{tool}-2", claims=(f"seat:{bench.tag}:9",))
    again = await _start(bench, other, "too", tool=tool)
    assert await journal.move(other, again, Stage.INTENDED, Stage.UNKNOWN)
    assert verify(await bench.rows()) == (), "several may hold a tool"
    assert await journal.move(mine, lost, Stage.UNKNOWN, Stage.STUCK, cause="unresolved")
    assert await _refused(bench, other, "same", (f"seat:{bench.tag}:9",), tool=tool) == "lost"
    assert await journal.record(other, again, Outcome(stage=Stage.FAILED))
    assert await journal.move(mine, lost, Stage.STUCK, Stage.COMPENSATED, error="by hand")
    third = await bench.lease("c")
    await _start(bench, third, "free", tool=tool, claims=(f"seat:{bench.tag}:8",))


@check
async def a_closed_session_holds_what_is_stuck_and_nothing_else(bench: Bench) -> None:
    journal = bench.journal
    mine, other = await bench.lease("a"), await bench.lease("b")
    seats = [f"seat:{bench.tag}:{number}" for number in range(3)]
    stuck = await _to(bench, mine, "stuck", Stage.STUCK, claims=seats[:1])
    assert await journal.abort(mine, bench.branch("stuck"), "mismatch")
    real = await _start(bench, mine, "real", claims=seats[1:2], adopted_by=bench.real())
    assert await journal.record(mine, real, DONE)
    await _to(bench, mine, "committed", Stage.COMMITTED, claims=seats[2:])
    await journal.close_session(mine)
    assert await _claims(bench) == [("stuck", seats[0], "exclusive")]
    assert await _refused(bench, other, "mine", seats) == "stuck"
    error = await refuses(ClaimedError, journal.intend(other, _intent(bench, "mine", claims=tuple(seats))))
    assert f"specflow journal resolve {stuck}" in error.hint
    lease = await journal.reopen_session(mine.session_id, owner="operator")
    assert lease is not None
    assert await journal.move(lease, stuck, Stage.STUCK, Stage.COMPENSATED, cause="resolved")
    await journal.close_session(lease)
    assert await _claims(bench) == []
    await _start(bench, other, "mine", claims=tuple(seats))


@check
async def tenants_do_not_see_each_others_claims(bench: Bench) -> None:
    journal, seat = bench.journal, f"seat:{bench.tag}"
    for name in ("one", "two"):
        lease = await journal.open_session(f"{bench.tag}-{name}", thread=bench.tag, owner="me", tenant=name)
        await _start(bench, lease, name, claims=(seat,))
    assert verify(await bench.rows()) == ()


@check
async def keys_of_any_kind_can_be_claimed(bench: Bench) -> None:
    mine, other = await bench.lease("a"), await bench.lease("b")
    tail = f":{bench.tag}"
    hostile = ("long " * 100_000 + tail, f"'; DROP TABLE sf_claim; --{tail}", f"é\u2028\U0001f600 %s ?{tail}")
    for number, key in enumerate(hostile):
        await _start(bench, mine, f"h{number}", claims=(key,))
        assert await _refused(bench, other, f"o{number}", (key,)) == f"h{number}"
    assert max(len(row.resource) for row in (await bench.rows()).claims) <= 240
    for bad in ("", "a\x00b", "\ud800"):
        await refuses(JournalError, bench.journal.intend(other, _intent(bench, "bad", claims=(bad,))))


@check
async def a_stuck_effect_switches_its_tool_off(bench: Bench) -> None:
    journal, tool = bench.journal, f"book-{bench.tag}"
    lease = await journal.open_session(f"{bench.tag}-s", thread=bench.tag, owner="me", tenant=bench.tag)
    assert await journal.stuck_tools(bench.tag) == {}
    stuck = [await _to(bench, lease, name, Stage.STUCK, tool=tool) for name in ("a", "b")]
    await _to(bench, lease, "c", Stage.UNKNOWN, tool="other")
    assert await journal.stuck_tools(bench.tag) == {tool: stuck[0]}
    assert bench.tag not in {*await journal.stuck_tools(""), *await journal.stuck_tools("another")}
    assert await journal.move(lease, stuck[0], Stage.STUCK, Stage.COMPENSATED, cause="resolved")
    assert await journal.stuck_tools(bench.tag) == {tool: stuck[1]}
    assert await journal.move(lease, stuck[1], Stage.STUCK, Stage.COMPENSATED, cause="resolved")
    assert await journal.stuck_tools(bench.tag) == {}
