"""What was there before a write: when it is read, what of it is kept, and when the write is not made."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from specflow.clock import LoopClock
from specflow.effects.call import Call
from specflow.effects.kind import EffectClass
from specflow.effects.tool import CallContext, ToolSpec
from specflow.errors import BeforeImageError, SpecflowError
from specflow.execution.order import Done, Order
from specflow.execution.time_allowed import LATE
from specflow.journal.memory import MemoryJournal
from specflow.journal.record import EffectRow
from specflow.lifecycle import Stage
from specflow.policy.policy import Policy
from specflow.policy.settings import Before, ToolSettings, Undo
from specflow.policy.verdict import Asking, Speculate
from specflow.settlement.stored import compile_stored
from specflow.testing.explore import run
from specflow.testing.scripted_core import ScriptedCore
from specflow.testing.settings_world import POLICY, SettingsWorld
from specflow.testing.static_judge import Rule, StaticJudge

SET = Call(tool="set_setting", args={"name": "colour", "value": 2})


def core_of(world: SettingsWorld, judge: Policy | StaticJudge | None = None, **options: Any) -> ScriptedCore:
    tools = options.pop("tools", None) or world.tools()
    return ScriptedCore(tools, judge or world.policy(), MemoryJournal(LoopClock()), **options)


def order(core: ScriptedCore, *, adopted_by: str | None = None, saga: bool = False) -> Order:
    spec = core.parts.registry.require("set_setting")
    assert spec.runner is not None
    return Order(
        call=SET,
        tool=spec,
        settings=core.parts.judge.settings(spec),
        verdict=core.parts.judge.judge(spec, SET, context={}),
        runner=spec.runner,
        adopted_by=adopted_by,
        saga=saga,
    )


async def through_the_door(core: ScriptedCore, **options: Any) -> Done:
    return await core.parts.door.run(order(core, **options), core.session.lease)


async def rows(core: ScriptedCore) -> tuple[EffectRow, ...]:
    return (await core.journal.snapshot()).effects


def looser(**read: Any) -> StaticJudge:
    """Verdicts that let the write through, whatever its read may do: what only the door then stops."""
    undo = Undo(
        tool="set_setting",
        arguments={"name": compile_stored("args.name"), "value": compile_stored("before.value")},
        before=Before(tool="get_setting", arguments={"name": compile_stored("args.name")}),
    )
    write = Rule(
        effect=EffectClass.COMPENSATABLE,
        speculate=Speculate.NOW,
        settings=ToolSettings(undo=undo, timeout=5.0),
    )
    usual = {"effect": EffectClass.READ_ONLY, "speculate": Speculate.NOW}
    return StaticJudge({"set_setting": write, "get_setting": Rule(**{**usual, **read})})


def test_it_is_read_before_the_intent_and_only_what_the_undo_needs_is_kept() -> None:
    async def main() -> None:
        world = SettingsWorld(values={"colour": 1})
        core = core_of(world)
        await through_the_door(core)
        read = ("get", "colour", 1)
        assert world.log == [read, read, ("set", "colour", 2)], "and looked at again under the intent"
        (row,) = await rows(core)
        assert (row.before, row.before_known) == ({"value": 1}, True), "the owner's name is nobody's business"
        assert row.undo is not None

    run(main(), seed=0)


def broken(name: str) -> tuple[Callable[[SettingsWorld], None], str]:
    """Something that keeps what was there from being known, and what is said about it."""

    def gone(world: SettingsWorld) -> None:
        del world.values["colour"]

    def raising(world: SettingsWorld) -> None:
        world.before["get_setting"] = [OSError("no route")]

    def slow(world: SettingsWorld) -> None:
        world.latency["get_setting"] = 100.0

    def text(world: SettingsWorld) -> None:
        world.values["colour"] = "red"

    def strange(world: SettingsWorld) -> None:
        world.values["colour"] = {1}

    def infinite(world: SettingsWorld) -> None:
        world.values["colour"] = float("inf")

    def large(world: SettingsWorld) -> None:
        world.values["colour"] = "x" * 20_000

    return {
        "missing": (gone, "the field 'value' is missing"),
        "raised": (raising, "OSError: no route"),
        "too slow": (slow, "ToolTimeoutError: get_setting did not answer within"),
        "not an integer": (text, "set_setting could not be called with it: value"),
        "not JSON": (strange, "its result is not plain JSON"),
        "not finite": (infinite, "its result is not plain JSON"),
        "too large": (large, "larger than"),
    }[name]


BROKEN = ["missing", "raised", "too slow", "not an integer", "not JSON", "not finite", "too large"]


@pytest.mark.parametrize("name", BROKEN)
def test_an_early_call_is_not_made_without_it(name: str) -> None:
    spoil, message = broken(name)

    async def main() -> None:
        world = SettingsWorld(values={"colour": 1})
        spoil(world)
        was = dict(world.values)
        core = core_of(world)
        with pytest.raises(BeforeImageError, match=message) as caught:
            await through_the_door(core)
        assert caught.value.facts == {"tool": "set_setting", "before": "get_setting"}
        assert world.values == was
        assert await rows(core) == (), "nothing was intended"

    run(main(), seed=0)


@pytest.mark.parametrize("name", BROKEN)
def test_a_real_call_is_made_without_it_and_has_no_undo_then(name: str) -> None:
    spoil, message = broken(name)

    async def main() -> None:
        world = SettingsWorld(values={"colour": 1})
        spoil(world)
        core = core_of(world, saga=True)
        assert await core.call(SET) == {"status": "set"}
        assert world.values == {"colour": 2}
        (row,) = await rows(core)
        assert (row.undo, row.before_known) == (None, False)
        assert row.reasons[-1].startswith("no_before: set_setting could not be undone")
        assert message in row.reasons[-1]
        await core.take_back()
        (row,) = await rows(core)
        assert (row.stage, row.error) == (Stage.STUCK, "set_setting has no compensator on record")

    run(main(), seed=0)


def test_what_an_early_call_could_not_know_the_real_run_does_itself() -> None:
    async def main() -> None:
        world = SettingsWorld(values={"colour": 1}, before={"get_setting": [OSError("no route")]})
        core = core_of(world)
        turn = core.begin()
        call = core.propose(turn, "set_setting", name="colour", value=2)
        await asyncio.sleep(1.0)
        assert world.values == {"colour": 1}
        core.end(turn, [call])
        assert await core.call(call) == {"status": "set"}
        await core.settle()
        assert [row.stage for row in await rows(core)] == [Stage.COMMITTED]
        assert core.log.outcomes()["stuck"] == 0

    run(main(), seed=0)


def test_a_read_is_tried_again_as_its_own_settings_say() -> None:
    async def main() -> None:
        world = SettingsWorld(
            values={"colour": 1}, before={"get_setting": [OSError("busy"), OSError("busy")]}
        )
        judge = world.policy(POLICY.replace("effect: read_only", "effect: read_only\n    retries: {max: 2}"))
        core = core_of(world, judge)
        await through_the_door(core)
        (row,) = await rows(core)
        assert row.before == {"value": 1}

    run(main(), seed=0)


def test_a_real_call_that_nobody_takes_back_reads_nothing_first() -> None:
    async def main() -> None:
        world = SettingsWorld(values={"colour": 1})
        core = core_of(world)
        await core.call(SET)
        assert world.log == [("set", "colour", 2)]
        (row,) = await rows(core)
        assert row.undo is None
        assert row.reasons[-1].startswith("no_before: this call is not one to be taken back")

    run(main(), seed=0)


def test_a_call_on_record_is_answered_without_reading_again() -> None:
    async def main() -> None:
        world = SettingsWorld(values={"colour": 1})
        core = core_of(world, saga=True)
        for _ in range(2):
            await core.call(SET, identity="the same")
        assert world.log == [("get", "colour", 1), ("set", "colour", 2)]
        (row,) = await rows(core)
        assert row.before == {"value": 1}

    run(main(), seed=0)


@pytest.mark.parametrize(
    ("read", "message"),
    [
        ({"effect": EffectClass.COMPENSATABLE}, "this call is compensatable, not read_only"),
        (
            {
                "effect": EffectClass.CONFIRMATION_REQUIRED,
                "speculate": Speculate.NEVER,
                "confirm": Asking.ASK,
            },
            "this call is confirmation_required",
        ),
        ({"speculate": Speculate.HOLD}, "it would not run early itself"),
        ({"settings": ToolSettings(redact=("result.value",))}, "what the policy has redacted"),
        ({"settings": ToolSettings(redact=("not a path",))}, "what the policy has redacted"),
    ],
)
def test_the_door_itself_asks_whether_the_read_may_be_made(read: dict[str, Any], message: str) -> None:
    async def main() -> None:
        world = SettingsWorld(values={"colour": 1})
        core = core_of(world, looser(**read))
        with pytest.raises(BeforeImageError, match=message):
            await through_the_door(core)
        assert world.values == {"colour": 1}
        allowed = "settings" in read
        assert world.log == ([("get", "colour", 1)] if allowed else []), "what is no read is never called"
        assert await rows(core) == ()

    run(main(), seed=0)


def test_a_real_call_may_read_what_may_not_run_early() -> None:
    async def main() -> None:
        world = SettingsWorld(values={"colour": 1})
        core = core_of(world, looser(speculate=Speculate.NEVER))
        await through_the_door(core, adopted_by="me", saga=True)
        (row,) = await rows(core)
        assert row.before == {"value": 1}

    run(main(), seed=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"runner": None}, "get_setting cannot be run by itself"),
        ({"injected": frozenset({"state"})}, "get_setting cannot be run by itself"),
        ({"name": "another"}, "unknown tool 'get_setting'"),
        (
            {"parameters": {"type": "object", "properties": {"name": {"type": "integer"}}}},
            "its arguments do not fit: name",
        ),
    ],
)
def test_a_read_that_cannot_be_made(change: dict[str, Any], message: str) -> None:
    async def main() -> None:
        world = SettingsWorld(values={"colour": 1})
        read, write = world.tools()
        core = core_of(world, looser(), tools=[replace(read, **change), write])
        with pytest.raises(BeforeImageError, match=message):
            await through_the_door(core)
        assert world.log == []

    run(main(), seed=0)


def test_an_error_of_a_read_with_secrets_is_told_by_its_kind_only() -> None:
    async def main() -> None:
        world = SettingsWorld(values={"colour": 1}, before={"get_setting": [OSError("secret 4711")]})
        judge = world.policy(POLICY + "  other: {effect: read_only}\n" + "defaults: {redact: [args.pin]}\n")
        core = core_of(world, judge, saga=True)
        await core.call(SET)
        (row,) = await rows(core)
        assert "OSError" in row.reasons[-1]
        assert "4711" not in repr(await core.journal.snapshot())

    run(main(), seed=0)


class InterruptError(Exception):
    """What a framework raises to stop a run and ask somebody."""


@pytest.mark.parametrize("saga", [True, False])
def test_control_flow_passes(saga: bool) -> None:
    async def main() -> None:
        world = SettingsWorld(values={"colour": 1}, before={"get_setting": [InterruptError("ask")]})
        core = core_of(world)
        images = core.parts.door._images
        images._control_flow = lambda error: isinstance(error, InterruptError)
        with pytest.raises(InterruptError):
            await through_the_door(core, adopted_by="me" if saga else None, saga=saga)
        assert await rows(core) == ()

    run(main(), seed=0)


def test_a_call_that_is_cancelled_while_it_reads_leaves_nothing() -> None:
    async def main() -> None:
        world = SettingsWorld(values={"colour": 1}, latency={"get_setting": 5.0})
        core = core_of(world)
        task = asyncio.ensure_future(through_the_door(core))
        await asyncio.sleep(1.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await rows(core) == ()
        assert world.values == {"colour": 1}

    run(main(), seed=0)


def answering(world: SettingsWorld, answer: Any) -> list[ToolSpec]:
    async def get(call: Call, context: Any) -> Any:
        return answer

    read, write = world.tools()
    return [replace(read, runner=get), write]


@pytest.mark.parametrize(
    ("answer", "source", "image"),
    [
        ('{"value": 7, "note": "x"}', "before.value", {"value": 7}),
        ("7", "int(before)", "7"),
        ('{"value": 7}', "size(before)", '{"value": 7}'),
        (
            ("blocks", {"content": {"value": 7}}),
            "before[1].content.value",
            ["blocks", {"content": {"value": 7}}],
        ),
        ({"a": {"b": 7, "c": 8}, "d": 9}, "before.a.b", {"a": {"b": 7}}),
        ({"a": [7, 8], "d": 9}, "before.a[0]", {"a": [7, 8]}),
        ({"a": None}, "has(before.a.b) ? 1 : 0", None),
    ],
)
def test_what_of_an_answer_is_kept(answer: Any, source: str, image: Any) -> None:
    async def main() -> None:
        world = SettingsWorld()
        judge = world.policy(POLICY.replace("value: before.value", f"value: '{source}'"))
        core = core_of(world, judge, tools=answering(world, answer))
        if image is None:
            with pytest.raises(BeforeImageError, match=r"a value has the wrong type|missing"):
                await through_the_door(core)
            return
        await through_the_door(core)
        (row,) = await rows(core)
        assert row.before == image

    run(main(), seed=0)


@pytest.mark.parametrize(
    "answer", ["{", "[" * 100_000, '{"value": NaN}', '{"value": "\\ud800"}', b"x", "null"]
)
def test_an_answer_that_is_no_json_of_use(answer: Any) -> None:
    async def main() -> None:
        world = SettingsWorld()
        core = core_of(world, tools=answering(world, answer))
        with pytest.raises(BeforeImageError) as caught:
            await through_the_door(core)
        assert isinstance(caught.value, SpecflowError)
        assert len(str(caught.value)) < 3_000
        assert await rows(core) == ()

    run(main(), seed=0)


def test_an_argument_that_needs_the_result_too_is_left_to_the_undo() -> None:
    async def main() -> None:
        world = SettingsWorld(values={"colour": 1})
        judge = world.policy(
            POLICY.replace("value: before.value", 'value: "result.status == \\"set\\" ? before.value : 0"')
        )
        core = core_of(world, judge)
        turn = core.begin()
        core.propose(turn, "set_setting", name="colour", value=2)
        await asyncio.sleep(1.0)
        assert world.values == {"colour": 2}
        core.end(turn)
        await core.settle()
        assert world.values == {"colour": 1}

    run(main(), seed=0)


def test_an_undo_that_would_need_a_secret_argument() -> None:
    async def main() -> None:
        world = SettingsWorld(values={"colour": 1})
        judge = looser()
        core = core_of(world, judge)
        made = order(core)
        hidden = replace(made, settings=replace(made.settings, redact=("args.name",)))
        with pytest.raises(BeforeImageError, match="set_setting would need what the policy has redacted"):
            await core.parts.door.run(hidden, core.session.lease)
        assert world.values == {"colour": 1}

    run(main(), seed=0)


class Meddling(SettingsWorld):
    """Somebody else writes between the first look and the second one."""

    async def get(self, call: Call, context: CallContext) -> Any:
        answer = await super().get(call, context)
        self.values["colour"] = 5
        return answer


def test_what_changes_before_the_intent_holds_is_not_written_over() -> None:
    async def main() -> None:
        world = Meddling(values={"colour": 1})
        core = core_of(world)
        with pytest.raises(BeforeImageError, match="it changed while the call was prepared"):
            await through_the_door(core)
        (row,) = await rows(core)
        assert (row.stage, row.before) == (Stage.FAILED, {"value": 1})
        assert "it changed while the call was prepared" in row.error
        await core.settle()
        assert world.values == {"colour": 5}, "what somebody else wrote is still there"
        assert [kind for kind, *_ in world.log] == ["get", "get"]

    run(main(), seed=0)


@pytest.mark.parametrize("error", [OSError("gone"), InterruptError("ask")])
def test_what_can_no_longer_be_read_is_not_written_over(error: Exception) -> None:
    async def main() -> None:
        world = SettingsWorld(values={"colour": 1})
        core = core_of(world)
        core.parts.door._images._control_flow = lambda raised: isinstance(raised, InterruptError)
        original = core.journal.intend

        async def intend(*args: Any) -> int:
            world.before["get_setting"] = [error]
            return await original(*args)

        core.journal.intend = intend  # type: ignore[method-assign,assignment]  # the second look comes after it
        with pytest.raises((BeforeImageError, InterruptError)):
            await through_the_door(core)
        assert [row.stage for row in await rows(core)] == [Stage.FAILED]
        assert world.values == {"colour": 1}

    run(main(), seed=0)


def test_a_call_that_is_cancelled_while_it_looks_again_was_never_made() -> None:
    async def main() -> None:
        world = SettingsWorld(values={"colour": 1}, latency={"get_setting": 5.0})
        core = core_of(world)
        task = asyncio.ensure_future(through_the_door(core))
        await asyncio.sleep(7.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        (row,) = await rows(core)
        assert (row.stage, row.error) == (Stage.FAILED, "given up before the call was made")
        assert row.call_deadline is not None
        await core.settle()
        assert world.values == {"colour": 1}

    run(main(), seed=0)


@pytest.mark.parametrize("value", [2, 3])
@pytest.mark.parametrize("seconds", [1.0, 15.0])
def test_a_real_call_does_not_wait_for_a_guess_that_is_still_reading(value: int, seconds: float) -> None:
    """The same call, or another one that is in its way; while it reads, and while it looks again."""

    async def main() -> None:
        world = SettingsWorld(values={"colour": 1}, latency={"get_setting": 10.0})
        core = core_of(world)
        loop = asyncio.get_running_loop()
        turn = core.begin()
        core.propose(turn, "set_setting", name="colour", value=2)
        await asyncio.sleep(seconds)
        real = Call(tool="set_setting", args={"name": "colour", "value": value})
        core.end(turn, [real])
        began = loop.time()
        await core.call(real)
        assert loop.time() == began, "the guess is given up, not waited for"
        await core.settle()
        assert world.values == {"colour": value}
        assert [entry for entry in world.log if entry[0] == "set"] == [("set", "colour", value)]
        assert core.log.outcomes() == {**core.log.outcomes(), "hit": 0, "miss": 1, "cancelled": 1, "stuck": 0}

    run(main(), seed=0)


def test_the_call_has_its_whole_time_after_the_second_look() -> None:
    async def main() -> None:
        world = SettingsWorld(values={"colour": 1}, latency={"get_setting": 50.0, "set_setting": 25.0})
        core = core_of(world)
        began = core.parts.clock.wall()
        await through_the_door(core)
        (row,) = await rows(core)
        assert row.call_deadline is not None
        assert row.call_deadline == pytest.approx(began + 50.0 + LATE + 60.0 + 30.0)
        assert row.stage is Stage.DONE
        assert core.parts.clock.wall() < row.call_deadline

    run(main(), seed=0)
