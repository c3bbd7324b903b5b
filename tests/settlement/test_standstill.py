"""A session in which nothing can be done is left alone; one in which anything can be done is not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from specflow.journal.record import Lease, Outcome
from specflow.lifecycle import Stage
from specflow.settlement.standstill import Standstill
from specflow.testing.explore import run
from tests.settlement.test_sagas import Site, Storey


def storey(*needs: int, outcome: Stage = Stage.DONE, undo: bool = True, adopted: bool = False) -> Storey:
    return Storey(
        frozenset(needs), early=not adopted, adopted=adopted, outcome=outcome, has_undo=undo, stubborn=False
    )


def waiting(building: list[Storey], *, stuck: tuple[int, ...] = (), opened: tuple[int, ...] = ()) -> int:
    """How many wait, of a building some storeys of which are stuck already."""

    async def body() -> int:
        site = Site(building)
        lease = await site.build()
        for number, item in enumerate(building):
            if item.early and number not in opened:
                await site.journal.abort(lease, f"b{number}", "test")
        for number in stuck:
            name = f"e{number}"
            if building[number].outcome is Stage.DONE:
                await site.journal.move(lease, name, Stage.DONE, Stage.COMPENSATING, cause="test")
                await site.journal.move(lease, name, Stage.COMPENSATING, Stage.STUCK, cause="test")
            else:
                await site.journal.move(lease, name, Stage.UNKNOWN, Stage.STUCK, cause="test")
        return await Standstill(site.journal, site.parts.settler).waiting("s")

    return run(body(), seed=0)


def test_what_is_under_something_stuck_waits() -> None:
    assert waiting([storey(), storey(0)], stuck=(1,)) == 1


def test_what_waits_makes_others_wait() -> None:
    assert waiting([storey(), storey(0), storey(0, 1)], stuck=(2,)) == 2


def test_an_unknown_one_waits_where_its_undo_does_not_mind() -> None:
    assert waiting([storey(outcome=Stage.UNKNOWN), storey(0)], stuck=(1,)) == 1


@pytest.mark.parametrize(
    ("building", "stuck", "opened"),
    [
        pytest.param([storey(outcome=Stage.UNKNOWN, undo=False), storey(0)], (1,), (), id="to be found out"),
        pytest.param([storey(), storey(0)], (1,), (0,), id="not decided"),
        pytest.param([storey(), storey(0), storey()], (1,), (), id="one beside it is free"),
        pytest.param([storey(), storey(0), storey(0)], (1,), (), id="one above it is free"),
        pytest.param([storey(adopted=True), storey(0)], (1,), (), id="kept, and not yet said so"),
        pytest.param([storey()], (0,), (), id="all at rest: to be closed"),
    ],
)
def test_where_anything_can_be_done_nothing_stands_still(
    building: list[Storey], stuck: tuple[int, ...], opened: tuple[int, ...]
) -> None:
    assert waiting(building, stuck=stuck, opened=opened) == 0


def test_a_session_that_is_closed_or_unknown_does_not_wait() -> None:
    async def body() -> None:
        site = Site([storey()])
        lease = await site.build()
        still = Standstill(site.journal, site.parts.settler)
        assert await still.waiting("nobody's") == 0
        await site.journal.abort(lease, "b0", "test")
        await site.journal.move(lease, "e0", Stage.DONE, Stage.COMPENSATING, cause="test")
        await site.journal.move(lease, "e0", Stage.COMPENSATING, Stage.COMPENSATED, cause="test")
        await site.journal.close_session(lease)
        assert await still.waiting("s") == 0

    run(body(), seed=0)


def test_what_is_still_intended_does_not_wait() -> None:
    async def body() -> None:
        building = [storey(), storey(0)]
        site = Site(building)
        site.journal.record = _forgets(site.journal.record, "e0")  # type: ignore[method-assign] # its process died
        lease = await site.build()
        for branch in ("b0", "b1"):
            await site.journal.abort(lease, branch, "test")
        await site.journal.move(lease, "e1", Stage.DONE, Stage.COMPENSATING, cause="test")
        await site.journal.move(lease, "e1", Stage.COMPENSATING, Stage.STUCK, cause="test")
        assert await Standstill(site.journal, site.parts.settler).waiting("s") == 0

    run(body(), seed=0)


def _forgets(record: Callable[..., Awaitable[bool]], name: str) -> Callable[..., Awaitable[bool]]:
    async def recorded(lease: Lease, effect_id: str, outcome: Outcome) -> bool:
        return False if effect_id == name else await record(lease, effect_id, outcome)

    return recorded
