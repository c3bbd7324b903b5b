"""Each invariant, broken on purpose in rows that were fine, is found; and only that one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from specflow.clock import SystemClock
from specflow.effects.kind import EffectClass
from specflow.journal.claims import EXCLUSIVE, SHARED
from specflow.journal.memory import MemoryJournal
from specflow.journal.record import ClaimRow, DependencyRow, EventRow, Snapshot
from specflow.journal.verify import CHECKED, verify
from specflow.lifecycle import BranchState, SessionState, Stage
from specflow.testing.journal_bench import Bench, to_stage


async def _sound() -> Snapshot:
    bench = Bench(journal=MemoryJournal(SystemClock()), tag="x")
    lease = await bench.lease()
    for stage in (Stage.COMMITTED, Stage.COMPENSATED, Stage.STUCK, Stage.FAILED):
        await to_stage(bench, lease, stage.value, stage)
    first = await to_stage(bench, lease, "base", Stage.DONE)
    await bench.journal.adopt(lease, first, bench.real("base"))
    above = await bench.start(
        lease, "above", adopted_by=bench.real("above"), depends_on=(first,),
        effect=EffectClass.CONFIRMATION_REQUIRED,
    )  # fmt: skip
    await bench.journal.move(lease, above, Stage.INTENDED, Stage.UNKNOWN)
    await bench.journal.move(lease, above, Stage.UNKNOWN, Stage.STUCK, error="who knows")
    for name in ("stuck", "failed"):
        await bench.journal.abort(lease, bench.branch(name), "turn_ended")
    await bench.journal.close_session(lease)
    return await bench.rows()


SOUND = asyncio.run(_sound())


def effects(name: str, **changes: Any) -> Callable[[Snapshot], Snapshot]:
    def change(rows: Snapshot) -> Snapshot:
        changed = (replace(r, **changes) if r.effect_id == f"x-{name}" else r for r in rows.effects)
        return replace(rows, effects=tuple(changed))

    return change


def branches(name: str, **changes: Any) -> Callable[[Snapshot], Snapshot]:
    def change(rows: Snapshot) -> Snapshot:
        changed = (replace(r, **changes) if r.branch_id == f"x-br-{name}" else r for r in rows.branches)
        return replace(rows, branches=tuple(changed))

    return change


def sessions(**changes: Any) -> Callable[[Snapshot], Snapshot]:
    return lambda rows: replace(rows, sessions=tuple(replace(row, **changes) for row in rows.sessions))


def without(test: Callable[[EventRow], bool]) -> Callable[[Snapshot], Snapshot]:
    return lambda rows: replace(rows, events=tuple(event for event in rows.events if not test(event)))


def edited(test: Callable[[EventRow], bool], **changes: Any) -> Callable[[Snapshot], Snapshot]:
    def change(rows: Snapshot) -> Snapshot:
        return replace(rows, events=tuple(replace(e, **changes) if test(e) else e for e in rows.events))

    return change


SAGA = {"decision": "saga_aborted"}


def moved(test: Callable[[EventRow], bool], seq: int) -> Callable[[Snapshot], Snapshot]:
    """As if that had been written at another time."""
    return edited(test, seq=seq)


def also(
    *moves: tuple[str, str, str], cause: str = "", facts: dict[str, str] | None = None
) -> Callable[[Snapshot], Snapshot]:
    def change(rows: Snapshot) -> Snapshot:
        last = max(rows.events, key=lambda event: event.seq)
        more = tuple(
            replace(
                last,
                seq=last.seq + n,
                subject=subject,
                source=source,
                target=target,
                cause=cause,
                facts=facts or {},
            )
            for n, (subject, source, target) in enumerate(moves, 1)
        )
        return replace(rows, events=rows.events + more)

    return change


def both(*changes: Callable[[Snapshot], Snapshot]) -> Callable[[Snapshot], Snapshot]:
    def change(rows: Snapshot) -> Snapshot:
        for one in changes:
            rows = one(rows)
        return rows

    return change


def of(subject: str, target: str) -> Callable[[EventRow], bool]:
    return lambda event: event.subject == subject and event.target == target


def depends(effect: str, needs: str) -> Callable[[Snapshot], Snapshot]:
    row = DependencyRow(effect_id=f"x-{effect}", needs_id=f"x-{needs}")
    return lambda rows: replace(rows, dependencies=(*rows.dependencies, row))


def claims(resource: str, *, mode: str = EXCLUSIVE) -> Callable[[Snapshot], Snapshot]:
    """The stuck effect, and one that another session has begun, claim: the second `resource`."""

    def change(rows: Snapshot) -> Snapshot:
        second = bench_of_another()
        held = (
            ClaimRow(effect_id="x-stuck", resource="seat:A1", mode=EXCLUSIVE),
            ClaimRow(effect_id="x-second", resource=resource, mode=mode),
            ClaimRow(effect_id="x-ghost", resource="seat:A1", mode=EXCLUSIVE),
        )
        return Snapshot(
            sessions=(*rows.sessions, *second.sessions),
            branches=(*rows.branches, *second.branches),
            effects=(*rows.effects, *second.effects),
            events=(*rows.events, *(replace(event, seq=event.seq + 10_000) for event in second.events)),
            dependencies=rows.dependencies,
            claims=held,
        )

    return change


def bench_of_another() -> Snapshot:
    async def make() -> Snapshot:
        bench = Bench(journal=MemoryJournal(SystemClock()), tag="x")
        await bench.start(await bench.lease("another"), "second")
        return await bench.rows()

    return asyncio.run(make())


UNDOING = (
    ("x-committed", "committed", "compensating"),
    ("x-committed", "compensating", "compensated"),
)

BROKEN: list[tuple[str, str, Callable[[Snapshot], Snapshot]]] = [
    ("I1", "no birth", both(without(of("x-stuck", "intended")), effects("stuck", rev=2))),
    ("I2", "open branch", branches("failed", state=BranchState.OPEN)),
    ("I2", "live effect", effects("committed", stage=Stage.DONE)),
    ("I3", "committed without adoption", effects("committed", adopted_by=None)),
    ("I3", "adopted twice", effects("base", adopted_by="x-committed")),
    ("I3", "adopted, branch aborted", branches("base", state=BranchState.ABORTED)),
    ("I3", "undone without a saga",
     both(also(*UNDOING), effects("committed", stage=Stage.COMPENSATED, rev=5))),
    ("I4", "aborted, not undone", effects("compensated", stage=Stage.DONE)),
    ("I4", "aborted, committed", effects("failed", stage=Stage.COMMITTED)),
    ("I3", "a saga that left something",
     both(edited(of("x-s", "closed"), cause="saga_aborted"), sessions(decision="saga_aborted"))),
    ("I3", "undone before the saga was decided",
     both(also(*UNDOING, ("x-s", "active", "active"), cause="decided", facts=SAGA),
          effects("committed", stage=Stage.COMPENSATED, rev=5, attempts=1))),
    ("I4", "undone before it was lost",
     both(moved(of("x-br-compensated", "aborted"), 10_000), branches("compensated", parent_id=None))),
    ("I4", "nobody can tell, and one says so",
     both(effects("stuck", verify=None, stage=Stage.FAILED, rev=3),
          edited(of("x-stuck", "stuck"), target="failed", fence=2))),
    ("I5", "undone under what stands on it", depends("committed", "compensated")),
    ("I5", "undone under what is stuck",
     both(depends("stuck", "committed"), also(*UNDOING),
          effects("committed", stage=Stage.COMPENSATED, rev=5, attempts=1))),
    ("I5", "an orphan undone under what is stuck",
     both(depends("stuck", "committed"), also(*UNDOING, cause="orphaned"),
          effects("committed", stage=Stage.COMPENSATED, rev=5, attempts=1))),
    ("I6", "undone twice", also(("x-compensated", "compensating", "compensated"))),
    ("I6", "a shared key", effects("stuck", comp_key="x-undo-compensated")),
    ("I7", "a try that is not counted", effects("compensated", attempts=0)),
    ("I7", "no branch", effects("failed", branch_id="x-br-ghost")),
    ("I7", "another session's branch", branches("failed", session_id="x-other")),
    ("I7", "a lost event", without(of("x-committed", "done"))),
    ("I7", "stage without event", effects("failed", stage=Stage.DROPPED)),
    ("I7", "wrong count", effects("failed", rev=9)),
    ("I7", "an illegal move",
     both(edited(of("x-failed", "failed"), target="committed"), effects("failed", stage=Stage.COMMITTED))),
    ("I7", "born in the middle", edited(of("x-failed", "intended"), target="done")),
    ("I7", "events of nobody", also(("x-ghost", "", "intended"))),
    ("I7", "no events at all", without(lambda event: event.subject == "x-br-failed")),
    ("I8", "fence went back", edited(of("x-s", "active"), fence=2)),
    ("I8", "session below its events", sessions(fence=0)),
    ("I8", "session above its events", sessions(fence=2)),
    ("I9", "decided twice", also(("x-br-failed", "open", "confirmed"))),
    ("I9", "decision changed", sessions(decision="saga_aborted")),
    ("I9", "decided otherwise before",
     also(("x-s", "active", "active"), cause="decided", facts=SAGA)),
    ("I9", "decided by another", branches("failed", decided_fence=9)),
    ("I11", "called before confirmed", effects("stuck", effect=EffectClass.CONFIRMATION_REQUIRED)),
    ("I13", "stuck without a word",
     both(effects("stuck", error=""), edited(of("x-stuck", "stuck"), cause=""))),
    ("I14", "reader confirmed first", depends("committed", "base")),
    ("I14", "confirmed under an open branch", branches("base", parent_id="x-br-failed")),
    ("I14", "confirmed before the one above", branches("committed", parent_id="x-br-base")),
    ("I14", "builds on nothing", depends("stuck", "ghost")),
    ("I14", "nothing builds on it", depends("ghost", "stuck")),
    ("I15", "two hold one seat", claims("seat:A1")),
    ("I15", "one holds all seats", claims("seat:*")),
    ("I15", "one holds everything", claims("*")),
]  # fmt: skip


def test_sound_rows_have_no_violation() -> None:
    assert verify(branches("above", parent_id="x-br-base")(SOUND)) == ()
    assert verify(SOUND) == ()
    assert verify(Snapshot(sessions=(), branches=(), effects=(), events=())) == ()


@pytest.mark.parametrize(("invariant", "_what", "damage"), BROKEN, ids=[f"{i} {w}" for i, w, _ in BROKEN])
def test_damage_is_found(invariant: str, _what: str, damage: Callable[[Snapshot], Snapshot]) -> None:
    found = verify(damage(SOUND))
    assert invariant in {violation.invariant for violation in found}
    assert all(violation.rows and violation.message for violation in found)


def test_claims_that_do_not_meet_are_no_violation() -> None:
    apart = (claims("seat:B2"), claims("tool:book:*"), claims("seat:A1", mode=SHARED))
    assert [verify(change(SOUND)) for change in apart] == [()] * len(apart)
    other_tenant = claims("seat:A1")(SOUND)
    sessions = tuple(
        replace(row, tenant="other") if row.session_id == "x-another" else row
        for row in other_tenant.sessions
    )
    assert verify(replace(other_tenant, sessions=sessions)) == ()
    over = both(claims("seat:A1"), effects("second", stage=Stage.FAILED))(SOUND)
    assert "I15" not in {violation.invariant for violation in verify(over)}
    saga = both(
        claims("seat:A1"), branches("stuck", state=BranchState.CONFIRMED), effects("stuck", attempts=1)
    )(SOUND)
    assert "I15" not in {violation.invariant for violation in verify(saga)}, "a saga cannot wait"


def test_every_invariant_that_rows_can_break_has_an_example() -> None:
    assert {invariant for invariant, _what, _damage in BROKEN} == set(CHECKED)


def test_a_saga_and_an_orphan_may_take_back_what_was_committed() -> None:
    undone = effects("committed", stage=Stage.COMPENSATED, rev=5, attempts=1)
    orphan = both(also(*UNDOING, cause="orphaned"), undone)(SOUND)
    assert verify(orphan) == ()
    # Not closed yet: what stands on `base` is stuck, so that it waits to be undone.
    saga = both(
        without(of("x-s", "closed")),
        also(("x-s", "active", "active"), cause="decided", facts=SAGA),
        also(*UNDOING),
        undone,
        sessions(decision="saga_aborted", state=SessionState.ACTIVE),
    )
    assert verify(saga(SOUND)) == ()
