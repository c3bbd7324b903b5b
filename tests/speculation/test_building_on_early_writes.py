"""Early writes of one session on one resource: in order, adopted in order, and undone in reverse."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from specflow.clock import LoopClock
from specflow.effects.annotate import Annotation
from specflow.effects.call import Call
from specflow.effects.kind import EffectClass
from specflow.effects.tool import CallContext, ToolSpec
from specflow.journal.event import EventKind
from specflow.journal.memory import MemoryJournal
from specflow.journal.record import Lease
from specflow.journal.verify import verify
from specflow.lifecycle import Stage
from specflow.policy.settings import ToolSettings, Undo
from specflow.policy.verdict import Speculate
from specflow.settlement.stored import compile_stored
from specflow.settlement.undo import Persistence
from specflow.testing.explore import explore, run
from specflow.testing.scripted_core import ScriptedCore
from specflow.testing.static_judge import Rule, StaticJudge
from tests.speculation.scenarios import ended_once, scenario


class Shelf:
    """Things put on shelves, one upon the other: only what lies on top can be taken away again."""

    def __init__(self, seconds: float = 1.0, *, declared: bool = True) -> None:
        self.seconds = seconds
        self.declared = declared
        self.shelves: dict[str, list[str]] = {}
        self.failing: list[Exception] = []
        self.broken: set[str] = set()
        self.log: list[str] = []

    async def put(self, call: Call, context: CallContext) -> Any:
        shelf, thing = call.args["shelf"], call.args["thing"]
        await asyncio.sleep(self.seconds)
        if self.failing:
            raise self.failing.pop(0)
        self.shelves.setdefault(shelf, []).append(thing)
        self.log.append(f"+{thing}")
        return {"shelf": shelf, "thing": thing}

    async def take(self, call: Call, context: CallContext) -> Any:
        shelf, thing = call.args["shelf"], call.args["thing"]
        await asyncio.sleep(self.seconds / 2)
        if thing in self.broken:
            raise OSError(f"{thing} is nailed down")
        assert self.shelves[shelf][-1] == thing, "it does not lie on top"
        self.shelves[shelf].pop()
        self.log.append(f"-{thing}")
        return {}

    def core(self, **options: Any) -> ScriptedCore:
        text = {"type": "string"}
        schema = {"type": "object", "properties": {"shelf": text, "thing": text}}
        annotation = Annotation(effect=EffectClass.COMPENSATABLE, undo="take", not_done=(ValueError,))
        tools = [
            ToolSpec(name="put", parameters=schema, annotation=annotation, runner=self.put),
            ToolSpec(name="take", parameters=schema, runner=self.take),
        ]
        arguments = {name: compile_stored(f"args.{name}") for name in ("shelf", "thing")}
        settings = ToolSettings(
            undo=Undo(tool="take", arguments=arguments),
            writes=("shelf:{args.shelf}",) if self.declared else None,
        )
        rule = Rule(effect=EffectClass.COMPENSATABLE, speculate=Speculate.NOW, settings=settings)
        journal = options.pop("journal", None) or MemoryJournal(LoopClock())
        return ScriptedCore(tools, StaticJudge({"put": rule}), journal, **options)


def put(thing: str, shelf: str = "s") -> Call:
    return Call(tool="put", args={"shelf": shelf, "thing": thing})


async def at_rest(core: ScriptedCore) -> None:
    assert verify(await core.journal.snapshot()) == ()
    ended_once(core)


@scenario
async def test_both_are_adopted_in_order() -> None:
    world = Shelf()
    core = world.core()
    turn = core.begin()
    for thing in ("base", "top"):
        core.propose(turn, "put", shelf="s", thing=thing)
    await asyncio.sleep(1.5)
    assert world.shelves == {"s": ["base"]}, "one after the other"
    await asyncio.sleep(1.0)
    assert world.shelves == {"s": ["base", "top"]}
    rows = await core.journal.snapshot()
    names = {row.effect_id: row.args["thing"] for row in rows.effects}
    assert [(names[row.effect_id], names[row.needs_id]) for row in rows.dependencies] == [("top", "base")]
    core.end(turn, [put("base"), put("top")])
    await core.call(put("base"))
    await core.call(put("top"))
    await core.settle()
    assert world.log == ["+base", "+top"]
    assert core.log.outcomes()["hit"] == 2
    await at_rest(core)


@scenario
async def test_both_are_undone_in_reverse() -> None:
    world = Shelf()
    core = world.core()
    turn = core.begin()
    for thing in ("base", "middle", "top"):
        core.propose(turn, "put", shelf="s", thing=thing)
    core.propose(turn, "put", shelf="other", thing="apart")
    await asyncio.sleep(5.0)
    assert world.shelves == {"s": ["base", "middle", "top"], "other": ["apart"]}
    core.end(turn, [])
    await core.settle()
    assert [entry for entry in world.log if entry != "-apart"][4:] == ["-top", "-middle", "-base"]
    assert world.shelves == {"s": [], "other": []}
    assert core.log.outcomes()["compensated"] == 4
    await at_rest(core)


@scenario
async def test_a_base_that_is_taken_back_takes_what_builds_on_it_along() -> None:
    world = Shelf()
    core = world.core()
    turn = core.begin()
    base = core.propose(turn, "put", shelf="s", thing="base")
    core.propose(turn, "put", shelf="s", thing="top")
    await asyncio.sleep(1.5)  # the second one is under way
    core.retract(turn, base)
    await asyncio.sleep(5.0)
    assert world.log == ["+base", "+top", "-top", "-base"]
    causes = [event.cause for event in core.log.of(EventKind.RESOLVED)]
    assert causes == ["lost_ground", "retracted: amended"]
    core.end(turn, [put("top")])
    await core.call(put("top"))
    await core.settle()
    assert world.shelves == {"s": ["top"]}
    await at_rest(core)


@scenario
async def test_what_waits_for_its_base_is_never_called_when_that_fails() -> None:
    world = Shelf()
    world.failing.append(ValueError("full"))
    core = world.core()
    turn = core.begin()
    core.propose(turn, "put", shelf="s", thing="base")
    core.propose(turn, "put", shelf="s", thing="top")
    await asyncio.sleep(5.0)
    assert world.log == []
    assert [event.cause for event in core.log.of(EventKind.WITHHELD)] == ["lost_ground"]
    core.end(turn, [put("base"), put("top")])
    await core.call(put("base"))
    await core.call(put("top"))
    await core.settle()
    assert world.log == ["+base", "+top"]
    await at_rest(core)


@scenario
async def test_a_base_taken_back_before_the_next_is_called_calls_it_never() -> None:
    world = Shelf(seconds=3.0)
    core = world.core()
    turn = core.begin()
    base = core.propose(turn, "put", shelf="s", thing="base")
    core.propose(turn, "put", shelf="s", thing="top")
    await asyncio.sleep(1.0)
    core.retract(turn, base)
    await asyncio.sleep(20.0)
    assert world.log == ["+base", "-base"]
    core.end(turn, [])
    await core.settle()
    await at_rest(core)


@scenario
async def test_the_top_alone_is_not_adopted() -> None:
    """The real run asks for the second thing only: both are undone before it is made."""
    world = Shelf()
    core = world.core()
    turn = core.begin()
    for thing in ("base", "top"):
        core.propose(turn, "put", shelf="s", thing=thing)
    await asyncio.sleep(3.0)
    core.end(turn, [put("top")])
    await core.call(put("top"))
    await core.settle()
    assert world.log == ["+base", "+top", "-top", "-base", "+top"]
    assert world.shelves == {"s": ["top"]}
    await at_rest(core)


@scenario
async def test_the_base_alone_is_adopted_and_the_top_undone() -> None:
    world = Shelf()
    core = world.core()
    turn = core.begin()
    for thing in ("base", "top"):
        core.propose(turn, "put", shelf="s", thing=thing)
    await asyncio.sleep(3.0)
    core.end(turn, [put("base")])
    await core.call(put("base"))
    await core.settle()
    assert world.log == ["+base", "+top", "-top"]
    assert world.shelves == {"s": ["base"]}
    await at_rest(core)


@scenario
async def test_calls_at_the_same_time_are_adopted_in_order() -> None:
    world = Shelf()
    core = world.core()
    turn = core.begin()
    for thing in ("base", "top"):
        core.propose(turn, "put", shelf="s", thing=thing)
    await asyncio.sleep(3.0)
    core.end(turn, [put("base"), put("top")])
    await asyncio.gather(core.call(put("base")), core.call(put("top")))
    await core.settle()
    assert world.log == ["+base", "+top"]
    assert core.log.outcomes()["hit"] == 2
    await at_rest(core)


@scenario
async def test_an_adoption_under_way_is_waited_for() -> None:
    pauses = [2.0, 0.5]

    class Slow(MemoryJournal):
        async def adopt(self, lease: Lease, effect_id: str, adopted_by: str, *, moment: str = "") -> bool:
            await asyncio.sleep(pauses.pop(0))
            return await super().adopt(lease, effect_id, adopted_by, moment=moment)

    world = Shelf()
    core = world.core(journal=Slow(LoopClock()))
    turn = core.begin()
    for thing in ("base", "top"):
        core.propose(turn, "put", shelf="s", thing=thing)
    await asyncio.sleep(3.0)
    core.end(turn, [put("base"), put("top")])
    await asyncio.gather(core.call(put("base")), core.call(put("top")))
    await core.settle()
    assert world.log == ["+base", "+top"]
    assert core.log.outcomes()["hit"] == 2
    await at_rest(core)


@scenario
async def test_a_top_that_is_stuck_keeps_its_base_where_it_is() -> None:
    world = Shelf()
    core = world.core(persistence=Persistence(tries=2, pause=0.1))
    turn = core.begin()
    for thing in ("base", "top"):
        core.propose(turn, "put", shelf="s", thing=thing)
    await asyncio.sleep(3.0)
    world.broken.add("top")
    core.end(turn, [])
    await asyncio.sleep(20.0)
    stages = {row.args["thing"]: row.stage for row in (await core.journal.snapshot()).effects}
    assert stages == {"base": Stage.DONE, "top": Stage.STUCK}
    assert world.shelves == {"s": ["base", "top"]}
    causes = [event.cause for event in core.log.of(EventKind.RESOLVED)]
    assert causes == ["lost_ground", "mismatch; it waits for what builds on it"]
    assert {event.outcome for event in core.log.of(EventKind.RESOLVED)} == {"stuck"}
    await core.settle()
    await at_rest(core)


@pytest.mark.parametrize("case", ["undeclared", "another agent"])
def test_without_a_claim_or_from_another_agent_the_second_one_waits(case: str) -> None:
    async def body() -> None:
        world = Shelf(declared=case != "undeclared")
        core = world.core()
        turn = core.begin()
        core.propose(turn, "put", shelf="s", thing="base")
        other = core.begin(lane="other") if case == "another agent" else turn
        core.propose(other, "put", shelf="s", thing="top")
        await asyncio.sleep(5.0)
        assert world.log == ["+base"]
        assert [event.cause for event in core.log.of(EventKind.WITHHELD)] == ["conflict"]
        for each in {turn, other}:
            core.end(each, [])
        await core.settle()
        await at_rest(core)

    run(body(), seed=0)


@pytest.mark.parametrize("wanted", ["", "a", "ab", "abc", "b", "c", "ac", "x", "ax"])
@pytest.mark.parametrize("together", [False, True])
def test_in_any_order_the_world_is_that_of_the_real_run(wanted: str, together: bool) -> None:
    """Guessed a, b, c on one shelf; the real run wants some of them, or something else."""

    async def body() -> None:
        world = Shelf(seconds=0.2)
        core = world.core()
        turn = core.begin()
        for thing in "abc":
            core.propose(turn, "put", shelf="s", thing=thing)
            await asyncio.sleep(0.1)
        calls = [put(thing) for thing in wanted]
        core.end(turn, calls)
        if together:
            await asyncio.gather(*map(core.call, calls))
        else:
            for call in calls:
                await core.call(call)
        await core.settle()
        found = world.shelves.get("s", [])
        assert sorted(found) == sorted(wanted)
        assert together or found == list(wanted)
        await at_rest(core)

    explore(body, schedules=40)
