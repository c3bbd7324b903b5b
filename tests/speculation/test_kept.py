"""An early read outlives its run, for the next one of its conversation: never stale, for nobody else."""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from specflow.clock import LoopClock
from specflow.effects.call import Call
from specflow.graph.host import Host
from specflow.journal.event import CallEvent, EventKind
from specflow.journal.memory import MemoryJournal
from specflow.policy.settings import Budgets
from specflow.policy.verdict import Speculate
from specflow.prediction.candidate import Candidate
from specflow.prediction.chunk import Chunk, ChunkKind
from specflow.prediction.predictor import HistoryItem, TurnContext
from specflow.speculation import kept
from specflow.speculation.canary import Canary
from specflow.speculation.durations import ENOUGH_FOR_MEDIAN
from specflow.speculation.parts import Mode
from specflow.speculation.shelf import Shelf
from specflow.speculation.turn import Turn
from specflow.testing.explore import run
from specflow.testing.ledger_world import LedgerWorld
from specflow.testing.lossless.draw import draw
from specflow.testing.lossless.longer import longer
from specflow.testing.lossless.prove import both, hold
from specflow.testing.scripted_core import ScriptedCore
from tests.speculation.scenarios import scenario

EXAMPLES = 20_000 if os.environ.get("SPECFLOW_NIGHTLY") else 300 if os.environ.get("CI") else 60
USER: contextvars.ContextVar[str] = contextvars.ContextVar("user")
SPOKEN = (HistoryItem(role="user", text="and now?"),)
LOOK = Call(tool="look", args={"seat": "A1"})


class Talk:
    """One conversation; `look` takes `latency` seconds, and its results are good for `ttl`."""

    def __init__(
        self,
        *,
        latency: float = 1.0,
        thread: str = "talk",
        world: LedgerWorld | None = None,
        journal: MemoryJournal | None = None,
        owner: str = "scripted",
        seed: int = 0,
        core: dict[str, Any] | None = None,
        **cache: Any,
    ) -> None:
        self.world = world or LedgerWorld(latency={"look": latency})
        judge = self.judge = self.world.judge()
        rule = judge._rules["look"]
        settings = replace(rule.settings, **{"ttl": 60.0, "scope": "thread", **cache})
        judge._rules["look"] = replace(rule, settings=settings)
        self.core = ScriptedCore(
            self.world.tools(),
            judge,
            journal or MemoryJournal(LoopClock()),
            thread=thread,
            owner=owner,
            seed=seed,
            **core or {},
        )

    async def foresee(
        self,
        wait: float = 2.0,
        *,
        core: ScriptedCore | None = None,
        cause: str = "",
        seat: str = "A1",
        asked: Sequence[Call] = (),
    ) -> CallEvent:
        """A run in which the read is foreseen and not made; it ends with an answer to the user."""
        core = core or self.core
        turn = core.begin(history=SPOKEN)
        core.propose(turn, "look", seat=seat)
        await asyncio.sleep(wait)
        core.end(turn, asked, cause)
        await core.coordinator.finish(turn.session, "", cause or "run_ended")
        return core.log.of(EventKind.LAUNCHED)[-1]

    def ask(self, core: ScriptedCore | None = None) -> Turn:
        """The user says something, and the model asks for the read at once."""
        core = core or self.core
        turn = core.begin(history=SPOKEN)
        core.end(turn, [LOOK])
        return turn

    async def answer(self, core: ScriptedCore | None = None) -> Any:
        """The same, and the read is made."""
        self.ask(core)
        return await (core or self.core).call(LOOK)

    async def book(self, seat: str = "A1", core: ScriptedCore | None = None) -> None:
        """A message of the model that books a seat, in answer to the user."""
        core = core or self.core
        turn = core.begin(history=SPOKEN)
        call = Call(tool="book", args={"seat": seat})
        core.end(turn, [call])
        await core.call(call)

    async def close(self) -> None:
        """Everything ends. Whatever was started has ended once."""
        await self.core.aclose()
        launched = [event.speculation_id for event in self.core.log.of(EventKind.LAUNCHED)]
        resolved = [event.speculation_id for event in self.core.log.of(EventKind.RESOLVED)]
        assert sorted(launched) == sorted(resolved)
        assert self.core.left_behind() == []

    @property
    def reads(self) -> int:
        return sum(kind == "read" for kind, _, _ in self.world.log)

    @property
    def ends(self) -> list[tuple[str, str]]:
        """Outcome and cause of what was started, in the order of their ends."""
        return [(event.outcome, event.cause) for event in self.core.log.of(EventKind.RESOLVED)]

    def saw(self, *kinds: EventKind) -> list[EventKind]:
        return [event.kind for event in self.core.log.events if event.kind in kinds]


