"""What was there before a write and is secret: kept for the undo with a key, and refused without one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from specflow.clock import LoopClock
from specflow.effects.call import Call
from specflow.effects.redaction import HIDDEN
from specflow.effects.registry import ToolRegistry
from specflow.errors import BeforeImageError
from specflow.journal.memory import MemoryJournal
from specflow.journal.record import EffectRow
from specflow.lifecycle import Stage
from specflow.policy.load import loads
from specflow.sealing.aes_gcm import AesGcmSealer
from specflow.sealing.keys import new_key, read_keys
from specflow.testing.explore import run
from specflow.testing.scripted_core import ScriptedCore
from specflow.testing.settings_world import POLICY, SettingsWorld

SEALER = AesGcmSealer(read_keys(new_key()))
SECRET = 471147114711


def core_of(world: SettingsWorld, policy: str, *, kept: bool = True, **options: Any) -> ScriptedCore:
    judge = loads(policy, tools=ToolRegistry(world.tools()), keeps_secrets=kept)
    sealer = SEALER if kept else None
    return ScriptedCore(world.tools(), judge, MemoryJournal(LoopClock()), sealer=sealer, **options)


async def missed(core: ScriptedCore) -> EffectRow | None:
    """An early write that nobody adopts; the row it left, if there is one."""
    turn = core.begin()
    core.propose(turn, "set_setting", name="colour", value=2)
    await asyncio.sleep(1.0)
    core.end(turn)
    await core.settle()
    rows = (await core.journal.snapshot()).effects
    return rows[0] if rows else None


REDACTED = [
    ("    effect: read_only\n", "    effect: read_only\n    redact: [result.value]\n"),
    ("    timeout: 30s\n", "    timeout: 30s\n    redact: [args.value]\n"),
]


@pytest.mark.parametrize(("old", "new"), REDACTED, ids=["for the read", "for the compensator"])
def test_it_is_written_back_from_a_sealed_image(old: str, new: str) -> None:
    async def main() -> None:
        world = SettingsWorld(values={"colour": SECRET})
        core = core_of(world, POLICY.replace(old, new))
        row = await missed(core)
        assert row is not None
        assert (row.stage, world.values) == (Stage.COMPENSATED, {"colour": SECRET})
        assert row.before in ({"value": HIDDEN}, HIDDEN)
        assert row.comp_args == {"name": "colour", "value": HIDDEN}
        assert str(SECRET) not in repr(await core.journal.snapshot())

    run(main(), seed=0)


@pytest.mark.parametrize(("old", "new"), REDACTED, ids=["for the read", "for the compensator"])
def test_without_a_key_a_real_call_goes_without_an_undo(old: str, new: str) -> None:
    async def main() -> None:
        world = SettingsWorld(values={"colour": SECRET})
        core = core_of(world, POLICY.replace(old, new), kept=False, saga=True)
        assert await missed(core) is None, "never early"
        core = core_of(world, POLICY.replace(old, new), kept=False, saga=True, thread="second")
        await core.call(Call(tool="set_setting", args={"name": "colour", "value": 2}))
        (row,) = (await core.journal.snapshot()).effects
        assert (row.undo, row.before_known) == (None, False)
        assert "SPECFLOW_JOURNAL_KEY" in row.reasons[-1]
        assert str(SECRET) not in repr(row)

    run(main(), seed=0)


def test_a_value_that_changed_in_between_is_seen_although_both_are_hidden() -> None:
    class Meddling(SettingsWorld):
        async def get(self, call: Call, context: Any) -> Any:
            answer = await SettingsWorld.get(self, call, context)
            self.values["colour"] = 5
            return answer

    async def main() -> None:
        world = Meddling(values={"colour": SECRET})
        row = await missed(core_of(world, POLICY.replace(*REDACTED[0])))
        assert row is not None
        assert row.stage is Stage.FAILED
        assert "changed while the call was prepared" in row.error
        assert world.values == {"colour": 5}

    run(main(), seed=0)


@pytest.mark.parametrize("wrong", ["what it reads", "what the read says", "what it writes back"])
def test_what_is_said_about_it_does_not_quote_the_secret(wrong: str) -> None:
    """Schemas and tools repeat what they were given; that ends up in the reasons, which are stored."""
    secret = "hunter2-hunter2"
    policy = POLICY.replace("    timeout: 30s\n", "    timeout: 30s\n    redact: [args.value]\n")
    if wrong != "what it writes back":
        policy = policy.replace("with: {name: args.name}}", "with: {name: args.value}}", 1)
    values: dict[str, Any] = {"colour": secret}

    class Talking(SettingsWorld):
        async def get(self, call: Call, context: Any) -> Any:
            if wrong == "what the read says":
                raise ValueError(f"there is no {call.args['name']}")
            return await SettingsWorld.get(self, call, context)

    async def main() -> None:
        world = Talking(values=values)
        core = core_of(world, policy, saga=True)
        given = [secret] if wrong == "what it reads" else secret
        await core.call(Call(tool="set_setting", args={"name": "colour", "value": given}))
        (row,) = (await core.journal.snapshot()).effects
        assert row.reasons[-1].startswith("no_before: "), (
            "nothing could be read, and it was made all the same"
        )
        assert secret not in repr(row)

    run(main(), seed=0)


def test_the_error_of_an_early_one_does_not_either() -> None:
    async def main() -> None:
        world = SettingsWorld(values={"colour": "hunter2"})
        core = core_of(world, POLICY.replace(*REDACTED[0]))
        seen: list[BaseException] = []
        original = core.parts.door.run

        async def watched(*args: Any) -> Any:
            try:
                return await original(*args)
            except BeforeImageError as error:
                seen.append(error)
                raise

        core.parts.door.run = watched  # type: ignore[method-assign] # to see what nobody is told
        assert await missed(core) is None
        assert ["hunter2" in str(error) for error in seen] == [False]

    run(main(), seed=0)
