"""Bad luck around calls: deaf tools, streams that break, twins, and ends while much is under way."""

from __future__ import annotations

import asyncio
import contextvars
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from specflow.clock import LoopClock
from specflow.effects.call import Call
from specflow.effects.tool import CallContext
from specflow.journal.event import EventKind
from specflow.journal.memory import MemoryJournal
from specflow.journal.verify import verify
from specflow.lifecycle import SessionState
from specflow.policy.settings import Budgets
from specflow.prediction.chunk import Chunk, ChunkKind
from specflow.prediction.partial_call import PartialCallPredictor
from specflow.prediction.predictor import TurnContext
from specflow.speculation.coordinator import Coordinator
from specflow.speculation.session import SessionKey
from specflow.speculation.turn import Turn
from specflow.testing.explore import explore, observe, run
from specflow.testing.ledger_world import LedgerWorld
from specflow.testing.scripted_core import ScriptedCore

LATENCY = {"look": 1.0, "book": 1.0, "cancel": 0.5}


class Listened:
    """The real core, hearing streamed calls as a provider sends them."""

    def __init__(self, *, latency: dict[str, float] | None = None, seed: int = 0) -> None:
        self.world = LedgerWorld(latency=dict(LATENCY if latency is None else latency))
        judge = self.world.judge()
        judge._budgets = Budgets(max_concurrent=1_000)
        self.core = ScriptedCore(self.world.tools(), judge, MemoryJournal(LoopClock()), seed=seed)
        parts = replace(self.core.parts, predictors=(PartialCallPredictor(),))
        self.core.coordinator = Coordinator(parts)

    def begin(self) -> Turn:
        context = TurnContext(tools=self.core.parts.registry)
        return self.core.coordinator.begin_turn(self.core.session, context, contextvars.copy_context())

    def write(
        self, turn: Turn, tool: str, text: str, *, index: int = 0, stream: str = "a", complete: bool = False
    ) -> None:
        """The next piece of a call."""
        chunk = Chunk(
            kind=ChunkKind.TOOL_CALL, tool=tool, text=text, index=index, stream=stream, complete=complete
        )
        self.core.coordinator.hear(turn, chunk)

    async def at_rest(self) -> None:
        await self.core.settle()
        assert verify(await self.core.journal.snapshot()) == ()
        launched = Counter(event.speculation_id for event in self.core.log.of(EventKind.LAUNCHED))
        resolved = Counter(event.speculation_id for event in self.core.log.of(EventKind.RESOLVED))
        assert launched == resolved
        assert set(resolved.values()) <= {1}, "every speculation ends exactly once"


def book(seat: str) -> Call:
    return Call(tool="book", args={"seat": seat})


def look(seat: str) -> Call:
    return Call(tool="look", args={"seat": seat})


# ---------------------------------------------------------------------- streams


def test_a_call_that_is_written_and_then_missing_from_the_message_is_undone() -> None:
    it = Listened()

    async def story() -> None:
        turn = it.begin()
        it.write(turn, "book", '{"seat": "A1"}', complete=True)
        await asyncio.sleep(3.0)
        assert it.world.seats == {"A1": 1}
        it.core.end(turn, [])
        await it.at_rest()

    run(story())
    assert it.world.seats == {}


def test_a_call_that_goes_on_after_it_seemed_complete_is_taken_back_before_the_right_one_starts() -> None:
    """The same key again: the later one counts, as for every JSON reader."""
    it = Listened()

    async def story() -> None:
        turn = it.begin()
        it.write(turn, "book", '{"seat": "A1"')
        await asyncio.sleep(3.0)
        it.write(turn, "", ', "seat": "B2"}', complete=True)
        it.core.end(turn, [book("B2")])
        await it.core.call(book("B2"))
        await it.at_rest()

    run(story())
    assert it.world.seats == {"B2": 1}


@pytest.mark.parametrize("at", [0.0, 0.5, 3.0])
def test_a_stream_that_breaks_and_is_retried_makes_one_effect(at: float) -> None:
    it = Listened()

    async def story() -> None:
        turn = it.begin()
        it.write(turn, "book", '{"seat": "A1"}', stream="a")
        await asyncio.sleep(at)
        it.write(turn, "book", '{"se', stream="b")
        it.write(turn, "", "", stream="a", complete=True)  # a late piece of the broken one
        await asyncio.sleep(at)
        it.write(turn, "", 'at": "A1"}', stream="b", complete=True)
        await asyncio.sleep(at)
        it.core.end(turn, [book("A1")])
        await it.core.call(book("A1"))
        await it.at_rest()

    run(story())
    assert it.world.seats == {"A1": 1}


def test_a_stream_that_breaks_for_good_leaves_nothing() -> None:
    it = Listened()

    async def story() -> None:
        turn = it.begin()
        it.write(turn, "book", '{"seat": "A1"}')
        it.write(turn, "look", '{"seat": "A1"}', index=1)
        await asyncio.sleep(0.5)
        it.core.end(turn, [], cause="model_error")
        it.write(turn, "book", '{"seat": "Z9"}', index=2)
        await it.at_rest()

    run(story())
    assert it.world.seats == {}
    assert {event.cause for event in it.core.log.of(EventKind.RESOLVED)} == {"model_error"}