# ------------------------------------------------------------------ nothing changes but the time


def test_a_longer_conversation_is_the_same_both_ways(
    record_property: Callable[[str, object], None],
) -> None:
    """Generated agents whose reads outlive their runs see what they see without speculation."""
    came: list[str] = []
    for seed in range(EXAMPLES):
        events = hold(longer(draw(Random(seed), seed=seed), Random(seed))).early.events
        carried = {event.speculation_id for event in events if event.kind is EventKind.CARRIED}
        came += [
            event.outcome
            for event in events
            if event.kind is EventKind.RESOLVED and event.speculation_id in carried
        ]
    assert came.count("hit") > EXAMPLES / 10, "and they do get what an earlier run has read"
    assert "stale" in came
    record_property("counted", {"generated conversations, the same both ways": EXAMPLES})


@pytest.mark.parametrize("bug", ["what other runs write is not looked at", "writes are forgotten at once"])
def test_the_generated_conversations_notice_a_planted_bug(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if bug == "writes are forgotten at once":
        monkeypatch.setattr(Shelf, "begin", lambda *_: None)
    monkeypatch.setattr(Shelf, "met", lambda *_: False)
    monkeypatch.setattr(Shelf, "_stale", lambda *_: False)
    assert any(both(longer(draw(Random(seed), seed=seed), Random(seed))).differences for seed in range(200))


# ------------------------------------------------------------------ the next run has it


@scenario
async def test_the_next_run_has_what_the_one_before_has_read() -> None:
    talk = Talk()
    early = await talk.foresee()
    assert talk.saw(EventKind.SETTLED, EventKind.KEPT, EventKind.RESOLVED) == [
        EventKind.KEPT,
        EventKind.SETTLED,
    ]
    before = asyncio.get_running_loop().time()
    assert (await talk.answer())["bookings"] == 0
    assert asyncio.get_running_loop().time() == before
    assert talk.reads == 1
    ended = talk.core.log.of(EventKind.CALL_ENDED)[-1]
    assert (ended.outcome, ended.speculation_id) == ("hit", early.speculation_id)
    (carried,) = talk.core.log.of(EventKind.CARRIED)
    assert carried.session_id != early.session_id
    assert carried.session_id == ended.session_id == talk.core.log.of(EventKind.RESOLVED)[0].session_id
    await talk.close()


@scenario
async def test_one_that_still_runs_goes_on_while_the_user_thinks() -> None:
    talk = Talk(latency=5.0)
    await talk.foresee(wait=1.0)
    await asyncio.sleep(3.0)
    before = asyncio.get_running_loop().time()
    await talk.answer()
    assert asyncio.get_running_loop().time() == pytest.approx(before + 1.0)
    assert (talk.reads, talk.ends) == (1, [("late", "")])
    await talk.close()


@scenario
async def test_it_lives_through_several_runs_and_is_not_started_again_meanwhile() -> None:
    talk = Talk()
    for _ in range(3):
        await talk.foresee()
        await asyncio.sleep(5.0)
    await talk.answer()
    assert (talk.reads, talk.ends) == (1, [("hit", "")])
    causes = [event.cause for event in talk.core.log.of(EventKind.WITHHELD)]
    assert causes == ["duplicate", "duplicate"]
    await talk.close()


@scenario
async def test_it_lives_where_only_the_user_tells_one_run_from_the_next() -> None:
    talk = Talk()
    turn = talk.core.begin(history=SPOKEN)
    talk.core.propose(turn, "look", seat="A1")
    await asyncio.sleep(2.0)
    talk.core.end(turn, [])  # nobody says that the run is over
    await talk.answer()
    assert (talk.reads, talk.ends) == (1, [("hit", "")])
    await talk.close()


@pytest.mark.parametrize(
    ("scope", "theirs", "reads"),
    [("thread", "other", 2), ("thread", "talk", 1), ("tenant", "other", 1), ("session", "talk", 2)],
)
def test_whose_next_run_has_it(scope: str, theirs: str, reads: int) -> None:
    async def body() -> None:
        talk = Talk(scope=scope)
        await talk.foresee()
        await talk.answer(talk.core.beside(theirs))
        assert talk.reads == reads
        await talk.close()

    run(body(), seed=0)


@scenario
async def test_without_a_conversation_there_is_no_next_run() -> None:
    talk = Talk(thread="", scope="public")
    await talk.foresee()
    assert talk.ends == [("cancelled", "run_ended")]
    assert talk.saw(EventKind.KEPT) == []
    await talk.close()


# ------------------------------------------------------------------ and nobody else, and nothing older


@scenario
async def test_after_its_ttl_it_ends_by_itself() -> None:
    talk = Talk(ttl=10.0)
    await talk.foresee()
    await asyncio.sleep(9.0)
    (end,) = talk.core.log.of(EventKind.RESOLVED)
    assert (end.outcome, end.cause, end.facts["kept"], end.misfire) == (
        "cancelled",
        "expired",
        1.0,
        "wrong_tool",
    )
    assert talk.core.left_behind() == []
    await talk.answer()
    assert talk.reads == 2
    await talk.close()


@scenario
async def test_one_that_runs_beyond_its_ttl_is_cancelled() -> None:
    talk = Talk(ttl=3.0, latency=100.0)
    await talk.foresee(wait=1.0)
    await asyncio.sleep(5.0)
    assert talk.ends == [("cancelled", "expired")]
    assert len(asyncio.all_tasks()) == 1
    await talk.close()


@pytest.mark.parametrize(("mine", "theirs", "reads"), [("ada", "bob", 2), ("ada", "ada", 1)])
def test_another_user_in_the_context_gets_nothing(mine: str, theirs: str, reads: int) -> None:
    async def body() -> None:
        talk = Talk()
        USER.set(mine)
        await talk.foresee()
        USER.set(theirs)
        await talk.answer()
        assert talk.reads == reads
        await talk.close()

    run(body(), seed=0)


@scenario
async def test_what_is_redacted_ends_with_its_run() -> None:
    talk = Talk(redact=("result.bookings",))
    await talk.foresee()
    await talk.answer()
    assert talk.reads == 2
    await talk.close()


@pytest.mark.parametrize("whose", ["talk", "other"])
def test_a_write_in_between_makes_it_stale(whose: str) -> None:
    async def body() -> None:
        talk = Talk()
        await talk.foresee()
        other = talk.core.beside(whose)
        await talk.book(core=other)
        await other.coordinator.finish(other.session, "", "run_ended")
        assert (await talk.answer())["bookings"] == 1
        assert talk.reads == 2
        assert talk.ends == [("stale", "stale")]
        await talk.close()

    run(body(), seed=0)


@pytest.mark.parametrize(
    "asked", [(), (LOOK,)], ids=["not asked for", "asked for, and then the graph stopped"]
)
def test_what_has_become_stale_does_not_keep_a_newer_read_from_being_started(asked: tuple[Call, ...]) -> None:
    async def body() -> None:
        talk = Talk()
        await talk.foresee(asked=asked)
        await talk.book()
        await asyncio.sleep(1.0)
        turn = talk.core.begin()
        talk.core.propose(turn, "look", seat="A1")
        await asyncio.sleep(2.0)
        talk.core.end(turn, [LOOK])
        assert (await talk.core.call(LOOK))["bookings"] == 1
        assert talk.ends == [("stale", "stale"), ("hit", "")]
        await talk.close()

    run(body(), seed=0)


@scenario
async def test_where_another_process_went_on_with_the_conversation_nothing_is_kept() -> None:
    """It may have written what was read: nobody here would know."""
    journal = MemoryJournal(LoopClock())
    here = Talk(journal=journal)
    there = Talk(world=here.world, journal=journal, owner="there", seed=7)
    await here.foresee()
    await there.book()
    await there.close()
    assert (await here.answer())["bookings"] == 1
    assert here.ends == [("cancelled", "elsewhere")]
    await here.foresee()
    await here.answer()
    assert here.ends[1:] == [("hit", "")], "and from then on it is this one's again"
    await here.close()


@scenario
async def test_what_another_process_may_have_overtaken_is_not_on_the_shelf_either() -> None:
    """Adopted once, and still good for further calls: not for those of a run after the other process's."""
    journal = MemoryJournal(LoopClock())
    here = Talk(journal=journal)
    there = Talk(world=here.world, journal=journal, owner="there", seed=7)
    await here.foresee()
    await here.answer()
    await here.core.settle()
    await here.answer()
    await here.core.settle()
    assert here.reads == 1
    await there.book()
    await there.close()
    assert (await here.answer())["bookings"] == 1
    await here.close()


@scenario
async def test_what_the_own_writes_have_opened_in_the_journal_is_no_other_process() -> None:
    talk = Talk()
    for seat in ("B1", "B2"):
        turn = talk.core.begin(history=SPOKEN)
        talk.core.propose(turn, "look", seat="A1")
        book = Call(tool="book", args={"seat": seat})
        await asyncio.sleep(2.0)
        talk.core.end(turn, [book])
        await talk.core.call(book)
        await talk.core.coordinator.finish(turn.session, "", "run_ended")
    await talk.answer()
    assert (talk.reads, talk.ends) == (1, [("hit", "")])
    await talk.close()


# ------------------------------------------------------------------ what is not kept


@scenario
async def test_a_write_is_never_kept() -> None:
    talk = Talk()
    turn = talk.core.begin(history=SPOKEN)
    talk.core.propose(turn, "book", seat="A1")
    await asyncio.sleep(2.0)
    talk.core.end(turn, [])
    await talk.core.coordinator.finish(turn.session, "", "run_ended")
    assert talk.saw(EventKind.KEPT) == []
    assert talk.ends == [("compensated", "mismatch")]
    assert talk.world.seats == {}
    await talk.close()


@pytest.mark.parametrize("cause", ["model_error", "cancelled"])
def test_of_a_run_that_failed_nothing_is_kept(cause: str) -> None:
    async def body() -> None:
        talk = Talk()
        await talk.foresee(cause=cause)
        assert [outcome for outcome, _ in talk.ends] == ["cancelled"]
        assert talk.saw(EventKind.KEPT) == []
        await talk.close()

    run(body(), seed=0)


@scenario
async def test_of_a_run_that_is_taken_back_nothing_is_kept() -> None:
    talk = Talk(core={"saga": True})
    turn = talk.core.begin(history=SPOKEN)
    talk.core.propose(turn, "look", seat="A1")
    await asyncio.sleep(2.0)
    talk.core.end(turn, [])
    await talk.core.take_back()
    assert talk.saw(EventKind.KEPT) == []
    await talk.close()


@scenario
async def test_the_end_of_everything_cancels_what_is_kept() -> None:
    talk = Talk(latency=100.0)
    await talk.foresee(wait=1.0)
    await talk.close()
    assert talk.ends == [("cancelled", "shutdown")]
    assert len(asyncio.all_tasks()) == 1


@scenario
async def test_there_is_a_limit_to_what_is_kept() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept, "MOST", 2)
        talk = Talk()
        for name in "abc":
            await talk.foresee(core=talk.core.beside(name))
        assert talk.ends == [("cancelled", "budget")]
        await talk.answer(talk.core.beside("a"))
        assert talk.reads == 4
        await talk.close()


