import asyncio

import pytest

from specflow.errors import ConfigurationError
from specflow.testing.explore import (
    LeakedTaskError,
    LostErrorError,
    ScheduleFailedError,
    explore,
    observe,
    run,
)
from specflow.testing.seeded_loop import DeadlockError


def race(safe):
    """Two owners of one lease; the second takes over. Unsafe: the first writes without looking."""

    async def main():
        lease = {"fence": 1, "state": "intended"}

        async def first():
            fence = 1
            await asyncio.sleep(1)
            if not safe or lease["fence"] == fence:
                lease["state"] = "done"

        async def second():
            await asyncio.sleep(1)
            lease["fence"] = 2
            await asyncio.sleep(0)
            if lease["state"] == "intended":
                lease["state"] = "compensating"
                await asyncio.sleep(0)
                assert lease["state"] == "compensating", "a zombie wrote"

        await asyncio.gather(first(), second())

    return main


def test_a_race_is_found_and_its_seed_repeats_it():
    with pytest.raises(ScheduleFailedError, match="a zombie wrote") as caught:
        explore(race(safe=False))
    seed = caught.value.facts["seed"]
    assert caught.value.facts["repeatable"]
    assert f"run(main(), seed={seed})" in str(caught.value)
    with pytest.raises(AssertionError, match="a zombie wrote"):
        run(race(safe=False)(), seed=seed)


def test_a_safe_scenario_passes_all_its_schedules():
    report = explore(race(safe=True), schedules=500)
    assert report.schedules == 500
    assert report.failed_seeds == ()
    assert report.distinct > 5


def test_every_failing_schedule_goes_to_on_failure():
    failures = []
    report = explore(race(safe=False), schedules=100, seed=1000, on_failure=failures.append)
    assert report.failed_seeds == tuple(failure.seed for failure in failures)
    assert 0 < len(failures) < 100
    assert all(isinstance(failure.error, AssertionError) for failure in failures)
    assert all(1000 <= failure.seed < 1100 for failure in failures)


def test_step_seconds_are_part_of_the_repeat():
    async def main():
        async with asyncio.timeout(1):
            for _ in range(10):
                await asyncio.sleep(0)

    explore(main, schedules=50)
    with pytest.raises(ScheduleFailedError, match=r"seed=\d+, step_seconds=0\.5"):
        explore(main, schedules=50, step_seconds=0.5)


def test_a_scenario_with_state_outside_itself_is_told_so():
    runs = []

    async def main():
        runs.append(1)
        assert len(runs) != 3

    with pytest.raises(ScheduleFailedError, match="went another way"):
        explore(main)


def test_a_scenario_without_concurrency_has_one_history():
    report = explore(lambda: asyncio.sleep(1), schedules=20)
    assert report.distinct == 1


def test_observe_returns_the_error():
    seen = observe(asyncio.Event().wait())
    assert isinstance(seen.error, DeadlockError)
    assert seen.result is None
    assert seen.history == ("0.000000 Event.wait#1",)


def test_being_cancelled_is_a_failure_of_the_scenario():
    async def main():
        asyncio.current_task().cancel()
        await asyncio.sleep(0)

    with pytest.raises(ScheduleFailedError, match="CancelledError"):
        explore(main, schedules=1)


async def leave_a_task():
    async def forgotten():
        await asyncio.sleep(5)

    asyncio.current_task().keep = asyncio.create_task(forgotten(), name="forgotten")


def test_left_tasks_are_cancelled_or_an_error():
    run(leave_a_task())
    with pytest.raises(LeakedTaskError, match="forgotten"):
        run(leave_a_task(), leaks="error")


def test_a_task_that_ignores_its_cancellation_does_not_hang_the_end():
    async def stubborn():
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue

    async def main():
        asyncio.current_task().keep = asyncio.create_task(stubborn(), name="stubborn")
        await asyncio.sleep(0)

    for leaks in ("cancel", "error"):
        with pytest.raises(LeakedTaskError, match=r"stubborn.*do not heed a cancellation"):
            run(main(), leaks=leaks)


@pytest.mark.parametrize("keep", [True, False])
def test_an_error_nobody_awaited_fails_the_run(keep):
    kept = []

    async def fails():
        raise KeyError("lost")

    async def main():
        task = asyncio.create_task(fails())
        if keep:
            kept.append(task)
        del task
        await asyncio.sleep(1)

    with pytest.raises(LostErrorError, match="lost") as caught:
        run(main())
    assert isinstance(caught.value.__cause__, KeyError)


def test_an_error_in_a_callback_fails_the_run():
    async def main():
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        await asyncio.sleep(1)

    with pytest.raises(LostErrorError, match="ZeroDivisionError"):
        run(main())


def test_no_schedules_are_refused():
    with pytest.raises(ConfigurationError):
        explore(lambda: asyncio.sleep(0), schedules=0)
