"""Versions asked before and at adoption; adopted reads run again, compared, and what a difference does."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from specflow.clock import LoopClock
from specflow.effects.annotate import Annotation, annotation_of, read_only
from specflow.effects.call import Call
from specflow.effects.kind import EffectClass
from specflow.effects.tool import CallContext
from specflow.journal.event import EventKind
from specflow.journal.memory import MemoryJournal
from specflow.policy.settings import Budgets, Version
from specflow.settlement.stored import compile_stored
from specflow.speculation.demotions import CLEAN, Demotions
from specflow.testing.explore import run
from specflow.testing.ledger_world import LedgerWorld
from specflow.testing.scripted_core import ScriptedCore
from specflow.testing.static_judge import StaticJudge
from tests.speculation.scenarios import scenario

LOOK = Call(tool="look", args={"seat": "A1"})


class Shop:
    """`look` tells a price that others change; `find` tells its version, when asked for seat A1."""

    def __init__(
        self, *, versioned: bool = False, share: float = 0.0, same: Any = None, **options: Any
    ) -> None:
        self.price: Any = 1
        self.version: Any = 1
        self.looks = self.asked = 0
        self.takes = {"look": 0.0, "version": 0.0}
        self.failing = False
        world = LedgerWorld()
        judge = world.judge()
        rule = judge._rules["look"]
        version = Version(tool="find", arguments={"booking": compile_stored("args.seat")})
        settings = replace(
            rule.settings, version=version if versioned else None, verify_sample=share, **options
        )
        rules = {**judge._rules, "look": replace(rule, settings=settings)}
        self.core = ScriptedCore(
            world.tools(), StaticJudge(rules, budgets=Budgets(max_concurrent=8)), MemoryJournal(LoopClock())
        )
        tools = self.core.parts.registry._tools
        annotation = Annotation(effect=EffectClass.READ_ONLY, same=same)
        tools["look"] = replace(tools["look"], runner=self.look, annotation=annotation)
        tools["find"] = replace(tools["find"], runner=self.tell)

    async def look(self, call: Call, context: CallContext) -> Any:
        self.looks += 1
        price = self.price
        await asyncio.sleep(self.takes["look"])
        if isinstance(price, OSError):
            raise price
        return price

    async def tell(self, call: Call, context: CallContext) -> Any:
        self.asked += 1
        assert context.early
        assert call.args["booking"] == "A1"
        await asyncio.sleep(self.takes["version"])
        if self.failing:
            raise OSError("away")
        return self.version

    async def read_early(self, wait: float = 1.0) -> None:
        turn = self.core.begin()
        self.core.propose(turn, "look", seat="A1")
        await asyncio.sleep(wait)
        self.core.end(turn, [LOOK])

    def outcomes(self) -> list[str]:
        return [event.outcome for event in self.core.log.of(EventKind.CALL_ENDED)]

    def samples(self) -> list[str]:
        kinds = {EventKind.VERIFIED, EventKind.DIVERGED}
        return [event.outcome for event in self.core.log.events if event.kind in kinds]


# ---------------------------------------------------------------------- versions


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("changed", [False, True])
def test_a_read_of_another_version_is_not_adopted(late: bool, changed: bool) -> None:
    async def body() -> None:
        shop = Shop(versioned=True)
        shop.takes["look"] = 3.0 if late else 0.5
        turn = shop.core.begin()
        shop.core.propose(turn, "look", seat="A1")
        await asyncio.sleep(1.0)
        if changed:
            shop.price = shop.version = 2
        shop.core.end(turn, [LOOK])
        assert await shop.core.call(LOOK) == (2 if changed else 1)
        assert shop.outcomes() == ["stale" if changed else "late" if late else "hit"]
        assert shop.asked == 2
        await shop.core.settle()

    run(body(), seed=0)


@scenario
async def test_without_a_version_beforehand_nothing_is_read_early() -> None:
    shop = Shop(versioned=True)
    shop.failing = True
    await shop.read_early()
    assert shop.looks == 0
    assert [event.cause for event in shop.core.log.of(EventKind.WITHHELD)] == ["no_version"]
    assert await shop.core.call(LOOK) == 1
    assert shop.outcomes() == ["miss"]
    await shop.core.settle()


@scenario
async def test_a_version_that_cannot_be_had_at_adoption_means_stale() -> None:
    shop = Shop(versioned=True)
    await shop.read_early()
    shop.failing = True
    await shop.core.call(LOOK)
    assert shop.outcomes() == ["stale"]
    await shop.core.settle()


@scenario
async def test_a_version_that_stalls_is_waited_for_only_so_long() -> None:
    shop = Shop(versioned=True)
    await shop.read_early()
    shop.takes["version"] = 1000.0
    asked = asyncio.get_running_loop().time()
    await shop.core.call(LOOK)
    assert asyncio.get_running_loop().time() - asked <= 5.0 + 1e-6
    assert shop.outcomes() == ["stale"]
    await shop.core.settle()
    await shop.core.coordinator.aclose()


@scenario
async def test_what_is_shared_is_asked_for_its_version_each_time() -> None:
    shop = Shop(versioned=True, ttl=60.0)
    await shop.read_early()
    assert [await shop.core.call(LOOK) for _ in range(2)] == [1, 1]
    shop.price = shop.version = 2
    assert await shop.core.call(LOOK) == 2
    assert shop.outcomes() == ["hit", "hit", "miss"]
    await shop.core.settle()


# ---------------------------------------------------------------------- samples


@scenario
async def test_an_adopted_read_is_run_again_in_the_background() -> None:
    shop = Shop(share=1.0)
    await shop.read_early()
    shop.takes["look"] = 5.0
    asked = asyncio.get_running_loop().time()
    assert await shop.core.call(LOOK) == 1
    assert asyncio.get_running_loop().time() == asked, "nobody waits for it"
    await asyncio.sleep(6.0)
    assert (shop.looks, shop.samples()) == (2, ["same"])
    await shop.core.settle()


@scenario
async def test_a_difference_is_told_and_demotes_the_tool_until_samples_are_clean() -> None:
    shop = Shop(share=1.0)
    await shop.read_early()
    shop.price = 2
    assert await shop.core.call(LOOK) == 1
    await asyncio.sleep(1.0)
    (event,) = shop.core.log.of(EventKind.DIVERGED)
    assert event.call == LOOK
    (row,) = (await shop.core.journal.snapshot()).predictions
    assert (row.outcome, row.cause) == ("hit", "diverged")
    for _ in range(CLEAN):
        await shop.read_early()
        assert await shop.core.call(LOOK) == 2
        await asyncio.sleep(1.0)
    assert {event.cause for event in shop.core.log.of(EventKind.WITHHELD)} == {"diverged"}
    assert shop.samples() == ["diverged", *["same"] * CLEAN]
    await shop.read_early()
    await shop.core.call(LOOK)
    assert shop.outcomes()[-1] == "hit", "it is trusted again"
    await shop.core.settle()


@scenario
async def test_what_waits_for_its_adoption_is_not_adopted_once_its_tool_is_demoted() -> None:
    shop = Shop()
    await shop.read_early()
    shop.core.parts.demotions.diverged("look")
    shop.price = 2
    assert await shop.core.call(LOOK) == 2
    assert shop.outcomes() == ["stale"]
    await shop.core.settle()


@scenario
async def test_what_is_waited_for_is_not_adopted_either() -> None:
    shop = Shop()
    shop.takes["look"] = 3.0
    await shop.read_early()
    waiting = asyncio.create_task(shop.core.call(LOOK))
    await asyncio.sleep(1.0)
    shop.core.parts.demotions.diverged("look")
    assert await waiting == 1
    assert (shop.looks, shop.outcomes()) == (2, ["stale"])
    await shop.core.settle()


@scenario
async def test_a_write_of_the_session_explains_a_difference() -> None:
    shop = Shop(share=1.0)
    await shop.read_early()
    assert await shop.core.call(LOOK) == 1
    shop.price = 2
    await shop.core.call(Call(tool="book", args={"seat": "A1"}))
    shop.core.begin()  # forgets writes that nobody can have met
    await asyncio.sleep(1.0)
    assert shop.samples() == ["explained"]
    assert not shop.core.parts.demotions.holds("look")
    await shop.core.settle()


@scenario
async def test_a_function_of_the_tool_says_what_counts_as_the_same() -> None:
    shop = Shop(share=1.0, same=lambda early, now: early["id"] == now["id"])
    shop.price = {"id": 7, "took": 1}
    await shop.read_early()
    shop.price = {"id": 7, "took": 2}
    await shop.core.call(LOOK)
    await asyncio.sleep(1.0)
    assert shop.samples() == ["same"]
    await shop.core.settle()


@pytest.mark.parametrize(("same", "price"), [(lambda _early, _now: 1 / 0, 1), (None, object())])
def test_what_cannot_be_compared_says_nothing(same: Any, price: Any) -> None:
    async def body() -> None:
        shop = Shop(share=1.0, same=same)
        shop.price = price
        await shop.read_early()
        await shop.core.call(LOOK)
        await asyncio.sleep(1.0)
        assert shop.samples() == ["unknown"]
        await shop.core.settle()

    run(body(), seed=0)


@scenario
async def test_what_is_shared_is_sampled_too() -> None:
    shop = Shop(share=1.0, ttl=60.0)
    await shop.read_early()
    await shop.core.call(LOOK)
    await asyncio.sleep(1.0)
    shop.price = 2
    assert await shop.core.call(LOOK) == 1
    await asyncio.sleep(1.0)
    assert shop.samples() == ["same", "diverged"]
    assert await shop.core.call(LOOK) == 2, "what was shared is not trusted either"
    await shop.core.settle()


@scenario
async def test_a_sample_that_fails_says_nothing() -> None:
    shop = Shop(share=1.0)
    await shop.read_early()
    shop.price = OSError("away")
    await shop.core.call(LOOK)
    await asyncio.sleep(1.0)
    assert shop.samples() == ["failed"]
    await shop.core.settle()


@scenario
async def test_the_end_of_the_session_ends_its_samples() -> None:
    shop = Shop(share=1.0)
    await shop.read_early()
    shop.takes["look"] = 1000.0
    await shop.core.call(LOOK)
    await asyncio.sleep(1.0)
    await shop.core.settle()
    await shop.core.coordinator.aclose()
    assert asyncio.get_running_loop().time() < 10.0
    assert shop.samples() == []


def test_the_share_is_drawn_from_the_ids() -> None:
    counts = []

    async def body() -> None:
        shop = Shop(share=0.2)
        for _ in range(100):
            await shop.read_early(0.1)
            await shop.core.call(LOOK)
            await asyncio.sleep(0.1)
        counts.append(len(shop.samples()))
        await shop.core.settle()

    for _ in range(2):
        run(body(), seed=0)
    assert counts[0] == counts[1], "the same seed draws the same samples"
    assert 8 <= counts[0] <= 35


def test_demotion_takes_twice_as_long_each_time_and_an_operator_may_end_it() -> None:
    demotions = Demotions()
    for needed in (CLEAN, 2 * CLEAN):
        demotions.diverged("t")
        assert demotions.holds("t")
        assert [demotions.clean("t") for _ in range(needed)] == [False] * (needed - 1) + [True]
    demotions.diverged("t")
    demotions.clean("t")
    demotions.diverged("t")
    assert demotions.reinstate("t")
    assert not demotions.reinstate("t")
    assert not demotions.clean("t")
    demotions.diverged("t")
    assert [demotions.clean("t") for _ in range(CLEAN)][-1]


def test_the_annotation_takes_the_function() -> None:
    def same(early: Any, now: Any) -> bool:
        return bool(early == now)

    @read_only(same=same)
    def look(seat: str) -> str:
        """Look."""
        return seat

    found = annotation_of(look)
    assert found is not None
    assert found.same is same