@scenario
async def test_the_control_group_of_a_canary_starts_and_keeps_nothing() -> None:
    talk = Talk(core={"mode": Mode.ON, "canary": Canary(share=0.0)})
    turn = talk.core.begin(history=SPOKEN)
    talk.core.propose(turn, "look", seat="A1")
    talk.core.end(turn, [])
    await talk.answer()
    assert talk.saw(EventKind.LAUNCHED, EventKind.KEPT) == []
    await talk.close()


@pytest.mark.parametrize("when", ["in its run", "while it is kept", "in a later run"])
def test_one_that_failed_is_of_no_use_and_in_nobodys_way(when: str) -> None:
    async def body() -> None:
        talk = Talk(latency=3.0)
        talk.world.failing["look"] = [RuntimeError("down")]
        await talk.foresee(wait=4.0 if when == "in its run" else 1.0)
        await asyncio.sleep(4.0 if when == "while it is kept" else 1.0)
        turn = talk.core.begin(history=SPOKEN)
        await asyncio.sleep(3.0)
        talk.core.propose(turn, "look", seat="A1")
        await asyncio.sleep(4.0)
        talk.core.end(turn, [LOOK])
        assert (await talk.core.call(LOOK))["bookings"] == 0
        first = "run_ended" if when == "in its run" else "failed"
        assert talk.ends == [("cancelled", first), ("hit", "")]
        await talk.close()

    run(body(), seed=0)


