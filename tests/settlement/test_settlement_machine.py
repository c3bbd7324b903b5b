"""Random lives of processes: they guess, call, die, come back, take over, fail as a whole, and are helped.

After every step no invariant is broken on record; in the end, when somebody has recovered everything, the
world is what the journal says. 100 examples by default, 500 with CI, 50,000 with SPECFLOW_NIGHTLY.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Coroutine, Iterator
from contextvars import ContextVar, copy_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from specflow import probe
from specflow.effects.call import Call
from specflow.effects.tool import CallContext, Runner
from specflow.errors import FencedError, SpecflowError
from specflow.journal.record import EffectRow, Lease, Snapshot
from specflow.journal.verify import verify
from specflow.lifecycle import TERMINAL, SessionState, Stage
from specflow.settlement.undo import Persistence
from specflow.speculation.turn import Turn
from specflow.testing.inline_journal import InlineSqlJournal
from specflow.testing.ledger_world import SeatTakenError
from specflow.testing.proof import DiedError, LoopOrZero, Stand
from specflow.testing.scripted_core import ScriptedCore
from specflow.testing.seeded_loop import SeededLoop

NIGHTLY = bool(os.environ.get("SPECFLOW_NIGHTLY"))
EXAMPLES = 50_000 if NIGHTLY else 500 if os.environ.get("CI") else 100
STEPS = 25
SEATS = st.sampled_from(["R0", "R1", "R2", "W0", "W1"])
REAL = st.sampled_from(["R0", "R1", "R2"])
WAYS = (
    {"tolerant": True, "verifiable": False, "keyed": True, "timeout": 5.0},
    {"tolerant": False, "verifiable": True, "keyed": True, "timeout": 5.0},
    {"tolerant": False, "verifiable": True, "keyed": False, "timeout": 5.0},
    {"tolerant": False, "verifiable": False, "keyed": False, "timeout": 5.0},
)
EXPECTED = (SpecflowError, SeatTakenError, OSError, asyncio.CancelledError, DiedError)
current: ContextVar[Process | None] = ContextVar("current", default=None)


class Process:
    """One process. Dead it reaches neither journal nor world; what it had called may still arrive."""

    def __init__(self, stand: Stand, name: str, seed: int) -> None:
        self.name, self.dead, self.dies_at = name, False, ""
        self.turn: Turn | None = None
        self.proposed: list[Call] = []
        self.asking: set[str] = set()
        self.tasks: list[asyncio.Task[Any]] = []
        self.context = copy_context()
        self.context.run(current.set, self)
        tools = [self._mortal(tool) for tool in stand.world.tools()]
        self.core = ScriptedCore(
            tools,
            stand.world.judge(**stand.offers),
            _Reach(self, stand.journal),  # type: ignore[arg-type] # a proxy for a journal
            owner=name,
            seed=seed,
            conflict_wait=20.0,
            persistence=Persistence(tries=2, pause=0.1),
        )

    def _mortal(self, tool: Any) -> Any:
        from dataclasses import replace

        inner: Runner = tool.runner

        async def run(call: Call, context: CallContext) -> Any:
            if self.dead:
                raise DiedError(call.tool)
            return await inner(call, context)

        return replace(tool, runner=run)

    async def ask(self, seat: str) -> None:
        """One real call; no framework makes one twice at the same time."""
        self.asking.add(seat)
        try:
            await self.core.call(Call(tool="book", args={"seat": seat}), identity=f"call {seat}")
        finally:
            self.asking.discard(seat)

    def start(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """Begin something in this process, beside whatever else goes on in it."""
        self.tasks.append(self.context.run(lambda: asyncio.get_running_loop().create_task(work())))


class _Reach:
    """The journal as one process sees it."""

    def __init__(self, process: Process, journal: Any) -> None:
        self._process, self._journal = process, journal

    def __getattr__(self, name: str) -> Any:
        if self._process.dead:
            raise DiedError(name)
        return getattr(self._journal, name)


def at_point(name: str) -> None:
    """The probe's hook: a process dies where it was told to."""
    process = current.get()
    if process is not None:
        if process.dies_at == name:
            process.dead = True
        if process.dead:
            raise DiedError(name)


