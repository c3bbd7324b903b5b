"""One early result for several calls: within its ttl and scope, never stale, never to somebody else."""

from __future__ import annotations

import asyncio
import contextvars
import os
import random
from dataclasses import replace
from typing import Any

import pytest

from specflow.clock import LoopClock
from specflow.effects.call import Call
from specflow.effects.tool import CallContext
from specflow.journal.event import EventKind
from specflow.journal.memory import MemoryJournal
from specflow.speculation.freshness import WriteLog
from specflow.speculation.shelf import Shelf, same_context
from specflow.testing.explore import explore, run
from specflow.testing.ledger_world import LedgerWorld
from specflow.testing.scripted_core import ScriptedCore
from specflow.testing.seeded_loop import SeededLoop
from tests.speculation.scenarios import scenario

SCHEDULES = 10_000 if os.environ.get("SPECFLOW_NIGHTLY") else 200 if os.environ.get("CI") else 60
USER: contextvars.ContextVar[str] = contextvars.ContextVar("user")
LOOK = Call(tool="look", args={"seat": "A1"})


class Two:
    """Two runs on one world: `a` has read early, `b` asks the same."""

    def __init__(self, *, tenants: tuple[str, str] = ("", ""), latency: float = 1.0, **cache: Any) -> None:
        self.world = LedgerWorld(latency={"look": latency})
        judge = self.world.judge()
        rule = judge._rules["look"]
        judge._rules["look"] = replace(rule, settings=replace(rule.settings, **{"ttl": 60.0, **cache}))
        shelf, tools = Shelf(), self.world.tools()
        self.a, self.b = (
            ScriptedCore(
                tools,
                judge,
                MemoryJournal(LoopClock()),
                thread=name,
                tenant=tenant,
                shelf=shelf,
                owner=name,
                seed=ord(name),
            )
            for name, tenant in zip("ab", tenants, strict=True)
        )

    async def read_early(self, core: ScriptedCore, wait: float = 2.0) -> None:
        turn = core.begin()
        core.propose(turn, "look", seat="A1")
        await asyncio.sleep(wait)
        core.end(turn, [LOOK])

    async def settle(self) -> None:
        for core in (self.a, self.b):
            await core.settle()
            await core.aclose()
        for core in (self.a, self.b):
            launched = [event.speculation_id for event in core.log.of(EventKind.LAUNCHED)]
            assert sorted(launched) == sorted(
                event.speculation_id for event in core.log.of(EventKind.RESOLVED)
            )

    @property
    def reads(self) -> int:
        return sum(kind == "read" for kind, _, _ in self.world.log)


def test_an_answer_is_what_any_session_left_there() -> None:
    """Three runs share reads and book: an answer is never older than the newest write of any of them."""
    shared: list[float] = []

    async def body() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SeededLoop)
        drawn = random.Random(loop.seed)
        two = Two(scope="public", ttl=5.0, latency=drawn.choice((0.0, 1.0)))
        world = two.world
        world.latency["book"] = drawn.choice((0.0, 1.0))
        held: list[tuple[float, int]] = [(0.0, 0)]
        book = world.book

        async def noting(call: Call, context: CallContext) -> Any:
            done = await book(call, context)
            held.append((loop.time(), world.seats.get("A1", 0)))
            return done

        async def one(core: ScriptedCore) -> None:
            for _ in range(4):
                turn = core.begin()
                if drawn.random() < 0.6:
                    core.propose(turn, "look", seat="A1")
                await asyncio.sleep(drawn.choice((0.0, 0.5, 1.5, 4.0)))
                writes = drawn.random() < 0.25
                call = Call(tool="book", args={"seat": "A1"}) if writes else LOOK
                core.end(turn, [call])
                asked = loop.time()
                answer = await core.call(call, runner=noting if writes else None)
                if not writes:
                    before = [count for at, count in held if at < asked][-1:]
                    since = [count for at, count in held if at >= asked]
                    assert answer["bookings"] in {*before, *since}, (asked, held)

        await asyncio.gather(one(two.a), one(two.b))
        await two.settle()
        for core in (two.a, two.b):
            shared.extend(e.facts.get("shared", 0.0) for e in core.log.of(EventKind.CALL_ENDED))

    explore(body, schedules=SCHEDULES)
    assert sum(shared) > 0, "the schedules reach what they are about"


@scenario
async def test_without_a_cache_one_result_answers_one_call() -> None:
    two = Two(ttl=None, scope="public")
    await two.read_early(two.a)
    await two.a.call(LOOK)
    await two.a.call(LOOK)
    await two.b.call(LOOK)
    assert two.reads == 3
    await two.settle()


@scenario
async def test_within_its_ttl_it_answers_the_same_session_again_with_a_copy_for_each() -> None:
    two = Two()
    await two.read_early(two.a)
    answers = [await two.a.call(LOOK) for _ in range(3)]
    answers[0]["bookings"] = "changed"
    assert [answer["bookings"] for answer in answers[1:]] == [0, 0]
    assert (await two.a.call(LOOK))["bookings"] == 0
    assert two.reads == 1
    assert two.a.log.outcomes()["hit"] == 4
    await two.b.call(LOOK)
    assert two.reads == 2, "another session has its own"
    await asyncio.sleep(60.0)
    await two.a.call(LOOK)
    assert two.reads == 3, "the ttl is over"
    await two.settle()