# ---------------------------------------------------------------------- twins


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("call", [book("A1"), look("A1")], ids=["write", "read"])
def test_the_same_call_twice_in_one_message_is_made_twice(call: Call, together: bool) -> None:
    def story(it: Listened) -> Any:
        async def main() -> None:
            turn = it.begin()
            for index in (0, 1):
                it.write(turn, call.tool, call.args_json, index=index, complete=True)
            await asyncio.sleep(3.0)
            it.core.end(turn, [call, call])
            if together:
                one, two = await asyncio.gather(it.core.call(call), it.core.call(call))
            else:
                one, two = await it.core.call(call), await it.core.call(call)
            assert one is not two
            await it.at_rest()

        return main()

    def once() -> Any:
        it = Listened()

        async def main() -> None:
            await story(it)
            wanted = {"A1": 2} if call.tool == "book" else {}
            assert it.world.seats == wanted
            assert it.core.log.outcomes()["hit"] <= 1, "one result never goes to two callers"

        return main()

    explore(once, schedules=100)


# ---------------------------------------------------------------------- deaf tools


def test_a_read_that_ignores_its_cancellation_delays_nobody() -> None:
    it = Listened()
    registry = it.core.parts.registry
    ended: list[float] = []

    async def deaf(call: Call, context: CallContext) -> Any:
        loop = asyncio.get_running_loop()
        until = loop.time() + 500.0
        while loop.time() < until:
            try:
                await asyncio.sleep(until - loop.time())
            except asyncio.CancelledError:
                continue
        ended.append(loop.time())

    registry._tools["find"] = registry.require("find")
    registry._tools["look"] = replace(registry.require("look"), runner=deaf)

    async def story() -> float:
        loop = asyncio.get_running_loop()
        turn = it.begin()
        for index in range(20):
            it.write(turn, "look", f'{{"seat": "A{index}"}}', index=index, complete=True)
        await asyncio.sleep(1.0)
        it.core.end(turn, [book("B2")])
        await it.core.call(book("B2"))
        await it.at_rest()
        settled = loop.time()
        await asyncio.sleep(1_000.0)
        return settled

    settled = run(story())
    assert settled < 60.0, "the end does not wait for what nobody wants"
    assert len(ended) == 20
    assert it.world.seats == {"B2": 1}


# ---------------------------------------------------------------------- the end


@pytest.mark.parametrize("seed", range(3))
def test_hundreds_of_branches_at_shutdown_are_settled_once_and_in_bounded_time(seed: int) -> None:
    sessions, each = 40, 10
    it = Listened(seed=seed)

    async def story() -> float:
        loop = asyncio.get_running_loop()
        coordinator = it.core.coordinator
        for number in range(sessions):
            session = coordinator.session(SessionKey(thread=f"thread {number}"))
            context = TurnContext(tools=it.core.parts.registry)
            turn = coordinator.begin_turn(session, context, contextvars.copy_context())
            for index in range(each):
                tool = "book" if index % 2 else "look"
                it.write(turn, tool, f'{{"seat": "S{number}-{index}"}}', index=index, complete=True)
            if number % 3 == 0:
                coordinator.end_turn(turn, [book(f"S{number}-1")])
            await asyncio.sleep(0.02)
        assert len(it.core.log.of(EventKind.LAUNCHED)) == sessions * each
        before = loop.time()
        for turn in [turn for item in it.core.coordinator._sessions._open.values() for turn in item.turns]:
            assert isinstance(turn, Turn)
            coordinator.end_turn(turn, [])
        await coordinator.aclose()
        return loop.time() - before

    took = run(story(), seed=seed, leaks="error")
    assert took <= 10 * sum(LATENCY.values()), "all at the same time, not one after the other"
    assert it.world.seats == {}
    ended = Counter(event.speculation_id for event in it.core.log.of(EventKind.RESOLVED))
    assert len(ended) == sessions * each
    assert set(ended.values()) == {1}

    async def look_back() -> None:
        snapshot = await it.core.journal.snapshot()
        assert verify(snapshot) == ()
        assert {row.state for row in snapshot.sessions} == {SessionState.CLOSED}

    run(look_back())


def test_the_same_seed_gives_the_same_history() -> None:
    def histories(seed: int) -> Sequence[tuple[str, Any]]:
        it = Listened()

        async def story() -> None:
            for round_ in range(3):
                turn = it.begin()
                for index, seat in enumerate("ABC"):
                    it.write(turn, "book" if index else "look", f'{{"seat": "{seat}{round_}"}}', index=index)
                    await asyncio.sleep(0.1)
                it.core.end(turn, [book(f"B{round_}")])
                await it.core.call(book(f"B{round_}"))
            await it.at_rest()

        seen = observe(story(), seed=seed)
        assert seen.error is None
        events = [(event.kind, event.at, event.speculation_id, event.cause) for event in it.core.log.events]
        return [(seen.history_hash, events)]

    for seed in range(5):
        assert histories(seed) == histories(seed)
    assert len({one[0] for seed in range(5) for one in histories(seed)}) > 1
