"""A session that failed takes back what it did: newest first, what builds on what in order, once, also
after a crash; what has no way back is stuck and shown.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specflow.clock import LoopClock
from specflow.effects.call import Call
from specflow.effects.kind import EffectClass
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import CallContext, ToolSpec
from specflow.errors import ConflictError
from specflow.identity import SeededIds
from specflow.journal.event import Observers
from specflow.journal.memory import MemoryJournal
from specflow.journal.record import Intent, Lease, Outcome, UndoPlan
from specflow.journal.verify import verify
from specflow.lifecycle import SessionState, Stage
from specflow.probe import install
from specflow.settlement.recover import Report, recover, settle_session, take_back
from specflow.settlement.undo import Persistence
from specflow.speculation.assemble import assemble
from specflow.testing.explore import run
from specflow.testing.ledger_world import LedgerWorld
from specflow.testing.scripted_core import ScriptedCore


class Works:
    """Building works: `build` puts a storey on, `raze` takes it off; a storey under another cannot go."""

    def __init__(self, stubborn: frozenset[str] = frozenset()) -> None:
        self.razed: list[str] = []
        self.stubborn = stubborn

    async def build(self, call: Call, context: CallContext) -> Any:
        raise AssertionError("nothing is built here")

    async def raze(self, call: Call, context: CallContext) -> Any:
        storey = call.args["storey"]
        if storey in self.stubborn:
            raise OSError(f"{storey} does not move")
        self.razed.append(storey)

    def tools(self) -> list[ToolSpec]:
        build = ToolSpec(name="build", runner=self.build, parameters={"type": "object"})
        raze = ToolSpec(name="raze", runner=self.raze, parameters={"type": "object"})
        return [build, raze]


@dataclass(frozen=True, slots=True)
class Storey:
    """One effect: what it builds on (by number), how it ended, whether it was adopted."""

    needs: frozenset[int]
    early: bool
    adopted: bool
    outcome: Stage
    has_undo: bool
    stubborn: bool


@st.composite
def buildings(draw: st.DrawFn) -> list[Storey]:
    made: list[Storey] = []
    for number in range(draw(st.integers(1, 6))):
        real = [other for other in range(number) if made[other].adopted]
        early = draw(st.booleans())
        grounds = list(range(number)) if early else real
        needs = draw(st.frozensets(st.sampled_from(grounds), max_size=3)) if grounds else frozenset()
        adopted = not early or (needs <= set(real) and draw(st.booleans()))
        made.append(
            Storey(
                needs=needs,
                early=early,
                adopted=adopted,
                outcome=draw(
                    st.sampled_from(
                        [Stage.DONE, Stage.DONE, Stage.FAILED, Stage.DONE if adopted else Stage.UNKNOWN]
                    )
                ),
                has_undo=draw(st.integers(0, 7)) > 0,
                stubborn=draw(st.integers(0, 5)) == 0,
            )
        )
    return made


class Site:
    """A journal with the effects of a building, and the real settler."""

    def __init__(self, building: list[Storey]) -> None:
        self.building = building
        self.works = Works(frozenset(name_of(n) for n, item in enumerate(building) if item.stubborn))
        self.journal = MemoryJournal(LoopClock(), is_dead=lambda owner: owner == "dead")
        registry = ToolRegistry(self.works.tools())
        self.parts = assemble(
            registry=registry,
            judge=LedgerWorld().judge(),
            journal=self.journal,
            clock=LoopClock(),
            ids=SeededIds(0),
            observers=Observers(),
            persistence=Persistence(tries=2, pause=0.1),
        )
        # The ledger's judge does not know these tools: here one thing undoes one other.
        undoer = self.parts.settler._undoer
        undoer._compensates = lambda tool, by: (tool, by) == ("build", "raze")

    async def build(self) -> Lease:
        lease = await self.journal.open_session("s", thread="t", owner="dead")
        for number, storey in enumerate(self.building):
            await self.put(lease, number, storey)
        return lease

    async def put(self, lease: Lease, number: int, storey: Storey) -> None:
        """One storey more."""
        name = name_of(number)
        undo = (
            UndoPlan(tool="raze", arguments={"storey": "args.storey"}, tolerates_missing=True)
            if storey.has_undo
            else None
        )
        await self.journal.intend(
            lease,
            Intent(
                effect_id=name,
                branch_id=f"b{number}",
                tool="build",
                schema_hash="h",
                policy_hash="p",
                effect=EffectClass.COMPENSATABLE,
                fingerprint=name,
                args={"storey": name},
                idem_key=name,
                hypothesis="test",
                adopted_by=None if storey.early else f"real {name}",
                undo=undo,
                depends_on=tuple(name_of(other) for other in sorted(storey.needs)),
            ),
        )
        await self.journal.record(lease, name, Outcome(stage=storey.outcome, result={"ok": True}))
        if storey.early and storey.adopted:
            won = await self.journal.adopt(lease, name, f"real {name}")
            assert won == (storey.outcome is not Stage.FAILED)

    async def stages(self) -> dict[str, Stage]:
        return {row.effect_id: row.stage for row in (await self.journal.snapshot()).effects}


def name_of(number: int) -> str:
    return f"e{number}"


def expected(building: list[Storey], *, saga: bool) -> dict[str, str]:
    """What each effect must come to: undone, stuck, waiting, kept, or nothing where it did not happen."""
    found: dict[str, str] = {}
    for number in reversed(range(len(building))):
        storey = building[number]
        above = [found[name_of(n)] for n, item in enumerate(building) if number in item.needs]
        if storey.outcome is Stage.FAILED:
            found[name_of(number)] = "nothing"
        elif storey.adopted and not saga:
            found[name_of(number)] = "kept"
        elif storey.outcome is Stage.UNKNOWN and not storey.has_undo:
            found[name_of(number)] = "stuck"
        elif "stuck" in above or "waiting" in above:
            found[name_of(number)] = "waiting"
        elif storey.stubborn or not storey.has_undo:
            found[name_of(number)] = "stuck"
        else:
            found[name_of(number)] = "undone"
    return found


def adoptable(building: list[Storey]) -> bool:
    """Whether what is meant to be adopted can be: a failed effect never is, nor what rests on it."""
    lost = {n for n, item in enumerate(building) if item.early and item.outcome is Stage.FAILED}
    return not any(item.needs & lost and item.adopted for item in building)


@given(buildings().filter(adoptable), st.booleans())
@settings(max_examples=150, deadline=None)
def test_what_is_taken_back_goes_in_order_and_the_stuck_holds_only_what_it_builds_on(
    building: list[Storey], saga: bool
) -> None:
    async def body() -> None:
        site = Site(building)
        lease = await site.build()
        settler = site.parts.settler
        if saga:
            report = await take_back(site.journal, settler, lease, cause="failed")
        else:
            report = await settle_session(site.journal, settler, lease, cause="ended")
        meant = expected(building, saga=saga)
        stages = await site.stages()
        came_to = {
            "nothing": {Stage.FAILED},
            "kept": {Stage.COMMITTED, Stage.DONE},
            "waiting": {Stage.DONE, Stage.UNKNOWN, Stage.COMMITTED},
            "stuck": {Stage.STUCK},
            "undone": {Stage.COMPENSATED},
        }
        for name, end in meant.items():
            assert stages[name] in came_to[end], (name, end, stages[name])
        undone = [name for name, end in meant.items() if end == "undone"]
        assert sorted(site.works.razed) == sorted(undone), "each once"
        for number, storey in enumerate(building):
            for other in storey.needs:
                pair = (name_of(number), name_of(other))
                if set(pair) <= set(undone):
                    assert site.works.razed.index(pair[0]) < site.works.razed.index(pair[1])
        ends = list(meant.values())
        assert (report.compensated, report.stuck, report.waiting) == (
            ends.count("undone"), ends.count("stuck"), ends.count("waiting")
        )  # fmt: skip
        assert verify(await site.journal.snapshot()) == ()
        (session,) = (await site.journal.snapshot()).sessions
        assert (session.state is SessionState.CLOSED) == ("waiting" not in ends)
        assert session.decision == ("saga_aborted" if saga else "" if "waiting" in ends else "completed")
        await left_alone_and_then_ended(site, lease, meant)

    run(body(), seed=0)


async def left_alone_and_then_ended(site: Site, lease: Lease, meant: dict[str, str]) -> None:
    """What waits is not touched again until an operator comes; with each that is freed it goes on."""
    journal, settler = site.journal, site.parts.settler
    waiting = list(meant.values()).count("waiting")
    await asyncio.sleep(1)
    if waiting:
        await journal.release_session(lease)
    rows = await journal.snapshot()
    assert await recover(journal, settler, owner="nobody") == Report(waiting=waiting)
    assert await journal.snapshot() == rows, "I12"
    site.works.stubborn = frozenset()
    # One whose turn comes has no undo, perhaps, and is stuck then.
    while stuck := [row for row in await journal.effects("s") if row.stage is Stage.STUCK]:
        row = stuck[0]
        taken = await journal.take_session("s", owner="operator") or await journal.reopen_session(
            "s", owner="operator"
        )
        assert taken is not None
        if row.undo is None:
            await journal.move(taken, row.effect_id, Stage.STUCK, Stage.COMPENSATED, cause="resolved")
        else:
            assert await settler.retry(taken, row) is Stage.COMPENSATED
        await journal.release_session(taken)
        await recover(journal, settler, owner="somebody")
    stages = await site.stages()
    undone = {name for name, stage in stages.items() if stage is Stage.COMPENSATED}
    assert undone == {name for name, end in meant.items() if end in {"undone", "stuck", "waiting"}}
    assert verify(await journal.snapshot()) == ()
    assert {session.state for session in (await journal.snapshot()).sessions} == {SessionState.CLOSED}


def test_what_waited_is_undone_once_the_stuck_is_resolved() -> None:
    lower = Storey(frozenset(), early=True, adopted=False, outcome=Stage.DONE, has_undo=True, stubborn=False)
    upper = Storey(
        frozenset({0}), early=True, adopted=False, outcome=Stage.DONE, has_undo=True, stubborn=True
    )

    async def body() -> None:
        site = Site([lower, upper])
        lease = await site.build()
        settler, journal = site.parts.settler, site.journal
        await settle_session(journal, settler, lease, cause="ended")
        assert await site.stages() == {"e0": Stage.DONE, "e1": Stage.STUCK}
        row = await journal.effect("e1")
        assert row is not None
        assert await settler.retry(lease, row) is Stage.STUCK
        site.works.stubborn = frozenset()
        again = await journal.effect("e1")
        assert again is not None
        assert await settler.retry(lease, again) is Stage.COMPENSATED
        report = await recover(journal, settler, owner="operator")
        assert report == Report(recovered=1, compensated=1)
        assert site.works.razed == ["e1", "e0"]
        assert verify(await journal.snapshot()) == ()

    run(body(), seed=0)


def test_an_operators_retry_waits_for_what_builds_on_it() -> None:
    stubborn = Storey(
        frozenset(), early=True, adopted=False, outcome=Stage.DONE, has_undo=True, stubborn=True
    )

    async def body() -> None:
        upper = Storey(
            frozenset({0}), early=True, adopted=False, outcome=Stage.DONE, has_undo=False, stubborn=False
        )
        site = Site([stubborn, upper])
        lease = await site.build()
        journal = site.journal
        for number in (1, 0):
            await journal.abort(lease, f"b{number}", "test")
            await journal.move(lease, name_of(number), Stage.DONE, Stage.COMPENSATING, cause="test")
            await journal.move(lease, name_of(number), Stage.COMPENSATING, Stage.STUCK, cause="test")
        site.works.stubborn = frozenset()
        row = await journal.effect("e0")
        assert row is not None
        assert await site.parts.settler.retry(lease, row) is Stage.STUCK
        assert site.works.razed == []

    run(body(), seed=0)


async def _trip(core: ScriptedCore) -> None:
    """One booking that was guessed, one that was not; then the trip is off."""
    turn = core.begin()
    right = core.propose(turn, "book", seat="A1")
    await asyncio.sleep(1)
    core.end(turn, [right])
    await core.call(right, identity="m1")
    await core.call(Call(tool="book", args={"seat": "B2"}), identity="m2")
    await core.take_back()


def test_a_run_that_failed_takes_back_what_it_booked_early_and_really() -> None:
    world = LedgerWorld()

    async def body() -> None:
        core = ScriptedCore(world.tools(), world.judge(), MemoryJournal(LoopClock()))
        await _trip(core)
        assert set(world.bookings.values()) == {""}, "cancelled, and remembered as such"
        rows = await core.journal.snapshot()
        assert verify(rows) == ()
        assert {row.stage for row in rows.effects} == {Stage.COMPENSATED}
        assert [row.decision for row in rows.sessions] == ["saga_aborted"]

    run(body(), seed=0)


def test_a_run_that_did_nothing_has_nothing_to_take_back() -> None:
    world = LedgerWorld()

    async def body() -> None:
        core = ScriptedCore(world.tools(), world.judge(), MemoryJournal(LoopClock()))
        core.end(core.begin())
        await core.take_back()
        assert (await core.journal.snapshot()).sessions == ()

    run(body(), seed=0)


def test_what_is_completed_is_not_taken_back() -> None:
    async def body() -> None:
        site = Site([])
        lease = await site.build()
        await site.journal.decide_session(lease, "completed")
        with pytest.raises(ConflictError, match="completed"):
            await take_back(site.journal, site.parts.settler, lease, cause="failed")

    run(body(), seed=0)


class Died(BaseException):
    """The process is gone."""


@pytest.mark.parametrize(
    ("point", "nth"),
    [
        ("saga.decided", 1),
        *((point, nth) for point in ("undo.intended", "undo.called", "undo.committed") for nth in (1, 2)),
    ],
)
def test_who_recovers_a_saga_goes_on_with_it(point: str, nth: int) -> None:
    world, dead, count = LedgerWorld(), False, 0
    journal = MemoryJournal(LoopClock(), is_dead=lambda owner: owner == "first")

    def hook(name: str) -> None:
        nonlocal dead, count
        count += name == point
        if dead or (name == point and count == nth):
            dead = True
            raise Died(name)

    async def body() -> None:
        core = ScriptedCore(world.tools(), world.judge(), journal, owner="first")
        previous = install(hook)
        try:
            with pytest.raises(Died):
                await _trip(core)
        finally:
            install(previous)
        heir = ScriptedCore(world.tools(), world.judge(), journal, owner="heir", seed=1)
        await heir.recover(owner="heir")
        assert set(world.bookings.values()) == {""}, "cancelled, and remembered as such"
        rows = await journal.snapshot()
        assert verify(rows) == ()
        assert {row.stage for row in rows.effects} == {Stage.COMPENSATED}
        assert [(row.state, row.decision) for row in rows.sessions] == [(SessionState.CLOSED, "saga_aborted")]

    run(body(), seed=0)