@scenario
async def test_parallel_calls_with_equal_arguments_share_what_is_running() -> None:
    two = Two(latency=3.0)
    await two.read_early(two.a, wait=1.0)
    await asyncio.gather(two.a.call(LOOK), two.a.call(LOOK))
    assert asyncio.get_running_loop().time() == pytest.approx(3.0)
    assert (two.reads, two.a.log.outcomes()["late"]) == (1, 2)
    await two.settle()


@pytest.mark.parametrize(
    ("scope", "tenants", "shared"),
    [
        ("session", ("", ""), False),
        ("tenant", ("", ""), True),
        ("tenant", ("t", "t"), True),
        ("tenant", ("t", "u"), False),
        ("public", ("t", "u"), True),
    ],
)
@pytest.mark.parametrize("wait", [0.5, 2.0], ids=["running", "finished"])
def test_the_scope_says_who_may_have_it(
    scope: str, tenants: tuple[str, str], shared: bool, wait: float
) -> None:
    async def body() -> None:
        two = Two(scope=scope, tenants=tenants)
        await two.read_early(two.a, wait=wait)
        await two.b.call(LOOK)
        await two.a.call(LOOK)
        assert two.reads == (1 if shared else 2)
        await two.settle()

    run(body(), seed=0)


@scenario
async def test_what_is_redacted_stays_in_its_session() -> None:
    two = Two(scope="public", redact=("result.bookings",))
    await two.read_early(two.a)
    await two.b.call(LOOK)
    assert two.reads == 2
    await two.settle()


@pytest.mark.parametrize(("mine", "theirs", "shared"), [("ada", "bob", False), ("ada", "ada", True)])
def test_another_user_in_the_context_gets_nothing(mine: str, theirs: str, shared: bool) -> None:
    async def body() -> None:
        two = Two(scope="public")
        USER.set(mine)
        await two.read_early(two.a)
        USER.set(theirs)
        await two.b.call(LOOK)
        assert two.reads == (1 if shared else 2)
        await two.settle()

    run(body(), seed=0)


@scenario
async def test_a_tool_of_another_body_is_another_tool() -> None:
    two = Two(scope="public")

    async def other(call: Call, context: CallContext) -> Any:
        return "other"

    await two.read_early(two.a)
    spec = two.b.parts.registry.require("look")
    two.b.parts.registry._tools["look"] = replace(spec, runner=other)
    assert await two.b.call(LOOK) == "other"
    await two.settle()


@scenario
async def test_the_end_of_the_run_that_began_it_takes_nothing_from_who_waits_for_it() -> None:
    two = Two(scope="public", latency=5.0)
    turn = two.a.begin()
    two.a.propose(turn, "look", seat="A1")
    await asyncio.sleep(1.0)
    waiting = asyncio.create_task(two.b.call(LOOK))
    await asyncio.sleep(1.0)
    two.a.end(turn, [])
    await two.a.settle()
    await waiting
    assert asyncio.get_running_loop().time() == pytest.approx(5.0)
    assert two.reads == 1
    await two.b.settle()


@scenario
async def test_nothing_is_started_that_can_be_had() -> None:
    two = Two(scope="public")
    await two.read_early(two.a)
    await two.read_early(two.b)
    assert two.reads == 1
    assert [event.cause for event in two.b.log.of(EventKind.WITHHELD)] == ["shared"]
    await two.b.call(LOOK)
    assert two.b.log.outcomes()["hit"] == 1
    await two.settle()
    (resolved,) = two.a.log.of(EventKind.RESOLVED)
    assert resolved.outcome == "hit", "it was of use to another run"


def test_a_write_that_nobody_can_end_any_more_does_not_spoil_what_is_shared_for_ever() -> None:
    """Its event loop has gone, or its session is closed without knowing: from then on the `ttl` bounds it."""
    shelf, keys = Shelf(), frozenset({"seat:A1"})

    async def leave(*, close: bool) -> bool:
        writes = WriteLog(shelf.begin)
        writes.begin(keys, 1.0)
        spoilt = shelf.met(keys, 2.0, None)
        if close:
            writes.close(1.5)
            assert not shelf.met(keys, 2.0, None), "what has ended before it, it cannot have met"
            assert shelf.met(keys, 1.0, None)
        return spoilt

    assert run(leave(close=True), seed=0), "while it goes on it counts"
    assert run(leave(close=False), seed=0)
    assert not shelf.met(keys, 2.0, None), "nobody is there who could tell of its end"

    async def again() -> bool:
        WriteLog(shelf.begin).begin(keys, 3.0)
        return shelf.met(keys, 2.0, None)

    assert run(again(), seed=0), "that of a loop that runs does count"


@pytest.mark.parametrize(
    ("theirs", "alike"),
    [
        ({"specflow_run_key": "second"}, True),
        ({"thread_id": "other"}, True),
        ({"user_id": "bob"}, False),
        ({"specflow_run_key": "second", "user_id": "bob"}, False),
    ],
)
def test_what_every_run_has_of_its_own_does_not_say_who_asks(theirs: dict[str, str], *, alike: bool) -> None:
    config: contextvars.ContextVar[object] = contextvars.ContextVar("child_runnable_config")
    first = {"thread_id": "one", "specflow_run_key": "first", "user_id": "ada"}
    one, other = contextvars.Context(), contextvars.Context()
    one.run(config.set, {"configurable": first})
    other.run(config.set, {"configurable": {**first, **theirs}})
    assert same_context(one, other) is alike
