"""What an adversary of the orphans found: a second booking after an error, undos of what somebody else has
adopted, sessions that nobody may close.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest

from specflow.clock import LoopClock
from specflow.effects.call import Call
from specflow.effects.tool import CallContext
from specflow.errors import ConflictError, JournalError
from specflow.journal.memory import MemoryJournal
from specflow.journal.record import EffectRow, Lease
from specflow.journal.verify import verify
from specflow.lifecycle import SessionState, Stage
from specflow.prediction.predictor import HistoryItem, TurnContext
from specflow.speculation.sessions import IDLE
from specflow.testing.explore import run
from specflow.testing.ledger_world import LedgerWorld
from specflow.testing.scripted_core import ScriptedCore
from specflow.testing.settings_world import SettingsWorld


class Shaky(MemoryJournal):
    """A journal that fails, or does something else first, where the test says so."""

    def __init__(self) -> None:
        super().__init__(LoopClock(), is_dead=lambda _owner: True)
        self.first: dict[str, list[Callable[[], Awaitable[object]]]] = {}

    async def _before(self, name: str) -> None:
        if self.first.get(name):
            await self.first[name].pop(0)()

    async def readopt(self, lease: Lease, effect_id: str, adopted_by: str, *, moment: str = "") -> bool:
        await self._before("readopt")
        again = await super().readopt(lease, effect_id, adopted_by, moment=moment)
        await self._before("readopted")
        return again

    async def condemn(self, lease: Lease, *args: Any, **options: Any) -> tuple[Lease, ...]:
        await self._before("condemn")
        taken = await super().condemn(lease, *args, **options)
        await self._before("condemned")
        return taken


async def down() -> None:
    raise JournalError("the database is away")


class Lives:
    """One world and one journal; each life is a process that resumes the run of the one before."""

    def __init__(self, world: Any = None) -> None:
        self.world = world or LedgerWorld()
        self.journal = Shaky()
        self._number = 0

    def next(
        self, run_key: str = "run", known: Iterable[tuple[str, Call]] | None = (), **options: Any
    ) -> ScriptedCore:
        self._number += 1
        judge = options.pop("judge", None) or self.world.judge()
        core = ScriptedCore(
            self.world.tools(),
            judge,
            self.journal,
            owner=f"life {self._number}",
            seed=self._number,
            **options,
        )
        core.begin_run(run_key, known)
        return core

    def booked(self) -> list[str]:
        return sorted(seat for seat in self.world.bookings.values() if seat)

    async def rows(self) -> list[EffectRow]:
        rows = await self.journal.snapshot()
        assert verify(rows) == ()
        return list(rows.effects)

    async def all_closed(self) -> None:
        rows = await self.journal.snapshot()
        assert verify(rows) == ()
        assert {row.state for row in rows.sessions} == {SessionState.CLOSED}


def book(seat: str) -> Call:
    return Call(tool="book", args={"seat": seat})


async def turn(core: ScriptedCore, seat: str, identity: str, **options: Any) -> object:
    core.end(core.begin(), [book(seat)])
    return await core.call(book(seat), identity=identity, **options)


def test_a_journal_that_fails_while_it_gives_again_does_not_make_a_second_booking() -> None:
    """The model sees the error, and asks once more, under another id."""
    lives = Lives()

    async def body() -> None:
        first = await turn(lives.next(), "A1", "old")
        core = lives.next()
        lives.journal.first["readopt"] = [down]
        with pytest.raises(JournalError):
            await turn(core, "A1", "new")
        assert await turn(core, "A1", "newer") == first
        await core.settle()
        assert lives.booked() == ["A1"]
        await lives.all_closed()

    run(body(), seed=0)


def test_an_answer_that_was_lost_is_not_made_good_by_a_second_booking() -> None:
    lives = Lives()

    async def body() -> None:
        await turn(lives.next(), "A1", "old")
        core = lives.next()
        lives.journal.first["readopted"] = [down]
        with pytest.raises(JournalError):
            await turn(core, "A1", "new")
        with pytest.raises(ConflictError, match="cannot be given again"):
            await turn(core, "A1", "newer")
        await core.settle()
        assert lives.booked() == ["A1"]

    run(body(), seed=0)


@pytest.mark.parametrize(("failures", "left"), [(2, []), (3, ["A1"])])
def test_a_journal_that_is_away_at_the_end_is_asked_again_for_a_while(failures: int, left: list[str]) -> None:
    """After that it is an error that names them, and the run's own session is closed all the same."""
    lives = Lives()

    async def body() -> None:
        await turn(lives.next(), "A1", "old")
        core = lives.next()
        await turn(core, "B2", "new")
        lives.journal.first["condemn"] = [down] * failures
        if left:
            with pytest.raises(JournalError, match="away"):
                await core.settle()
        else:
            await core.settle()
        assert lives.booked() == [*left, "B2"]
        await lives.all_closed()

    run(body(), seed=0)


