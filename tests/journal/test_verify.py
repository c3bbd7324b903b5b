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
from specflow.journal.record import ClaimRow, DependencyRow, EventRow, Outcome, Snapshot, UndoPlan
from specflow.journal.verify import CHECKED, verify
from specflow.lifecycle import BranchState, SessionState, Stage
from specflow.testing.journal_bench import DONE, Bench, to_stage
from specflow.testing.journal_checks_approvals import intent_on, question, rests_on
from specflow.testing.journal_checks_pairs import pair
from specflow.testing.journal_checks_repeats import LOST, unknown


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
    await bench.journal.ask(question(bench))
    agreed = intent_on(bench, "agreed", rests_on(bench))
    await bench.journal.intend(lease, agreed)
    await bench.journal.record(lease, agreed.effect_id, Outcome(stage=Stage.FAILED))
    await bench.journal.move(lease, above, Stage.INTENDED, Stage.UNKNOWN)
    await bench.journal.move(lease, above, Stage.UNKNOWN, Stage.STUCK, error="who knows")
    lost = await unknown(bench, lease, "again", until=1.0)
    for until in (2.0, 3.0):
        row = await bench.journal.effect(lost.effect_id)
        assert row is not None
        assert await bench.journal.repeat(lease, row.effect_id, rev=row.rev, call_deadline=until)
        await bench.journal.record(lease, row.effect_id, LOST)
    await bench.journal.record(lease, lost.effect_id, DONE)
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


def approvals(**changes: Any) -> Callable[[Snapshot], Snapshot]:
    return lambda rows: replace(rows, approvals=tuple(replace(row, **changes) for row in rows.approvals))


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
    ("I17", "used for nothing", approvals(effect_id="x-ghost")),
    ("I17", "used for other arguments", approvals(fingerprint="other")),
    ("I17", "used for another tool", approvals(tool="pay")),
    ("I17", "used under another policy", approvals(policy_hash="newer")),
    ("I18", "called again without a key", effects("again", keyed=False)),
    ("I18", "called again as a guess", without(of("x-br-again", "confirmed"))),
    ("I18", "called again before it was wanted", moved(of("x-br-again", "confirmed"), 10_000)),
    ("I18", "called again in a saga",
     both(also(("x-s", "active", "active"), cause="decided", facts=SAGA),
          moved(lambda event: event.cause == "decided", 0))),
    ("I18", "its deadline was brought forward", effects("again", call_deadline=2.5)),
    ("I18", "no deadline is on record", edited(lambda event: event.cause == "again", facts={})),
    ("I18", "its deadlines went back",
     edited(lambda event: event.facts == {"call_deadline": 2.0}, facts={"call_deadline": 9.0})),
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


async def _pairs() -> Snapshot:
    bench = Bench(journal=MemoryJournal(SystemClock()), tag="x")
    lease = await bench.lease()
    pairs = {name: await pair(bench, lease, name) for name in ("kept", "lost")}
    await bench.journal.adopt_patched(lease, *pairs["kept"], bench.real())
    await bench.journal.abort(lease, bench.branch("lost"), "mismatch")
    for effect_id in reversed(pairs["lost"]):
        await bench.journal.move(lease, effect_id, Stage.DONE, Stage.COMPENSATING)
        await bench.journal.move(lease, effect_id, Stage.COMPENSATING, Stage.COMPENSATED)
    await bench.journal.close_session(lease)
    return await bench.rows()


PAIRS = asyncio.run(_pairs())


def amends(base: str) -> UndoPlan:
    return UndoPlan(tool="", arguments={}, covered_by=base)


APART: list[tuple[str, Callable[[Snapshot], Snapshot]]] = [
    ("a patch of nothing", effects("kept2", undo=amends("x-ghost"))),
    ("a patch of another session's", effects("kept", session_id="x-other")),
    ("a patch that does not build on it", lambda rows: replace(rows, dependencies=rows.dependencies[1:])),
    ("amended twice", both(effects("lost2", undo=amends("x-kept")), depends("lost2", "kept"))),
    ("a patch of a patch", effects("kept", undo=amends("x-lost"))),
    ("called too early", moved(of("x-kept", "done"), 10_000)),
    ("called on nothing that happened", without(of("x-kept", "done"))),
    ("adopted under another name", effects("kept", adopted_by="x-somebody")),
    ("adopted alone", effects("lost", adopted_by="x-somebody")),
    ("adopted before the patch had run", moved(of("x-kept2", "done"), 10_000)),
    ("adopted without the patch", without(of("x-kept2", "done"))),
    ("undone by a call", effects("lost2", comp_key="x-undo")),
    ("undone with arguments", effects("lost2", comp_args={"id": 1})),
    ("taken back above what stands", effects("kept2", stage=Stage.COMPENSATED)),
]


def test_pairs_that_hold_together_are_sound() -> None:
    assert verify(PAIRS) == ()
    planned = without(of("x-kept2", "intended"))(PAIRS)
    assert "I16" not in {violation.invariant for violation in verify(planned)}


@pytest.mark.parametrize("damage", [damage for _, damage in APART], ids=[what for what, _ in APART])
def test_a_pair_that_comes_apart_is_found(damage: Callable[[Snapshot], Snapshot]) -> None:
    found = [violation for violation in verify(damage(PAIRS)) if violation.invariant == "I16"]
    assert found
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
    assert {invariant for invariant, _what, _damage in BROKEN} | {"I16"} == set(CHECKED)


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
