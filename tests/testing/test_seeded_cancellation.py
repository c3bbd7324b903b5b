import asyncio
from contextlib import suppress

import pytest

from specflow.errors import ConfigurationError
from specflow.testing.cancellation import CancelFailedError, CancelPoint, cancel_everywhere


class Shop:
    """One seat, taken and given back over a slow line; the answer travels a moment of its own."""

    def __init__(self):
        self.taken = 0

    async def take(self):
        await asyncio.sleep(1)
        self.taken += 1
        await asyncio.sleep(1)

    async def give_back(self):
        await asyncio.sleep(1)
        self.taken -= 1


async def careful(shop):
    taking = asyncio.create_task(shop.take())
    try:
        await asyncio.shield(taking)
        await asyncio.sleep(5)
    finally:
        # The outcome is awaited before it is undone, and neither can be cut off.
        undoing, cut_off = asyncio.create_task(undo(shop, taking)), None
        while not undoing.done():
            try:
                await asyncio.shield(undoing)
            except asyncio.CancelledError as error:
                cut_off = error
        if cut_off:
            raise cut_off


async def undo(shop, taking):
    await taking
    await shop.give_back()


async def forgets_the_lost_answer(shop):
    await shop.take()
    try:
        await asyncio.sleep(5)
    finally:
        await shop.give_back()


def nothing_taken(shop):
    assert shop.taken == 0, f"{shop.taken} seats are lost"


async def nothing_taken_later(shop):
    await asyncio.sleep(10)
    nothing_taken(shop)


@pytest.mark.parametrize("check", [nothing_taken, nothing_taken_later])
def test_a_careful_scenario_bears_a_cancellation_at_every_await(check):
    report = cancel_everywhere(careful, world=Shop, check=check, seeds=range(6))
    # Steps: start, taken, slept, undone; both moments of each.
    assert report.trials >= 6 * 8
    assert report.failures == ()


def test_a_lost_answer_is_found_and_its_point_repeats_it():
    with pytest.raises(CancelFailedError, match="1 seats are lost") as caught:
        cancel_everywhere(forgets_the_lost_answer, world=Shop, check=nothing_taken)
    point = caught.value.facts["point"]
    assert f"only={point}" in str(caught.value)
    assert "test_seeded_cancellation.py" in str(caught.value) or "tasks.py" in str(caught.value)
    with pytest.raises(CancelFailedError, match="1 seats are lost"):
        cancel_everywhere(forgets_the_lost_answer, world=Shop, check=nothing_taken, only=point)
    fine = CancelPoint(seed=0, step=0, moment="waiting")
    assert cancel_everywhere(forgets_the_lost_answer, world=Shop, check=nothing_taken, only=fine).trials == 1


def test_the_moment_when_the_answer_is_there_but_not_heard_is_its_own():
    heard = []

    class Line:
        def __init__(self):
            self.effects = 0

    async def scenario(line):
        def act():
            line.effects += 1

        await asyncio.to_thread(act)
        line.effects -= 1

    failures = []
    cancel_everywhere(
        scenario,
        world=Line,
        check=lambda line: heard.append(line.effects) or nothing_lost(line),
        on_failure=failures.append,
    )
    assert [failure.point.moment for failure in failures] == ["arrived"]
    assert 1 in heard


def nothing_lost(line):
    assert line.effects == 0


def test_all_failures_are_reported_to_on_failure():
    seen = []
    report = cancel_everywhere(
        forgets_the_lost_answer, world=Shop, check=nothing_taken, seeds=(0, 1), on_failure=seen.append
    )
    assert report.failures == tuple(seen)
    assert {failure.point.seed for failure in seen} == {0, 1}
    assert report.trials > len(seen)


def test_swallowing_the_cancellation_is_a_failure_unless_allowed():
    async def swallows(_):
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(1)

    with pytest.raises(CancelFailedError, match="returned as if it had not been"):
        cancel_everywhere(swallows, world=Shop, check=nothing_taken)
    cancel_everywhere(swallows, world=Shop, check=nothing_taken, may_return=True)


def test_answering_with_another_error_is_a_failure_unless_allowed():
    async def turns_it_into_another(_):
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            raise OSError("cancelled") from None

    with pytest.raises(CancelFailedError, match="OSError"):
        cancel_everywhere(turns_it_into_another, world=Shop, check=nothing_taken)
    cancel_everywhere(turns_it_into_another, world=Shop, check=nothing_taken, allowed=(OSError,))


def test_a_task_left_behind_is_a_failure_unless_allowed():
    async def leaves_on_cancel(shop):
        shop.task = asyncio.create_task(asyncio.sleep(100), name="left behind")
        await asyncio.sleep(1)
        shop.task.cancel()

    with pytest.raises(CancelFailedError, match="left behind"):
        cancel_everywhere(leaves_on_cancel, world=Shop, check=nothing_taken)
    cancel_everywhere(leaves_on_cancel, world=Shop, check=nothing_taken, leaks="cancel")


def test_children_are_cancelled_too_when_asked():
    async def child(shop):
        shop.taken += 1
        await asyncio.sleep(1)
        shop.taken -= 1

    async def parent(shop):
        await asyncio.gather(child(shop), return_exceptions=True)

    # The child started and was cancelled: only seen when the child itself can be struck while it waits,
    # for the parent passes its own cancellation on in the same way.
    failures = []
    cancel_everywhere(parent, world=Shop, check=nothing_taken, every_task=True, on_failure=failures.append)
    only_parent = []
    cancel_everywhere(parent, world=Shop, check=nothing_taken, may_return=True, on_failure=only_parent.append)
    assert len(failures) > len(only_parent)


def test_a_hang_after_a_cancellation_is_a_failure():
    async def hangs(_):
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            await asyncio.Event().wait()

    with pytest.raises(CancelFailedError, match="nothing is ready"):
        cancel_everywhere(hangs, world=Shop, check=nothing_taken)


def test_a_scenario_that_fails_by_itself_is_no_trial():
    async def wrong(_):
        raise KeyError("by itself")

    with pytest.raises(KeyError, match="by itself"):
        cancel_everywhere(wrong, world=Shop, check=nothing_taken)


def test_a_scenario_that_cancels_itself_is_told_so():
    async def odd(_):
        asyncio.current_task().cancel()
        await asyncio.sleep(0)

    with pytest.raises(AssertionError, match="cancelled itself"):
        cancel_everywhere(odd, world=Shop, check=nothing_taken)


def test_no_seeds_are_refused():
    with pytest.raises(ConfigurationError):
        cancel_everywhere(careful, world=Shop, check=nothing_taken, seeds=())