@scenario
async def test_what_is_carried_counts_as_running_in_the_run_that_has_it() -> None:
    talk = Talk(latency=10.0, max_concurrent=1)
    await talk.foresee(wait=1.0)
    turn = talk.core.begin(history=SPOKEN)
    talk.core.propose(turn, "look", seat="B2")
    held = talk.core.log.of(EventKind.WITHHELD)[-1]
    assert (held.cause, held.facts["budget"]) == ("budget", "max_concurrent")
    talk.core.end(turn, [])
    await talk.close()


# ------------------------------------------------------------------ found by review


@scenario
async def test_what_saw_a_write_that_is_taken_back_with_its_run_is_stale() -> None:
    talk = Talk(core={"saga": True})
    core = talk.core
    await talk.book()
    await asyncio.sleep(1.0)
    turn = core.begin()
    core.propose(turn, "look", seat="A1")
    await asyncio.sleep(2.0)
    core.end(turn, [])
    await core.take_back()
    assert talk.world.seats == {}
    assert (await talk.answer())["bookings"] == 0
    await talk.close()


@scenario
async def test_another_process_between_the_beginning_of_a_run_and_its_first_write_counts() -> None:
    journal = MemoryJournal(LoopClock())
    here = Talk(journal=journal)
    there = Talk(world=here.world, journal=journal, owner="there", seed=7)
    core, book = here.core, Call(tool="book", args={"seat": "B2"})
    turn = core.begin(history=SPOKEN)
    core.propose(turn, "look", seat="A1")
    await asyncio.sleep(2.0)
    await there.book()
    await there.close()
    core.end(turn, [book])
    await core.call(book)
    await core.coordinator.finish(turn.session, "", "run_ended")
    assert (await here.answer())["bookings"] == 1
    await here.close()