class Lives(RuleBasedStateMachine):
    """See the module."""

    on_file: InlineSqlJournal | None = None
    dead: ClassVar[set[str]] = set()

    def __init__(self) -> None:
        super().__init__()
        self.loop = SeededLoop(0)
        self.previous = probe.install(at_point)
        self.processes: list[Process] = []
        self.count = 0
        self.saga = False
        self.dead.clear()

    @initialize(way=st.sampled_from(WAYS), file=st.integers(0, 9), latency=st.sampled_from([0.0, 1.0, 3.0]))
    def begin(self, way: dict[str, Any], file: int, latency: float) -> None:
        self.stand = Stand(offers=way, latency={"book": latency, "cancel": latency / 2}, dead=self.dead)
        if file == 0 and self.on_file is not None:
            self.on_file.empty()
            journal: Any = self.on_file
            self.stand.journal = self.stand.world.journal = journal
        self.another()

    def teardown(self) -> None:
        try:
            if self.processes:
                self.end()
        finally:
            probe.install(self.previous)
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.loop.close()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    async def act(self, process: Process, work: Callable[[], Any]) -> Any:
        """Something a process does at once; it may die of it."""
        try:
            return process.context.run(work)
        except DiedError:
            return None

    def living(self, which: int) -> Process:
        alive = [process for process in self.processes if not process.dead]
        if not alive:
            return self.another()
        return alive[which % len(alive)]

    @rule()
    def comes(self) -> None:
        """A process comes. It goes on with the conversation, whoever else believes to have it."""
        self.another()

    def another(self) -> Process:
        self.count += 1
        process = self.run(self.make())
        self.processes.append(process)
        return process

    async def make(self) -> Process:
        return Process(self.stand, f"p{self.count}", seed=self.count)

    @rule(which=st.integers(0, 3), seat=SEATS)
    def guess(self, which: int, seat: str) -> None:
        process = self.living(which)

        def propose() -> None:
            if process.turn is None or process.turn.ended:
                process.turn = process.core.begin()
                process.proposed.clear()
            process.proposed.append(process.core.propose(process.turn, "book", seat=seat))

        self.run(self.act(process, propose))

    @rule(which=st.integers(0, 3), last=st.booleans())
    def retract(self, which: int, last: bool) -> None:
        process = self.living(which)
        turn = process.turn
        if turn is not None and process.proposed:
            call = process.proposed[-1 if last else 0]
            self.run(self.act(process, lambda: process.core.retract(turn, call)))

    @rule(which=st.integers(0, 3), kept=st.integers(0, 3))
    def turn_ends(self, which: int, kept: int) -> None:
        process = self.living(which)
        turn = process.turn
        if turn is not None:
            wanted = [call for call in process.proposed if str(call.args["seat"]).startswith("R")][:kept]
            self.run(self.act(process, lambda: process.core.end(turn, wanted)))

    @rule(which=st.integers(0, 3), seat=REAL)
    def call(self, which: int, seat: str) -> None:
        """The real run asks for it, under the one identity that this call has."""
        process = self.living(which)
        if seat not in process.asking:
            self.run(self.begun(process, lambda: process.ask(seat)))

    @rule(which=st.integers(0, 3))
    def settle(self, which: int) -> None:
        process = self.living(which)
        self.run(self.begun(process, process.core.settle))

    @rule(which=st.integers(0, 3))
    def recover(self, which: int) -> None:
        process = self.living(which)
        self.run(self.begun(process, lambda: process.core.recover(owner=process.name)))

    @rule(which=st.integers(0, 3))
    def fail_as_a_whole(self, which: int) -> None:
        self.saga = True
        process = self.living(which)
        self.run(self.begun(process, lambda: process.core.coordinator.take_back(process.core.session)))

    async def begun(self, process: Process, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        process.start(work)
        await asyncio.sleep(0)

    @rule(seconds=st.sampled_from([0.0, 0.4, 1.1, 4.0]))
    def time_passes(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    @rule(which=st.integers(0, 3))
    def dies(self, which: int) -> None:
        self.mourn(self.living(which))

    @rule(which=st.integers(0, 3), point=st.sampled_from(sorted(probe.POINTS)))
    def will_die_at(self, which: int, point: str) -> None:
        self.living(which).dies_at = point

    def mourn(self, process: Process) -> None:
        process.dead = True
        self.dead.add(process.name)

    @rule(tool=st.sampled_from(["book", "cancel", "find"]), after=st.booleans())
    def world_stumbles(self, tool: str, after: bool) -> None:
        broken = self.stand.world.failing if after else self.stand.world.before
        broken.setdefault(tool, []).append(OSError("the line is bad"))

    @precondition(lambda self: self.processes)
    @rule(by_hand=st.booleans())
    def operator_helps(self, by_hand: bool) -> None:
        """Somebody looks at what is stuck, and tries again, or settles it and says so."""
        process = self.run(self.make())
        self.run(self.helped(process, by_hand=by_hand))

    async def helped(self, process: Process, *, by_hand: bool) -> None:
        journal = self.stand.journal
        for session in (await journal.snapshot()).sessions:
            if session.state is not SessionState.CLOSED:
                continue
            lease = await journal.reopen_session(session.session_id, owner=process.name)
            if lease is None:
                continue
            # A run that goes on takes its session back: the operator is told, and has written nothing since.
            with contextlib.suppress(FencedError):
                for row in await journal.effects(session.session_id):
                    if row.stage is Stage.STUCK:
                        await self.unstuck(process, lease, row, by_hand=by_hand)
                await journal.close_session(lease, decision=session.decision)

    async def unstuck(self, process: Process, lease: Lease, row: EffectRow, *, by_hand: bool) -> None:
        journal, world = self.stand.journal, self.stand.world
        if not by_hand:
            await process.core.settler.retry(lease, row)
        elif all(other.stage in TERMINAL for other in await journal.dependents(row.effect_id)):
            world.bookings[row.idem_key] = ""
            world.tombstones.add(row.idem_key)
            await journal.move(lease, row.effect_id, Stage.STUCK, Stage.COMPENSATED, cause="resolved")

    @invariant()
    def nothing_is_broken(self) -> None:
        if self.processes:
            found = verify(self.run(self.rows()))
            assert found == (), found
            self.heard()

    async def rows(self) -> Any:
        return await self.stand.journal.snapshot()

    def heard(self) -> None:
        """What the tasks of all processes came to: nothing that nobody expects."""
        for process in self.processes:
            for task in [task for task in process.tasks if task.done()]:
                process.tasks.remove(task)
                error = None if task.cancelled() else task.exception()
                if error is not None and not isinstance(error, EXPECTED):
                    raise error
            if process.dead:
                self.dead.add(process.name)

    def end(self) -> None:
        """Everybody dies; what was under way arrives; one comes who is alone, and the world is well."""
        for process in self.processes:
            self.mourn(process)
        self.stand.world.failing.clear()
        self.stand.world.before.clear()
        self.run(asyncio.sleep(60))
        last = self.run(self.make())
        self.run(last.core.recover(owner="last"))
        rows = self.run(self.rows())
        self.run(last.core.recover(owner="last"))
        again = self.run(self.rows())
        assert again.effects == rows.effects, "I12: recovering twice is recovering once"
        assert again.events == rows.events
        unsure = [row for row in rows.effects if row.stage is Stage.STUCK]
        self.run(self.stand.at_rest(stuck=len(unsure)))
        self.once(rows)

    def once(self, rows: Snapshot) -> None:
        """One real call has one effect, and none begins beside its own twin of which nobody knows."""
        came = {(event.subject, event.target): event.seq for event in reversed(rows.events)}
        for seat in ("R0", "R1", "R2"):
            those = [row for row in rows.effects if row.args["seat"] == seat]
            kept = [row for row in those if row.stage is Stage.COMMITTED]
            # A run that failed is over; who asks again then asks for something new.
            assert self.saga or len(kept) <= 1, f"{seat}: {kept}"
            for twin in (row for row in those if row.stage is Stage.STUCK):
                unknown = came.get((twin.effect_id, Stage.UNKNOWN))
                # In its own session the run was told of the error, and may ask again.
                for row in (row for row in those if row.session_id != twin.session_id):
                    beside = unknown is not None and came[row.effect_id, Stage.INTENDED] > unknown
                    assert not beside, f"{seat}: {row.effect_id} was called beside {twin.effect_id}"


@pytest.fixture
def on_file(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Some lives have a journal in a real database, which is emptied before each."""
    ram = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with TemporaryDirectory(dir=ram) as folder:
        journal = InlineSqlJournal(
            Path(folder) / "lives.db", clock=LoopOrZero(), is_dead=Lives.dead.__contains__
        )
        monkeypatch.setattr(Lives, "on_file", journal)
        try:
            yield
        finally:
            journal.close()


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("specflow"), "disabled", True)


@pytest.mark.slow
@pytest.mark.timeout(36_000 if NIGHTLY else 1_800)
@pytest.mark.usefixtures("on_file")
def test_whatever_happens_the_world_is_what_the_journal_says(
    record_property: Callable[[str, object], None],
) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call] # hypothesis leaves it untyped
        Lives,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    record_property("counted", {"lives of the state machine": EXAMPLES})


def test_nobody_repeats_what_another_process_has_found_out() -> None:
    """Found by the machine: two processes resume one run, and one of them only asks what happened."""
    lived(
        lambda lives: lives.begin(
            way={"tolerant": False, "verifiable": True, "keyed": True, "timeout": 5.0}, file=1, latency=0.0
        ),
        Lives.comes,
        lambda lives: lives.call(seat="R1", which=0),
        lambda lives: lives.dies(which=0),
        Lives.comes,
        lambda lives: lives.time_passes(seconds=1.1),
        lambda lives: lives.call(seat="R1", which=0),
        lambda lives: lives.fail_as_a_whole(which=1),
        lambda lives: lives.time_passes(seconds=4.0),
    )


@pytest.mark.usefixtures("on_file")
def test_an_operator_may_lose_a_session_to_the_run_that_goes_on() -> None:
    """Found by the machine: a retry of what is stuck meets a run that is resumed at the same time."""
    lived(
        lambda lives: lives.begin(
            way={"tolerant": True, "verifiable": False, "keyed": True, "timeout": 5.0}, file=0, latency=0.0
        ),
        lambda lives: lives.call(seat="R0", which=0),
        lambda lives: lives.world_stumbles(after=False, tool="book"),
        Lives.comes,
        Lives.comes,
        lambda lives: lives.dies(which=0),
        lambda lives: lives.call(seat="R0", which=0),
        lambda lives: lives.fail_as_a_whole(which=0),
        lambda lives: lives.call(seat="R0", which=0),
        lambda lives: lives.fail_as_a_whole(which=0),
        Lives.comes,
        lambda lives: lives.operator_helps(by_hand=False),
    )


def test_what_nobody_knows_of_waits_for_what_is_stuck_above_it() -> None:
    """Found by the machine: every recovery took the session again, though nothing could be done."""
    lived(
        lambda lives: lives.begin(
            way={"tolerant": True, "verifiable": False, "keyed": True, "timeout": 5.0}, file=1, latency=0.0
        ),
        lambda lives: lives.call(seat="R0", which=0),
        lambda lives: lives.world_stumbles(after=False, tool="book"),
        lambda lives: lives.operator_helps(by_hand=False),
        lambda lives: lives.guess(seat="R0", which=0),
        lambda lives: lives.world_stumbles(after=False, tool="cancel"),
        lambda lives: lives.world_stumbles(after=False, tool="cancel"),
        lambda lives: lives.fail_as_a_whole(which=0),
        lambda lives: lives.time_passes(seconds=0.4),
    )


def lived(*steps: Callable[[Lives], Any]) -> None:
    """One life, step by step, as the machine would have it."""
    lives = Lives()
    try:
        for step in steps:
            step(lives)
            lives.nothing_is_broken()
    finally:
        lives.teardown()
