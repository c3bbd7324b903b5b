"""What the crash matrix kills: a run that overwrites settings early, keeps one, and puts the others back.

The settings are lines in a file, written by the same process that dies; nothing but the intent in the journal
knows what was there before. The next process runs recovery, and sees to it that no call can still arrive.
"""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from specflow.clock import SystemClock
from specflow.effects.call import Call
from specflow.effects.tool import CallContext
from specflow.journal.sql import SqlJournal
from specflow.journal.verify import verify
from specflow.lifecycle import SessionState, Stage
from specflow.settlement.undo import Persistence
from specflow.testing.scripted_core import ScriptedCore
from specflow.testing.settings_world import POLICY, SettingsWorld

START = {"colour": 1, "size": 2, "state": 3}
TOLERANT = POLICY.replace("value: before.value}", "value: before.value}\n      tolerates_missing: true")


class LateClock(SystemClock):
    """The system's clock, `ahead` by some seconds: what was called before can no longer arrive."""

    def __init__(self, ahead: float) -> None:
        self._ahead = ahead

    def wall(self) -> float:
        return super().wall() + self._ahead


class FileWorld(SettingsWorld):
    """Settings in a file: every change is one appended line, on disk before the call returns."""

    __slots__ = ("path",)

    def __init__(self, path: Path) -> None:
        super().__init__(values=dict(START))
        self.path = path
        for name, value, kind in map(json.loads, path.read_text().splitlines() if path.exists() else []):
            self.values[name] = value
            self.log.append((kind, name, value))

    async def set(self, call: Call, context: CallContext) -> Any:
        line = [call.args["name"], call.args["value"], "undo" if context.compensating else "set"]
        handle = os.open(self.path, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
        os.write(handle, json.dumps(line).encode() + b"\n")
        os.close(handle)
        return await super().set(call, context)


def core_of(folder: Path, owner: str, policy: str) -> ScriptedCore:
    world = FileWorld(folder / "world")
    journal = SqlJournal.open(f"sqlite:///{folder}/journal.db", is_dead=lambda name: name != owner)
    return ScriptedCore(
        world.tools(),
        world.policy(TOLERANT if policy == "tolerant" else POLICY),
        journal,
        owner=owner,
        seed=os.getpid(),
        clock=LateClock(0.0 if owner == "first" else 300.0),
        persistence=Persistence(pause=0.0),
    )


def run(folder: Path, policy: str) -> None:
    asyncio.run(_run(core_of(folder, "first", policy)))


async def _run(core: ScriptedCore) -> None:
    turn = core.begin()
    wrong = core.propose(turn, "set_setting", name="colour", value=7)
    await _finished(core)
    core.retract(turn, wrong)
    while core.session.undoing:
        await asyncio.wait(set(core.session.undoing))
    kept = core.propose(turn, "set_setting", name="size", value=8)
    core.propose(turn, "set_setting", name="state", value=9)
    await _finished(core)
    core.end(turn, [kept])
    await core.call(kept, identity="m1 c0")
    await core.settle()
    await core.journal.aclose()


async def _finished(core: ScriptedCore) -> None:
    await asyncio.wait({item.work for item in core.session.pending if item.work is not None})


def recover(folder: Path, policy: str) -> None:
    asyncio.run(_recover(core_of(folder, f"recovery {os.getpid()}", policy)))


async def _recover(core: ScriptedCore) -> None:
    await core.recover(owner=core.parts.owner)
    await core.journal.aclose()


def check(folder: Path, policy: str) -> None:
    asyncio.run(_check(core_of(folder, "checker", policy), folder, policy))


async def _check(core: ScriptedCore, folder: Path, policy: str) -> None:
    before = await core.journal.snapshot()
    again = await core.recover(owner="checker")
    after = await core.journal.snapshot()
    await core.journal.aclose()
    assert (again.recovered, again.held) == (0, 0), "everything was recovered"
    assert replace(after, predictions=()) == replace(before, predictions=()), "I12: once more changes nothing"
    assert verify(after) == ()
    assert all(row.state is SessionState.CLOSED for row in after.sessions)
    stuck = {str(row.args["name"]) for row in after.effects if row.stage is Stage.STUCK}
    assert policy == "bare" or not stuck, [row.error for row in after.effects]
    assert all(row.before_known for row in after.effects), "nothing was intended without it"
    world = FileWorld(folder / "world")
    expected = dict(START)
    for row in after.effects:
        if row.stage is Stage.COMMITTED:
            expected[str(row.args["name"])] = int(row.args["value"])
    for name, value in expected.items():
        assert name in stuck or world.values[name] == value, f"{name} is {world.values[name]}, not {value}"
    intended = [(row.args["name"], row.args["value"]) for row in after.effects]
    called = [(name, value) for kind, name, value in world.log if kind == "set"]
    assert len(called) == len(set(called)), "nothing was set twice"
    assert set(called) <= set(intended), "I1: what was called was intended"
