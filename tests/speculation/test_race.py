"""One stalled early read delays nothing. The formula first, on virtual time; then the cases."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specflow.clock import LoopClock
from specflow.effects.call import Call
from specflow.effects.tool import CallContext
from specflow.journal.event import EventKind
from specflow.journal.memory import MemoryJournal
from specflow.policy.settings import EARLY_TIMEOUT
from specflow.speculation.race import UNMEASURED
from specflow.testing.explore import explore, run
from specflow.testing.ledger_world import LedgerWorld
from specflow.testing.scripted_core import ScriptedCore
from specflow.testing.static_judge import StaticJudge
from tests.speculation.scenarios import scenario

EXAMPLES = 5_000 if os.environ.get("SPECFLOW_NIGHTLY") else 400 if os.environ.get("CI") else 120
SCHEDULES = 2_000 if os.environ.get("SPECFLOW_NIGHTLY") else 200
TICKS = st.integers(min_value=0, max_value=12).map(lambda ticks: ticks / 2)
FOREVER = 10_000.0


def now() -> float:
    return asyncio.get_running_loop().time()


class Service:
    """`look` that takes so long, and ends so, when it is called early; and otherwise, when it is not."""

    def __init__(self, early: tuple[float, bool], fresh: tuple[float, bool]) -> None:
        self.plans = {True: early, False: fresh}
        self.calls: list[str] = []
        self.cancelled: list[str] = []

    async def look_for_real(self, call: Call, context: CallContext) -> Any:
        """As the real run calls it."""
        assert not context.early
        return await self.look(call, context)

    async def look(self, call: Call, context: CallContext) -> Any:
        name = "early" if context.early else "fresh"
        seconds, fine = self.plans[context.early]
        self.calls.append(name)
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.cancelled.append(name)
            raise
        if not fine:
            raise ValueError(name)
        return name


def core_of(service: Service, *, p95: float | None, judge: StaticJudge | None = None) -> ScriptedCore:
    world = LedgerWorld()
    core = ScriptedCore(world.tools(), judge or world.judge(), MemoryJournal(LoopClock()))
    spec = core.parts.registry.require("look")
    core.parts.registry._tools["look"] = replace(spec, runner=service.look)
    for _ in range(20 if p95 is not None else 0):
        core.parts.durations.saw("look", p95 or 0.0)
    return core


def timed(judge: StaticJudge, **options: Any) -> StaticJudge:
    rule = judge._rules["look"]
    judge._rules["look"] = replace(rule, settings=replace(rule.settings, **options))
    return judge


async def ask(core: ScriptedCore, service: Service, after: float) -> tuple[float, str]:
    """Guess, ask after so many seconds; how long the real run waited, and what it got."""
    turn = core.begin()
    look = core.propose(turn, "look", seat="A1")
    await asyncio.sleep(after)
    core.end(turn, [look])
    asked = now()
    try:
        answer = await core.call(look, runner=service.look_for_real)
    except ValueError as error:
        answer = f"error: {error}"
    waited = now() - asked
    await core.settle()
    await core.coordinator.aclose()
    launched = [event.speculation_id for event in core.log.of(EventKind.LAUNCHED)]
    assert launched == [event.speculation_id for event in core.log.of(EventKind.RESOLVED)]
    return waited, answer


def expected(
    early: tuple[float, bool], fresh: tuple[float, bool], after: float, p95: float
) -> tuple[float, set[str]]:
    """How long the real run waits, and what it may get: written down from the rules, not from the code."""
    (early_takes, early_fine), (fresh_takes, fresh_fine) = early, fresh
    own = "fresh" if fresh_fine else "error: fresh"
    raced_at = max(after, p95)
    if early_takes <= after:  # over when it is asked for
        return (0.0, {"early"}) if early_fine else (fresh_takes, {own})
    if early_takes < raced_at:  # over before it is slow
        wait = early_takes - after
        return (wait, {"early"}) if early_fine else (wait + fresh_takes, {own})
    fresh_over = raced_at + fresh_takes
    if fresh_fine:
        if not early_fine or early_takes > fresh_over:
            return fresh_over - after, {own}
        return early_takes - after, {"early"} if early_takes < fresh_over else {"early", own}
    if early_fine and early_takes <= fresh_over + p95:
        return early_takes - after, {"early"} if early_takes < fresh_over + p95 else {"early", own}
    waits_for = min(max(early_takes, fresh_over), fresh_over + p95)
    return waits_for - after, {own}


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    early=st.tuples(st.one_of(TICKS, st.just(FOREVER)), st.booleans()),
    fresh=st.tuples(TICKS, st.booleans()),
    after=TICKS,
    p95=TICKS.map(lambda ticks: ticks + 0.25),
)
def test_the_real_run_waits_as_long_as_the_formula_says(
    early: tuple[float, bool], fresh: tuple[float, bool], after: float, p95: float
) -> None:
    async def body() -> None:
        service = Service(early, fresh)
        core = core_of(service, p95=p95)
        waited, answer = await ask(core, service, after)
        seconds, answers = expected(early, fresh, after, p95)
        assert waited == pytest.approx(seconds)
        assert answer in answers
        sequential = fresh[0]
        if early[1] and fresh[1]:
            assert waited <= sequential + max(0.0, p95 - after) + 1e-9
            if after >= p95:
                assert waited <= sequential + 1e-9, "a stalled guess delays nothing"

    run(body(), seed=0)


def test_whoever_wins_nothing_is_left_running() -> None:
    async def body() -> None:
        service = Service((3.0, True), (2.0, True))
        core = core_of(service, p95=1.0)
        _, answer = await ask(core, service, 1.0)
        assert answer in {"early", "fresh"}
        assert sorted(service.calls) == ["early", "fresh"]
        assert service.cancelled in ([], ["early"], ["fresh"])

    explore(body, schedules=SCHEDULES, leaks="error")


# ---------------------------------------------------------------------- one by one


@scenario
async def test_the_loser_is_cancelled_and_says_why() -> None:
    service = Service((FOREVER, True), (1.0, True))
    core = core_of(service, p95=2.0)
    assert await ask(core, service, 1.0) == (pytest.approx(2.0), "fresh")
    assert service.cancelled == ["early"]
    (resolved,) = core.log.of(EventKind.RESOLVED)
    assert (resolved.outcome, resolved.cause) == ("cancelled", "raced")
    (ended,) = core.log.of(EventKind.CALL_ENDED)
    assert (ended.outcome, ended.facts["raced"]) == ("miss", 1.0)


@scenario
async def test_without_samples_half_of_the_timeout_is_allowed() -> None:
    service = Service((FOREVER, True), (1.0, True))
    core = core_of(service, p95=None, judge=timed(LedgerWorld().judge(), timeout=10.0))
    assert await ask(core, service, 1.0) == (pytest.approx(4.0 + 1.0), "fresh")


@scenario
async def test_without_samples_and_timeout_half_of_the_early_one() -> None:
    service = Service((FOREVER, True), (1.0, True))
    core = core_of(service, p95=None)
    wait = UNMEASURED * EARLY_TIMEOUT - 1.0
    assert await ask(core, service, 1.0) == (pytest.approx(wait + 1.0), "fresh")


@scenario
async def test_a_promoted_read_has_the_deadline_of_the_real_call() -> None:
    """Early it would be given up after 10 s; it was asked for after 9, and has 10 from there."""
    service = Service((15.0, True), (FOREVER, True))
    core = core_of(service, p95=12.0, judge=timed(LedgerWorld().judge(), timeout=10.0))
    assert await ask(core, service, 9.0) == (pytest.approx(6.0), "early")


@scenario
async def test_a_promoted_read_without_timeout_is_waited_for_like_a_real_call() -> None:
    service = Service((EARLY_TIMEOUT + 30.0, True), (FOREVER, True))
    core = core_of(service, p95=None)
    assert await ask(core, service, 50.0) == (pytest.approx(EARLY_TIMEOUT + 30.0 - 50.0), "early")


@scenario
async def test_an_early_read_that_met_a_write_does_not_win() -> None:
    service = Service((4.0, True), (5.0, True))
    core = core_of(service, p95=1.0)
    turn = core.begin()
    look = core.propose(turn, "look", seat="A1")
    await asyncio.sleep(1.0)
    core.end(turn, [look])
    asked = asyncio.create_task(core.call(look, runner=service.look_for_real))
    await asyncio.sleep(1.0)
    await core.call(Call(tool="book", args={"seat": "A1"}))
    assert await asked == "fresh"
    assert now() == pytest.approx(6.0)
    assert core.log.outcomes()["stale"] == 1
    await core.settle()


@scenario
async def test_a_framework_that_steers_is_obeyed_at_once() -> None:
    class SteeringError(Exception):
        pass

    async def interrupt(call: Call, context: CallContext) -> Any:
        raise SteeringError

    service = Service((FOREVER, True), (0.0, True))
    core = core_of(service, p95=2.0)
    core.parts.door.steers = lambda error: isinstance(error, SteeringError)
    turn = core.begin()
    look = core.propose(turn, "look", seat="A1")
    await asyncio.sleep(3.0)
    core.end(turn, [look])
    with pytest.raises(SteeringError):
        await core.call(look, runner=interrupt)
    assert now() == pytest.approx(3.0)
    await core.settle()
    await core.coordinator.aclose()


@scenario
async def test_a_cancelled_real_call_takes_both_along() -> None:
    service = Service((FOREVER, True), (FOREVER, True))
    core = core_of(service, p95=1.0)
    turn = core.begin()
    look = core.propose(turn, "look", seat="A1")
    await asyncio.sleep(2.0)
    core.end(turn, [look])
    asked = asyncio.create_task(core.call(look, runner=service.look_for_real))
    await asyncio.sleep(1.0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    await core.settle()
    await core.coordinator.aclose()
    assert sorted(service.cancelled) == ["early", "fresh"]


@scenario
async def test_a_write_is_never_raced() -> None:
    world = LedgerWorld(latency={"book": 50.0})
    core = ScriptedCore(world.tools(), world.judge(), MemoryJournal(LoopClock()))
    for _ in range(20):
        core.parts.durations.saw("book", 1.0)
    turn = core.begin()
    book = core.propose(turn, "book", seat="A1")
    await asyncio.sleep(5.0)
    core.end(turn, [book])
    await core.call(book)
    assert (now(), world.seats) == (pytest.approx(50.0), {"A1": 1})
    await core.settle()