def test_one_session_that_cannot_be_settled_does_not_keep_the_others() -> None:
    lives = Lives()

    async def body() -> None:
        for number, seat in enumerate(("A1", "B2")):
            core = lives.next(known=[(f"old {other}", book(other)) for other in ("A1", "B2")[:number]])
            await turn(core, seat, f"old {seat}")
            await core.settle()
        core = lives.next()
        await turn(core, "C3", "new")
        close, failing = lives.journal.close_session, [True]

        async def close_session(lease: Lease, *, decision: str = "completed") -> None:
            if failing:
                failing.clear()
                await down()
            await close(lease, decision=decision)

        lives.journal.close_session = close_session  # type: ignore[method-assign]  # one test's own journal
        with pytest.raises(JournalError, match="away"):
            await core.settle()
        assert lives.booked() == ["C3"]
        await asyncio.sleep(1)
        report = await lives.next("other").recover(owner="anybody")
        assert report.recovered == 1, "the one that could not be closed was given back"
        await lives.all_closed()

    run(body(), seed=0)


def test_a_call_cancelled_while_it_is_given_again_is_not_booked_beside_itself() -> None:
    lives = Lives()

    async def body() -> None:
        await turn(lives.next(), "A1", "old")
        core = lives.next()

        async def slow() -> None:
            await asyncio.sleep(5)

        lives.journal.first["readopt"] = [slow]
        core.end(core.begin(), [book("A1")])
        asked = asyncio.ensure_future(core.call(book("A1"), identity="new"))
        await asyncio.sleep(1)
        asked.cancel()
        await asyncio.wait({asked})
        with pytest.raises(ConflictError, match="cannot be given again"):
            await turn(core, "A1", "newer")
        await turn(core, "A1", "new")
        await core.settle()
        assert lives.booked() == ["A1"], "it stands, under the name of the call that was cancelled"
        await lives.all_closed()

    run(body(), seed=0)


def test_what_cannot_be_given_again_is_not_booked_on_the_second_asking_either() -> None:
    lives = Lives()

    async def body() -> None:
        async def boxed(call: Call, context: CallContext) -> object:
            return (await lives.world.book(call, context),)

        await turn(lives.next(), "A1", "old", runner=boxed)
        core = lives.next()
        for name in ("new", "newer"):
            with pytest.raises(ConflictError, match="cannot be given again"):
                await turn(core, "A1", name)
        assert lives.booked() == ["A1"]
        await core.settle()
        assert lives.booked() == ["A1"], "the conversation has heard that it is booked"
        await lives.all_closed()

    run(body(), seed=0)


def test_somebody_else_settles_what_is_taken_back_and_the_run_still_closes_its_own_session() -> None:
    lives = Lives()

    async def body() -> None:
        await turn(lives.next(), "A1", "old")
        core = lives.next()
        await turn(core, "B2", "new")
        (first, _own) = (await lives.journal.snapshot()).sessions

        async def taken() -> None:
            assert await lives.journal.take_session(first.session_id, owner="other", force=True)

        lives.journal.first["condemned"] = [taken]
        await core.settle()
        states = {row.session_id: row.state for row in (await lives.journal.snapshot()).sessions}
        assert states.pop(first.session_id) is SessionState.ACTIVE, "the other one has it"
        assert set(states.values()) == {SessionState.CLOSED}

    run(body(), seed=0)


def test_what_another_life_has_adopted_meanwhile_is_not_taken_back() -> None:
    """Two processes resume the same run; one is asked for the call, the other one never."""
    lives = Lives()

    async def body() -> None:
        first = await turn(lives.next(), "A1", "old")
        slow, quick = lives.next(), lives.next()
        slow.end(slow.begin(), [])
        await slow.session.ready()
        assert await turn(quick, "A1", "new") == first
        await quick.settle()
        await slow.settle()
        assert lives.booked() == ["A1"]
        assert [row.stage for row in await lives.rows()] == [Stage.COMMITTED]

    run(body(), seed=0)


def test_a_run_that_neither_guesses_nor_calls_takes_back_too() -> None:
    lives = Lives()

    async def body() -> None:
        await turn(lives.next(), "A1", "old")
        core = lives.next()
        core.end(core.begin(), [])
        await core.settle()
        assert lives.booked() == []
        await lives.all_closed()

    run(body(), seed=0)


def begin_after_user(core: ScriptedCore) -> Any:
    context = TurnContext(tools=core.parts.registry, history=(HistoryItem(role="user", text="go"),))
    return core.coordinator.begin_turn(core.session, context, contextvars.copy_context())