@scenario
async def test_two_loops_of_a_process_lose_what_a_third_party_has_overtaken() -> None:
    journal, shelf = MemoryJournal(LoopClock()), Shelf()
    one = Talk(journal=journal, core={"shelf": shelf})
    two = Talk(world=one.world, journal=journal, owner="two", seed=5, core={"shelf": shelf})
    there = Talk(world=one.world, journal=journal, owner="there", seed=7)
    await two.foresee()
    await there.book()
    await there.close()
    await one.book("B2")  # this loop notices, and is the newest from now on
    await one.core.coordinator.finish(one.core.session, "", "run_ended")
    assert (await two.answer())["bookings"] == 1
    await one.close()
    await two.close()


@pytest.mark.parametrize(
    "now",
    [{"ttl": None}, {"ttl": 1.5}, {"scope": "session"}, {"redact": ("result.bookings",)}, {"timeout": 9.0}],
    ids=["no cache", "shorter", "narrower", "redacted", "as good"],
)
@pytest.mark.parametrize("guessed", [False, True])
def test_the_policy_of_the_run_that_has_it_counts(now: dict[str, Any], *, guessed: bool) -> None:
    async def body() -> None:
        talk = Talk()
        await talk.foresee()
        rule = talk.judge._rules["look"]
        talk.judge._rules["look"] = replace(rule, settings=replace(rule.settings, **now))
        turn = talk.core.begin(history=SPOKEN)
        if guessed:
            talk.core.propose(turn, "look", seat="A1")
            await asyncio.sleep(1.2)
        talk.core.end(turn, [LOOK])
        await talk.core.call(LOOK)
        good = "timeout" in now
        assert talk.reads == (1 if good else 2)
        assert talk.ends == ([("hit", "")] if good else [("stale", "stale"), *[("hit", "")] * guessed])
        await talk.close()

    run(body(), seed=0)


@scenario
async def test_a_tool_that_must_not_run_early_any_more_is_not_answered_by_what_was_kept() -> None:
    talk = Talk()
    await talk.foresee()
    talk.judge._rules["look"] = replace(talk.judge._rules["look"], speculate=Speculate.NEVER)
    await talk.answer()
    assert (talk.reads, talk.ends) == (2, [("stale", "stale")])
    await talk.close()


@pytest.mark.parametrize("limit", [{"max_branches": 2}, {"max_result_bytes": 60}])
def test_what_earlier_runs_have_left_makes_room_for_a_new_guess(limit: dict[str, int]) -> None:
    async def body() -> None:
        talk = Talk()
        talk.judge._budgets = Budgets(**limit)
        for seat in ("B1", "B2", "B3"):
            await talk.foresee(seat=seat)
        assert len(talk.core.log.of(EventKind.LAUNCHED)) == 3
        assert ("cancelled", "budget") in talk.ends
        await talk.close()

    run(body(), seed=0)


