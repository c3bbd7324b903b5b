"""What is known of how long calls take: bounded, honest about too little, taught by early and real runs."""

from __future__ import annotations

import asyncio
import math
import os
import statistics
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specflow.clock import LoopClock
from specflow.effects.call import Call
from specflow.journal.memory import MemoryJournal
from specflow.speculation.durations import MOST_NAMES, WINDOW, Durations
from specflow.testing.explore import run
from specflow.testing.ledger_world import LedgerWorld, SeatTakenError
from specflow.testing.scripted_core import ScriptedCore

EXAMPLES = 5_000 if os.environ.get("SPECFLOW_NIGHTLY") else 300 if os.environ.get("CI") else 100
SECONDS = st.lists(st.floats(0, 1e6, allow_nan=False), max_size=3 * WINDOW)


@settings(max_examples=EXAMPLES)
@given(SECONDS, st.floats(0, 1e6))
def test_they_are_those_of_the_newest_samples(seconds: list[float], elapsed: float) -> None:
    durations = Durations()
    for value in seconds:
        durations.saw("tool", value)
    newest = sorted(seconds[-WINDOW:])
    median = statistics.median(newest) if len(newest) >= 3 else None
    assert durations.expected("tool") == median
    p95 = newest[math.ceil(0.95 * len(newest)) - 1] if len(newest) >= 8 else None
    assert durations.p95("tool") == p95
    longer = [value for value in newest if value > elapsed]
    remaining = durations.remaining("tool", elapsed)
    if len(longer) < 3:
        assert remaining is None
    else:
        assert remaining == pytest.approx(statistics.median(longer) - elapsed, abs=1e-9)


def test_of_what_it_never_saw_it_says_nothing() -> None:
    durations = Durations()
    assert durations.expected("tool") is None
    assert durations.p95("tool") is None
    assert durations.remaining("tool", 0.0) is None


@pytest.mark.parametrize("nonsense", [-1.0, math.nan, math.inf])
def test_what_is_no_duration_is_not_remembered(nonsense: float) -> None:
    durations = Durations()
    for _ in range(9):
        durations.saw("tool", nonsense)
    assert durations.p95("tool") is None


def test_names_without_end_cost_bounded_memory() -> None:
    durations = Durations()
    for number in range(3 * MOST_NAMES):
        for _ in range(3):
            durations.saw(f"tool {number}", 1.0)
        for _ in range(3):
            durations.saw("kept", 2.0)
    assert len(durations._samples) == MOST_NAMES
    assert durations.expected("kept") == 2.0
    assert durations.expected("tool 0") is None


def test_several_threads_may_teach_it_at_once() -> None:
    durations = Durations()

    def teach() -> None:
        for number in range(2_000):
            durations.saw("tool", float(number % 7))
            durations.expected("tool")

    threads = [threading.Thread(target=teach) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sample = durations._samples["tool"]
    assert sorted(sample.came) == sample.sorted
    assert len(sample.came) == WINDOW


def test_real_and_early_calls_both_teach_it_and_failed_or_cancelled_ones_do_not() -> None:
    async def body() -> None:
        world = LedgerWorld(latency={"look": 2.0, "book": 1.0})
        core = ScriptedCore(world.tools(), world.judge(), MemoryJournal(LoopClock()))
        durations = core.parts.durations
        turn = core.begin()
        early = core.propose(turn, "look", seat="A1")
        core.propose(turn, "look", seat="B2")
        await asyncio.sleep(1.0)
        core.end(turn, [early])
        await core.call(early)
        assert len(durations._samples["look"].came) == 1, "the wrong guess was cut short"
        for seat in ("C3", "D4"):
            await core.call(Call(tool="look", args={"seat": seat}))
        assert durations.expected("look") == pytest.approx(2.0)
        world.before["book"] = [SeatTakenError()]
        with pytest.raises(SeatTakenError):
            await core.call(Call(tool="book", args={"seat": "A1"}))
        assert "book" not in durations._samples
        await core.call(Call(tool="book", args={"seat": "A1"}))
        assert list(durations._samples["book"].came) == [pytest.approx(1.0)]
        assert list(core.parts.turns._samples[""].came) == [pytest.approx(1.0)]
        await core.settle()

    run(body(), seed=0)


def test_a_turn_that_failed_says_nothing_of_how_long_models_think() -> None:
    async def body() -> None:
        world = LedgerWorld()
        core = ScriptedCore(world.tools(), world.judge(), MemoryJournal(LoopClock()))
        turn = core.begin(lane="tools:3f1e|helper:77aa")
        core.end(turn, cause="error")
        assert not core.parts.turns._samples
        core.end(core.begin(lane="tools:3f1e|helper:77aa"))
        core.end(core.begin(lane="tools:0000|helper:1111"))
        assert list(core.parts.turns._samples) == ["tools|helper"], "the same agent, whatever the task"
        await core.settle()

    run(body(), seed=0)