def test_a_model_call_made_again_stays_in_its_run() -> None:
    """The first turn failed and is repeated: the user's words are the last ones once more."""
    lives = Lives()

    async def body() -> None:
        first = await turn(lives.next(), "A1", "old")
        core = lives.next()
        core.end(begin_after_user(core), [], cause="model failed")
        core.end(begin_after_user(core), [book("A1")])
        assert await core.call(book("A1"), identity="new") == first
        await core.call(book("B2"), identity="second")
        assert lives.booked() == ["A1", "B2"]
        core = lives.next(known=[("new", book("A1"))])
        core.end(core.begin(), [book("B2")])
        await core.call(book("B2"), identity="third")
        assert lives.booked() == ["A1", "B2"]

    run(body(), seed=0)


def test_a_run_that_paused_for_long_is_still_that_run() -> None:
    lives = Lives()

    async def body() -> None:
        first = await turn(lives.next(), "A1", "old")
        core = lives.next()
        core.end(core.begin(), [])
        await asyncio.sleep(IDLE + 1)
        other = core.coordinator.session(type(core.key)(thread="another"))
        await core.coordinator.settle(other)
        assert await turn(core, "A1", "new") == first
        await core.settle()
        assert lives.booked() == ["A1"]

    run(body(), seed=0)


def test_one_agent_that_is_done_does_not_end_the_run_of_the_others() -> None:
    lives = Lives()

    async def body() -> None:
        await turn(lives.next(), "A1", "old")
        core = lives.next()
        parent = core.begin(lane="parent")
        child = core.begin(lane="child")
        core.end(child, [])
        await core.session.ready()
        await core.coordinator.finish(core.session, "child", "run_ended")
        core.end(parent, [])
        await core.coordinator.pause(core.session)
        assert lives.booked() == ["A1"], "it has only paused"

    run(body(), seed=0)


def test_another_tenants_conversation_of_the_same_name_is_left_alone() -> None:
    lives = Lives()

    async def body() -> None:
        core = lives.next(tenant="one")
        await turn(core, "A1", "call")
        other = lives.next(tenant="two")
        await turn(other, "B2", "call")
        await turn(core, "C3", "another call")
        assert lives.booked() == ["A1", "B2", "C3"]
        await core.settle()
        await other.settle()
        await lives.all_closed()

    run(body(), seed=0)


async def put(core: ScriptedCore, value: int, identity: str, *, early: bool) -> None:
    model = core.begin()
    call = Call(tool="set_setting", args={"name": "price", "value": value})
    if early:
        core.propose(model, "set_setting", name="price", value=value)
        await asyncio.sleep(1)
    core.end(model, [call])
    await core.call(call, identity=identity)


@pytest.mark.parametrize("early", [False, True])
def test_what_is_written_back_late_does_not_undo_what_the_run_has_written_since(early: bool) -> None:
    """The model, asked again, chose another value: what it wrote must be what stands at the end."""

    async def body() -> None:
        world = SettingsWorld(values={"price": 3})
        lives, judge = Lives(world), world.policy()
        await put(lives.next(judge=judge), 5, "old", early=True)
        core = lives.next(judge=judge)
        await put(core, 7, "new", early=early)
        await core.settle()
        assert world.values == {"price": 7}
        await lives.all_closed()

    run(body(), seed=0)


def test_a_write_cancelled_while_it_makes_way_leaves_nothing_half_taken_back() -> None:
    async def body() -> None:
        world = SettingsWorld(values={"price": 3})
        lives, judge = Lives(world), world.policy()
        await put(lives.next(judge=judge), 5, "old", early=True)
        core = lives.next(judge=judge)
        world.latency["set_setting"] = 10
        call = Call(tool="set_setting", args={"name": "price", "value": 7})
        core.end(core.begin(), [call])
        asked = asyncio.ensure_future(core.call(call, identity="new"))
        await asyncio.sleep(5)
        asked.cancel()
        await asyncio.wait({asked})
        assert asked.cancelled()
        await core.coordinator.aclose()
        assert world.values == {"price": 3}
        await lives.all_closed()

    run(body(), seed=0)


def test_the_next_request_ends_the_run_before_it() -> None:
    """Nobody comes back to what that run lost: it is taken back now, or never."""
    lives = Lives()

    async def body() -> None:
        await turn(lives.next(), "A1", "old")
        core = lives.next()
        await turn(core, "B2", "new")
        core.begin_run("next run", [("new", book("B2"))])
        await turn(core, "C3", "newer")
        await core.settle()
        assert lives.booked() == ["B2", "C3"]
        await lives.all_closed()

    run(body(), seed=0)