@scenario
async def test_money_of_a_wrong_guess_is_that_of_its_own_run() -> None:
    talk = Talk(cost_usd=0.04)
    for _ in range(ENOUGH_FOR_MEDIAN):
        talk.core.parts.durations.saw("look", 1.0)
    talk.judge._budgets = Budgets(max_wasted_usd=0.05, usd_per_second=10.0)
    for seat in ("B1", "B2", "B3"):
        await talk.foresee(seat=seat)
    assert len(talk.core.log.of(EventKind.LAUNCHED)) == 3
    await talk.close()


@scenario
async def test_slow_reads_for_others_are_not_kept_without_limit() -> None:
    talk = Talk(latency=1_000.0, ttl=5_000.0)
    talk.judge._budgets = Budgets(max_concurrent=2)
    for number in range(6):
        USER.set(f"user {number}")
        await talk.foresee(1.0, seat=f"A{number}")
    assert len(talk.core.coordinator._sessions._kept) == 2
    await talk.close()


@scenario
async def test_what_is_carried_does_not_hold_a_session_open() -> None:
    talk = Talk()
    await talk.foresee()
    turn = talk.core.begin(lane="sub", history=SPOKEN)
    talk.core.end(turn, [])
    await talk.core.coordinator.pause(turn.session)
    assert turn.session.closing
    assert talk.saw(EventKind.KEPT, EventKind.CARRIED) == [
        EventKind.KEPT,
        EventKind.CARRIED,
        EventKind.KEPT,
    ]
    await talk.answer()
    assert talk.reads == 1
    await talk.close()


@scenario
async def test_a_guess_of_it_that_is_wrong_does_not_end_it() -> None:
    talk = Talk()
    await talk.foresee()
    turn = talk.core.begin(history=SPOKEN)
    call = talk.core.propose(turn, "look", seat="A1")
    talk.core.retract(turn, call)
    talk.core.end(turn, [])
    await talk.core.coordinator.finish(turn.session, "", "run_ended")
    await talk.answer()
    assert talk.reads == 1
    await talk.close()


@scenario
async def test_what_saw_a_write_that_a_lost_checkpoint_has_orphaned_is_stale_when_that_is_taken_back() -> (
    None
):
    talk = Talk()
    core, book = talk.core, Call(tool="book", args={"seat": "A1"})
    core.begin_run("first", known=[])
    turn = core.begin()
    core.end(turn, [book])
    await core.call(book, identity="b")
    await core.coordinator.settle(core.session, "failed")
    await asyncio.sleep(5.0)
    core.begin_run("first", known=[])  # again, from a checkpoint that does not know of the booking
    turn = core.begin()
    core.propose(turn, "look", seat="A1")
    await asyncio.sleep(2.0)
    core.end(turn, [])
    await core.coordinator.end_run(core.key, "first")
    assert talk.world.seats == {}
    core.begin_run("second")
    assert (await talk.answer())["bookings"] == 0
    await talk.close()


def test_the_end_of_an_event_loop_ends_what_was_kept_there() -> None:
    """Nobody has closed the runtime: the next loop that is seen tells of it."""
    talk = Talk(latency=0.0)
    host = Host(talk.core.parts)

    async def one_run(*, ask: bool) -> None:
        coordinator = host.coordinator()
        session = coordinator.session(talk.core.key)
        turn = coordinator.begin_turn(
            session, TurnContext(tools=host.parts.registry, history=SPOKEN), contextvars.copy_context()
        )
        coordinator.hear(turn, Chunk(kind=ChunkKind.REASONING, text="."))
        await asyncio.sleep(0.01)
        coordinator.end_turn(turn, [])
        await coordinator.finish(turn.session, "", "run_ended")
        if ask:
            await coordinator.aclose()

    talk.core._prompter.queue.append(Candidate(call=LOOK, confidence=0.9, predictor="scripted"))
    asyncio.run(one_run(ask=False))
    assert talk.saw(EventKind.KEPT, EventKind.RESOLVED) == [EventKind.KEPT]
    asyncio.run(one_run(ask=True))
    assert talk.ends == [("cancelled", "loop_ended")]


@scenario
async def test_a_session_that_is_being_closed_is_given_nothing() -> None:
    talk = Talk()
    await talk.foresee()
    session = talk.core.session
    session.closing = True
    context = TurnContext(tools=talk.core.parts.registry)
    turn = talk.core.coordinator.begin_turn(session, context, contextvars.copy_context())
    assert len(session.pending) == 0
    session.closing = False
    talk.core.end(turn, [])
    await talk.answer()
    assert talk.reads == 1
    await talk.close()
