"""Undo by writing back what was there: after any sequence of overwrites and undos the world is as before."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specflow.clock import LoopClock
from specflow.effects.call import Call
from specflow.execution.order import Order
from specflow.journal.event import EventKind
from specflow.journal.memory import MemoryJournal
from specflow.journal.record import UndoPlan
from specflow.journal.verify import verify
from specflow.lifecycle import Stage
from specflow.settlement.recover import settle_session
from specflow.settlement.undo import Persistence
from specflow.testing.explore import run
from specflow.testing.scripted_core import ScriptedCore
from specflow.testing.settings_world import POLICY, SettingsWorld

TOLERANT = POLICY.replace("value: before.value}", "value: before.value}\n      tolerates_missing: true")
NAMES = ("colour", "size", "state")
START = {"colour": 1, "size": 2, "state": 3}

names = st.sampled_from(NAMES)
writes = st.tuples(names, st.integers(min_value=4, max_value=9))


def core_of(world: SettingsWorld, policy: str = POLICY, **options: Any) -> ScriptedCore:
    return ScriptedCore(world.tools(), world.policy(policy), MemoryJournal(LoopClock()), **options)


def set_to(name: str, value: int) -> Call:
    return Call(tool="set_setting", args={"name": name, "value": value})


async def overwrite_early(core: ScriptedCore, name: str, value: int) -> None:
    """One early call, straight through the door: also where the launcher would see a conflict."""
    spec, call = core.parts.registry.require("set_setting"), set_to(name, value)
    assert spec.runner is not None
    order = Order(
        call=call,
        tool=spec,
        settings=core.parts.judge.settings(spec),
        verdict=core.parts.judge.judge(spec, call, context={}),
        runner=spec.runner,
    )
    await core.parts.door.run(order, core.session.lease)


@settings(deadline=None)
@given(st.lists(writes, max_size=8))
def test_early_overwrites_that_are_undone_newest_first_leave_the_world_as_it_was(
    sequence: list[tuple[str, int]],
) -> None:
    async def main() -> None:
        world = SettingsWorld(values=dict(START))
        core = core_of(world)
        for name, value in sequence:
            await overwrite_early(core, name, value)
        assert world.values == {**START, **dict(sequence)}
        lease = await core.session.lease()
        report = await settle_session(core.journal, core.settler, lease, cause="test")
        assert report.compensated == len(sequence)
        assert world.values == START
        assert verify(await core.journal.snapshot()) == ()

    run(main(), seed=0)


@settings(deadline=None)
@given(st.lists(writes, max_size=6))
def test_a_saga_of_overwrites_leaves_the_world_as_it_was(sequence: list[tuple[str, int]]) -> None:
    async def main() -> None:
        world = SettingsWorld(values=dict(START))
        core = core_of(world, saga=True)
        for name, value in sequence:
            await core.call(set_to(name, value))
        await core.take_back()
        assert world.values == START
        assert verify(await core.journal.snapshot()) == ()

    run(main(), seed=0)


turns = st.lists(
    st.tuples(
        st.lists(writes, max_size=3),  # guessed, one after the other
        st.lists(writes, max_size=3),  # asked for by the model; those that were guessed may be among them
        st.booleans(),  # whether the guesses get the time to be done
    ),
    max_size=4,
)


@settings(deadline=None)
@given(turns, st.integers(min_value=0, max_value=1_000))
def test_with_guesses_the_world_ends_as_without_them(
    plan: list[tuple[list[tuple[str, int]], list[tuple[str, int]], bool]], seed: int
) -> None:
    async def main() -> None:
        world = SettingsWorld(values=dict(START), latency={"set_setting": 0.5, "get_setting": 0.1})
        core = core_of(world, seed=seed)
        expected = dict(START)
        for guessed, asked, patient in plan:
            turn = core.begin()
            for name, value in guessed:
                core.propose(turn, "set_setting", name=name, value=value)
                await asyncio.sleep(1.0 if patient else 0.0)
            core.end(turn, [set_to(name, value) for name, value in asked])
            for name, value in asked:
                await core.call(set_to(name, value))
                expected[name] = value
        await core.settle()
        assert world.values == expected
        assert verify(await core.journal.snapshot()) == ()
        assert core.log.outcomes()["stuck"] == 0
        launched = [event.speculation_id for event in core.log.of(EventKind.LAUNCHED)]
        resolved = [event.speculation_id for event in core.log.of(EventKind.RESOLVED)]
        assert sorted(launched) == sorted(resolved)

    run(main(), seed=seed)


troubles = st.lists(st.sampled_from(["fine", "before", "after"]), min_size=1, max_size=6)


@settings(deadline=None)
@given(troubles)
def test_what_may_or_may_not_have_happened_is_written_back_once_it_cannot_arrive_any_more(
    course: list[str],
) -> None:
    async def main() -> None:
        world = SettingsWorld(values=dict(START))
        core = core_of(world, TOLERANT)
        loop = asyncio.get_running_loop()
        for number, trouble in enumerate(course):
            if trouble != "fine":
                place = world.before if trouble == "before" else world.failing
                place["set_setting"] = [OSError("lost")]
                with pytest.raises(OSError, match="lost"):
                    await overwrite_early(core, NAMES[number % 3], 10 + number)
            else:
                await overwrite_early(core, NAMES[number % 3], 10 + number)
        lease, began = await core.session.lease(), loop.time()
        report = await settle_session(core.journal, core.settler, lease, cause="test")
        assert (report.compensated, report.stuck) == (len(course), 0)
        assert world.values == START
        waited = loop.time() - began >= 30.0
        assert waited == (set(course) != {"fine"}), "the call could still be under way, so it is waited for"

    run(main(), seed=0)


def test_without_tolerance_what_is_not_known_is_stuck() -> None:
    async def main() -> None:
        world = SettingsWorld(values=dict(START), failing={"set_setting": [OSError("lost")]})
        core = core_of(world)
        with pytest.raises(OSError, match="lost"):
            await overwrite_early(core, "colour", 7)
        report = await settle_session(
            core.journal, core.settler, await core.session.lease(), cause="test", close=False
        )
        assert report.stuck == 1
        assert world.values["colour"] == 7

    run(main(), seed=0)


def test_an_undo_is_repeated_under_its_own_key_until_it_says_that_it_succeeded() -> None:
    async def main() -> None:
        world = SettingsWorld(values=dict(START))
        core = core_of(world, persistence=Persistence(pause=0.1))
        turn = core.begin()
        core.propose(turn, "set_setting", name="colour", value=7)
        await asyncio.sleep(1.0)
        world.before["set_setting"] = [OSError("busy")]
        world.failing["set_setting"] = [OSError("lost")]
        core.end(turn)
        await core.settle()
        assert world.values == START
        (row,) = (await core.journal.snapshot()).effects
        assert (row.stage, row.attempts, row.comp_args) == (
            Stage.COMPENSATED,
            3,
            {"name": "colour", "value": 1},
        )

    run(main(), seed=0)


def test_a_tool_undoes_itself_only_where_that_is_declared() -> None:
    """What a row says counts for nothing: the policy in this process must name the compensator."""

    async def main() -> None:
        world = SettingsWorld(values=dict(START))
        core = core_of(world)
        await overwrite_early(core, "colour", 7)
        (row,) = (await core.journal.snapshot()).effects
        assert row.undo is not None
        for undo, why in (
            (UndoPlan(tool="get_setting", arguments={"name": "args.name"}), "not declared to undo"),
            (None, "no compensator on record"),
        ):
            other = core_of(world)
            lease = await other.session.lease()
            journal: Any = other.journal
            await overwrite_early(other, "colour", 8)
            (made,) = (await other.journal.snapshot()).effects
            journal._effects[made.effect_id] = replace(made, undo=undo)
            report = await settle_session(other.journal, other.settler, lease, cause="t", close=False)
            assert report.stuck == 1
            (stuck,) = (await other.journal.snapshot()).effects
            assert why in stuck.error
            assert world.values["colour"] == 8

        undeclared = ScriptedCore(
            world.tools(),
            world.policy("version: 1\ntools: {set_setting: {effect: compensatable}}"),
            core.journal,
        )
        await settle_session(
            core.journal, undeclared.settler, await core.session.lease(), cause="t", close=False
        )
        (row,) = (await core.journal.snapshot()).effects
        assert row.error == "set_setting is not declared to undo set_setting"

    run(main(), seed=0)


def test_an_undo_that_needs_what_was_not_read_is_stuck_and_says_so() -> None:
    async def main() -> None:
        world = SettingsWorld(values=dict(START))
        core = core_of(world)
        await overwrite_early(core, "colour", 7)
        (row,) = (await core.journal.snapshot()).effects
        journal: Any = core.journal
        journal._effects[row.effect_id] = replace(row, before=None, before_known=False)
        report = await settle_session(
            core.journal, core.settler, await core.session.lease(), cause="t", close=False
        )
        assert report.stuck == 1
        (row,) = (await core.journal.snapshot()).effects
        assert row.error == "what was there before set_setting was not read, so it cannot be put back"
        assert world.values["colour"] == 7

    run(main(), seed=0)


def test_success_may_be_told_by_what_was_there() -> None:
    async def main() -> None:
        world = SettingsWorld(values=dict(START))
        policy = POLICY.replace('result.status == "set"', "before.value == 1")
        core = core_of(world, policy)
        await overwrite_early(core, "colour", 7)
        await overwrite_early(core, "size", 7)
        report = await settle_session(
            core.journal, core.settler, await core.session.lease(), cause="t", close=False
        )
        assert (report.compensated, report.stuck) == (1, 1), "before.value of size is 2"

    run(main(), seed=0)
