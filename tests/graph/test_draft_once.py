"""A question that is asked once: shared while it is asked, kept for a while, and never more than so many."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specflow.graph.draft.once import Once
from specflow.testing.explore import run as on_virtual_time


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=30), st.integers(1, 3))
def test_the_newest_that_may_be_kept_are_kept(steps: list[tuple[int, bool]], most: int) -> None:
    async def play() -> None:
        once: Once[int] = Once(most)
        kept: OrderedDict[int, int] = OrderedDict()
        for number, (key, keep) in enumerate(steps):
            expected = kept.get(key, number)

            async def ask(answer: int = number, keep: bool = keep) -> tuple[int, bool]:
                await asyncio.sleep(0.1)
                return answer, keep

            assert await once.get(str(key), ask) == expected
            if key in kept:
                kept.move_to_end(key)
            elif keep:
                kept[key] = number
                if len(kept) > most:
                    kept.popitem(last=False)

    on_virtual_time(play())


def test_an_error_is_everybodys_and_the_next_one_asks_anew() -> None:
    async def fail() -> tuple[int, bool]:
        await asyncio.sleep(0.1)
        raise ConnectionError("out of order")

    async def succeed() -> tuple[int, bool]:
        return 7, True

    async def play() -> None:
        once: Once[int] = Once(2)
        said = await asyncio.gather(*(once.get("key", fail) for _ in range(3)), return_exceptions=True)
        assert [type(one) for one in said] == [ConnectionError] * 3
        assert await once.get("key", succeed) == 7
        with pytest.raises(ConnectionError):
            await once.get("other", fail)

    on_virtual_time(play())


def test_who_comes_when_all_have_given_up_asks_anew() -> None:
    asked: list[str] = []

    async def ask() -> tuple[int, bool]:
        asked.append("begun")
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            asked.append("ended")
            raise
        return len(asked), False

    async def get(once: Once[int]) -> int:
        return await once.get("key", ask)

    async def play() -> None:
        once: Once[int] = Once(2)
        first = asyncio.ensure_future(get(once))
        await asyncio.sleep(0.1)
        first.cancel()
        second = asyncio.ensure_future(get(once))
        assert await second == 3
        assert asked == ["begun", "ended", "begun"]

    on_virtual_time(play())
