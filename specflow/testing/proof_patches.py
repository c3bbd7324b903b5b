"""The proof's checks of patches: a pair is adopted whole, given again as one call, and taken back whole."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from specflow.effects.call import Call
from specflow.journal.verify import verify
from specflow.lifecycle import RESTING, Stage
from specflow.settlement.undo import Persistence
from specflow.testing.guest_world import GuestWorld
from specflow.testing.proof import Mortal, Stand, check
from specflow.testing.scripted_core import ScriptedCore

WANTED = Call(tool="book", args={"room": "12", "guest": "Bob"})


@dataclass(slots=True)
class GuestStand(Stand):
    """A stand over rooms and guests."""

    guests: GuestWorld = field(default_factory=GuestWorld)

    def core(
        self, owner: str, *, mortal: Mortal | None = None, seed: int = 0, tries: int = 3
    ) -> ScriptedCore:
        """A process of that name."""
        return ScriptedCore(
            self.guests.tools(),
            self.guests.policy(),
            mortal or self.journal,
            owner=owner,
            seed=seed,
            persistence=Persistence(tries=tries, pause=0.1),
        )

    async def sound(self) -> None:
        """Everything is at rest, and the world is what the journal says."""
        rows = await self.journal.snapshot()
        assert verify(rows) == (), verify(rows)
        assert all(row.stage in RESTING - {Stage.STUCK} for row in rows.effects), [
            r.error for r in rows.effects
        ]
        kept = {row.idem_key for row in rows.effects if row.tool == "book" and row.stage is Stage.COMMITTED}
        assert {key for key, value in self.guests.bookings.items() if value} == kept
        assert all(guest == "Bob" for _, guest in self.guests.rooms), "nobody asked for Ann"


async def guess(core: ScriptedCore) -> None:
    """A booking is made early for Ann, and the message wants it for Bob."""
    turn = core.begin()
    core.propose(turn, "book", room="12", guest="Ann")
    await asyncio.sleep(1)
    core.end(turn, [WANTED])


async def ask(core: ScriptedCore) -> Any:
    """The real call."""
    answer = await core.call(WANTED, identity="m1 c0")
    assert answer["guest"] == "Bob", answer
    return answer


async def life(core: ScriptedCore) -> None:
    """A guess that is amended, and the end of the run."""
    await guess(core)
    await ask(core)
    await core.settle()


@check
async def a_pair_is_adopted_once_both_have_happened() -> None:
    stand = GuestStand()
    await stand.dies(life)
    await stand.sound()
    assert [entry[0] for entry in stand.guests.log] == ["book", "rename"], "amended, and not made anew"
    assert stand.guests.rooms == [("12", "Bob")]


@check
async def a_pair_is_given_again_as_the_call_that_was_made() -> None:
    stand = GuestStand()
    await stand.dies(life, "patch.adopted")
    following = stand.core("next", seed=1)
    await ask(following)
    await following.settle()
    await stand.sound()
    assert [entry[0] for entry in stand.guests.log] == ["book", "rename"], "and nothing is called again"


@check
async def death_at_every_point_of_a_patch_is_recovered() -> None:
    calm = await GuestStand().dies(life)
    counts: Counter[str] = Counter()
    for point in calm.reached:
        counts[point] += 1
        stand = GuestStand()
        await stand.dies(life, point, counts[point])
        await stand.core("next", seed=1).recover(owner="next")
        await stand.sound()


@check
async def a_late_patch_meets_no_undo() -> None:
    """Its process is gone while the patch is still travelling: the undo of the base comes after it."""
    stand = GuestStand()
    stand.guests.latency["rename"] = 4.0
    core = stand.core("first")
    await guess(core)
    call = asyncio.ensure_future(core.call(WANTED, identity="m1 c0"))
    await asyncio.sleep(1)
    stand.dead.add("first")
    await stand.core("next", seed=1).recover(owner="next")
    await asyncio.sleep(10)
    await asyncio.wait({call})
    call.exception()
    assert stand.guests.log[-1][0] == "cancel", stand.guests.log
    assert stand.guests.rooms == []


@check
async def a_pair_is_one_call_to_a_resumed_run() -> None:
    stand = GuestStand()
    first = stand.core("first")
    first.begin_run("request", known=[])
    await guess(first)
    await ask(first)
    stand.dead.add("first")
    second = stand.core("next", seed=1)
    second.begin_run("request", known=[])
    answer = await second.call(Call(tool="book", args={"room": "12", "guest": "Ann"}), identity="m1b c0")
    assert answer["guest"] == "Ann", "what Bob has got is not given to Ann"
    await second.settle()
    assert stand.guests.rooms == [("12", "Ann")], "and he, who was not asked for again, is gone"
    assert verify(await stand.journal.snapshot()) == ()
