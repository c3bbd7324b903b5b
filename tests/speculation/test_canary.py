"""A share of the conversations is run ahead of; the others behave as in shadow mode."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specflow.clock import LoopClock
from specflow.errors import ConfigurationError
from specflow.journal.event import EventKind
from specflow.journal.memory import MemoryJournal
from specflow.speculation.canary import CANARY, CONTROL, Canary, canary_of
from specflow.testing.explore import run
from specflow.testing.ledger_world import LedgerWorld
from specflow.testing.scripted_core import ScriptedCore

SHARES = st.floats(min_value=0, max_value=1)


@given(share=SHARES, larger=SHARES, tenant=st.text(), thread=st.text(), other=st.text())
def test_a_conversation_keeps_its_group(
    share: float, larger: float, tenant: str, thread: str, other: str
) -> None:
    small, large = Canary(share=min(share, larger)), Canary(share=max(share, larger))
    group = small.group(tenant, thread, "")
    assert group in {CANARY, CONTROL}
    assert group == small.group(tenant, thread, "")
    if group == CANARY:
        assert large.group(tenant, thread, "") == CANARY, "a larger share only adds"
    assert Canary(share=0).group(tenant, thread, other) == CONTROL
    assert Canary(share=1).group(tenant, thread, other) == CANARY


def test_the_share_is_what_it_says() -> None:
    tenth = Canary(share=0.1)
    for key in ("thread", "run"):
        groups = [tenth.group("t", **{"thread": "", "run": "", key: f"{number}"}) for number in range(20_000)]
        assert 0.09 < groups.count(CANARY) / len(groups) < 0.11


@pytest.mark.parametrize(
    ("mode", "share"), [("canary:10%", 0.1), ("canary:2.5%", 0.025), ("canary:0", 0.0), ("canary:100%", 1.0)]
)
def test_the_mode_is_read(mode: str, share: float) -> None:
    found = canary_of(mode)
    assert found is not None
    assert found.share == pytest.approx(share)
    assert canary_of("shadow") is None


@pytest.mark.parametrize("text", ["", "%", "101%", "-1%", ".5%", "1e1%", "5.%"])
def test_nonsense_is_no_percentage(text: str) -> None:
    with pytest.raises(ConfigurationError, match="no percentage"):
        canary_of(f"canary:{text}")


def threads(group: str, canary: Canary) -> str:
    return next(name for name in map(str, range(1000)) if canary.group("", name, "") == group)


@pytest.mark.parametrize("group", [CANARY, CONTROL])
def test_only_the_canary_is_run_ahead_of_and_events_carry_the_group(group: str) -> None:
    canary = Canary(share=0.5)

    async def body() -> None:
        world = LedgerWorld()
        core = ScriptedCore(
            world.tools(),
            world.judge(),
            MemoryJournal(LoopClock()),
            thread=threads(group, canary),
            canary=canary,
        )
        turn = core.begin()
        look, book = core.propose(turn, "look", seat="A1"), core.propose(turn, "book", seat="B2")
        await asyncio.sleep(1.0)
        assert bool(world.log) is (group == CANARY)
        core.end(turn, [look, book])
        assert (await core.call(look))["bookings"] == 0
        await core.call(book)
        assert world.seats == {"B2": 1}
        await core.settle()
        assert {event.group for event in core.log.events if event.session_id} == {group}
        outcomes = [event.outcome for event in core.log.of(EventKind.CALL_ENDED)]
        assert outcomes == (["hit", "hit"] if group == CANARY else ["miss", "miss"])
        would = [event.cause for event in core.log.of(EventKind.WITHHELD)]
        assert would == ([] if group == CANARY else ["mode", "mode"])

    run(body(), seed=0)


def test_without_a_canary_there_is_no_group() -> None:
    async def body() -> None:
        world = LedgerWorld()
        core = ScriptedCore(world.tools(), world.judge(), MemoryJournal(LoopClock()))
        core.end(core.begin())
        await core.settle()
        assert {event.group for event in core.log.events} == {""}

    run(body(), seed=0)
