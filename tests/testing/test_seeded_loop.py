import asyncio
import contextvars
import inspect
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specflow.clock import LoopClock
from specflow.errors import ConfigurationError
from specflow.testing.explore import observe, run
from specflow.testing.hermetic_loop import RealWaitError
from specflow.testing.seeded_loop import DeadlockError, LivelockError, SeededLoop
from specflow.testing.seeded_task import SeededTask, stepping_task

SEEDS = range(200)


async def three_writers():
    """Three tasks write their name twice each, with one await between."""
    out = []

    async def write(name):
        out.append(name)
        await asyncio.sleep(0)
        out.append(name)

    await asyncio.gather(*(write(name) for name in "abc"))
    return "".join(out)


# Time.


def test_virtual_time_jumps_exactly_to_the_next_timer():
    async def main():
        loop = asyncio.get_running_loop()
        seen = []
        for seconds in (3600.0, 0.25, 86400.0):
            await asyncio.sleep(seconds)
            seen.append(loop.time())
        return seen, LoopClock(epoch=1000).wall()

    assert run(main()) == ([3600.0, 3600.25, 90000.25], 91000.25)


def test_a_timer_never_fires_before_one_that_is_due_earlier():
    async def main():
        fired = []
        loop = asyncio.get_running_loop()
        for when in (3, 1, 2):
            loop.call_at(when, fired.append, when)
        await asyncio.sleep(5)
        return fired

    assert {tuple(run(main(), seed=seed, step_seconds=0.7)) for seed in SEEDS} == {(1, 2, 3)}


def test_timers_for_the_same_instant_come_in_any_order():
    async def main():
        fired = []
        for name in "ab":
            asyncio.get_running_loop().call_later(1, fired.append, name)
        await asyncio.sleep(2)
        return "".join(fired)

    assert {run(main(), seed=seed) for seed in SEEDS} == {"ab", "ba"}


def test_with_step_seconds_a_timeout_strikes_between_steps():
    async def main():
        done = 0
        try:
            async with asyncio.timeout(1):
                for _ in range(10):
                    await asyncio.sleep(0)
                    done += 1
        except TimeoutError:
            pass
        return done

    assert {run(main(), seed=seed) for seed in SEEDS} == {10}
    assert len({run(main(), seed=seed, step_seconds=0.3) for seed in SEEDS}) > 3


def test_advance_lets_time_pass_at_once():
    async def main():
        loop = asyncio.get_running_loop()
        loop.advance(7)
        with pytest.raises(ConfigurationError):
            loop.advance(-1)
        return loop.time()

    assert run(main()) == 7


# Order.


def test_every_interleaving_of_task_steps_is_found():
    assert len({run(three_writers(), seed=seed) for seed in range(3000)}) == 90  # 6! / 2!^3


def test_canary_asyncio_schedules_tasks_in_the_way_the_scheduler_knows():
    seen = []

    class Spy(asyncio.SelectorEventLoop):
        def call_soon(self, callback, *args, context=None):
            seen.append(stepping_task(callback) is not None)
            return super().call_soon(callback, *args, context=context)

    async def main():
        future = asyncio.get_running_loop().create_future()  # main's first step: a step
        asyncio.get_running_loop().call_soon(future.set_result, None)  # plain
        await future  # the wake-up: a step
        task = asyncio.current_task()
        asyncio.get_running_loop().call_soon(task.set_name, "x")  # bound to the task, yet plain
        await asyncio.sleep(0)  # a step

    loop = Spy()
    loop.run_until_complete(main())
    loop.close()
    assert seen[:5] == [True, False, True, False, True]


def test_plain_callbacks_keep_their_order_and_come_before_later_steps():
    async def main():
        out = []
        loop = asyncio.get_running_loop()
        loop.call_soon(out.append, 1)
        loop.call_soon_threadsafe(out.append, 2)
        loop.call_soon(out.append, 3)
        await asyncio.sleep(0)
        return out

    for seed in SEEDS:
        assert run(main(), seed=seed) == [1, 2, 3]


def test_done_callbacks_have_run_when_an_await_registered_after_them_returns():
    async def main():
        live = set()

        async def work():
            await asyncio.sleep(0)

        async def one():
            task = asyncio.create_task(work())
            live.add(task)
            task.add_done_callback(live.discard)
            await task
            assert task not in live

        await asyncio.gather(*(one() for _ in range(4)))

    for seed in SEEDS:
        run(main(), seed=seed)


def test_odd_seeds_can_hold_a_task_back_for_very_long():
    async def main():
        slow_ran = False

        async def slow():
            nonlocal slow_ran
            slow_ran = True

        async def busy():
            for _ in range(30):
                await asyncio.sleep(0)
            return slow_ran

        return (await asyncio.gather(slow(), busy()))[1]

    # At random alone this is one in 2**30.
    assert not all(run(main(), seed=seed) for seed in SEEDS if seed % 2)


# The same seed, the same history.


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**12))
def test_the_same_seed_gives_the_same_history(seed):
    first, second = observe(three_writers(), seed=seed), observe(three_writers(), seed=seed)
    assert first.history == second.history
    assert first.history_hash == second.history_hash
    assert first.result == second.result


SETS = """
import asyncio
from specflow.testing.explore import observe

async def main():
    junk = [bytearray(n) for n in range({junk})]
    async def work(n):
        try:
            await asyncio.sleep(10 + n)
        finally:
            await asyncio.sleep(0)
    async def fail():
        await asyncio.sleep(1)
        raise ValueError
    try:
        async with asyncio.TaskGroup() as group:
            for n in range(20):
                group.create_task(work(n))
            group.create_task(fail())
    except* ValueError:
        pass
    await asyncio.wait({{asyncio.create_task(work(n)) for n in range(20)}}, timeout=15)
    await asyncio.to_thread(len, junk)

print([observe(main(), seed=seed).history_hash for seed in range(6)])
"""


def test_the_same_seed_gives_the_same_history_in_another_process_even_with_sets_of_tasks():
    printed = set()
    for junk in (0, 777, 5000):
        done = subprocess.run(
            [sys.executable, "-c", SETS.format(junk=junk)],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[2],
        )
        printed.add(done.stdout)
    assert len(printed) == 1


def test_the_scenarios_own_choices_repeat_and_do_not_disturb_the_schedule():
    async def plain():
        return None

    async def choosing():
        return asyncio.get_running_loop().random.random()

    assert run(choosing(), seed=4) == run(choosing(), seed=4)
    assert run(choosing(), seed=4) != run(choosing(), seed=5)


def test_tasks_have_names_that_repeat():
    async def main():
        task = asyncio.create_task(three_writers())
        named = asyncio.create_task(three_writers(), name="mine")
        await asyncio.gather(task, named)
        return task.get_name(), named.get_name()

    first, second = run(main()), run(main())
    assert first == second
    assert first[0].startswith("three_writers#")
    assert first[1] == "mine"


# asyncio's own primitives.


async def primitives():
    lock, semaphore, event, queue = asyncio.Lock(), asyncio.Semaphore(2), asyncio.Event(), asyncio.Queue(1)
    condition, barrier = asyncio.Condition(), asyncio.Barrier(3)
    inside = held = 0
    got = []

    async def worker(n):
        nonlocal inside, held
        async with lock:
            inside += 1
            assert inside == 1
            await asyncio.sleep(0)
            inside -= 1
        async with semaphore:
            held += 1
            assert held <= 2
            await asyncio.sleep(0.1)
            held -= 1
        await barrier.wait()
        await queue.put(n)
        await event.wait()
        async with condition:
            condition.notify()

    async def reader():
        for _ in range(3):
            got.append(await queue.get())
            queue.task_done()
        event.set()

    async def waiter():
        async with condition:
            await condition.wait_for(event.is_set)

    async with asyncio.TaskGroup() as group:
        for n in range(3):
            group.create_task(worker(n))
        group.create_task(reader())
        group.create_task(waiter())
    await queue.join()
    assert sorted(got) == [0, 1, 2]

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await asyncio.sleep(6)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.sleep(6), 5)

    inner = asyncio.create_task(asyncio.sleep(1, "kept"))
    outer = asyncio.shield(inner)
    outer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await outer
    assert await inner == "kept"

    done = [await first for first in asyncio.as_completed([asyncio.sleep(2, "b"), asyncio.sleep(1, "a")])]
    assert done == ["a", "b"]
    results = await asyncio.gather(asyncio.sleep(1, 1), broken(), return_exceptions=True)
    assert results[0] == 1
    assert isinstance(results[1], KeyError)
    failed = []
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(100))
            group.create_task(broken())
    except* KeyError as errors:
        failed += errors.exceptions
    assert len(failed) == 1
    return asyncio.get_running_loop().time()


async def broken():
    raise KeyError("broken")


@pytest.mark.parametrize("step_seconds", [0.0, 0.01])
def test_asyncios_primitives_hold_under_every_schedule(step_seconds):
    for seed in SEEDS:
        took = run(primitives(), seed=seed, step_seconds=step_seconds, leaks="error")
        assert took >= 14 if step_seconds else took == pytest.approx(14.2)


def test_context_variables_reach_tasks_and_callbacks():
    var = contextvars.ContextVar("var", default="outside")

    async def main():
        seen = []
        var.set("inside")
        asyncio.get_running_loop().call_soon(lambda: seen.append(var.get()))
        await asyncio.create_task(asyncio.sleep(0))
        seen.append(await asyncio.to_thread(var.get))
        # A bare executor does not inherit it.
        seen.append(await asyncio.get_running_loop().run_in_executor(None, var.get))
        return seen

    assert run(main()) == ["inside", "inside", "outside"]
    assert var.get() == "outside"


def test_asynchronous_generators_are_closed():
    closed = []

    async def numbers():
        try:
            for number in range(10):
                yield number
                await asyncio.sleep(0)
        finally:
            closed.append("closed")

    async def dropped():
        async for number in numbers():
            if number == 2:
                break
        await asyncio.sleep(1)

    kept = []

    async def left_open():
        generator = numbers()
        kept.append(generator)
        await anext(generator)

    run(dropped())
    run(left_open())
    assert closed == ["closed", "closed"]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
def test_eager_tasks_work_and_repeat():
    async def main():
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        return await three_writers()

    assert observe(main(), seed=3).history == observe(main(), seed=3).history
    assert len({run(main(), seed=seed) for seed in SEEDS}) > 1


def test_runs_under_asyncios_own_runner():
    with asyncio.Runner(loop_factory=lambda: SeededLoop(7)) as runner:
        first = runner.run(three_writers())
        runner.run(asyncio.sleep(1000))
    assert first == run(three_writers(), seed=7)


# Threads.


def test_to_thread_runs_inline_with_its_result_or_its_error():
    async def main():
        here = threading.get_ident()
        assert await asyncio.to_thread(threading.get_ident) == here
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 / 0)
        # As in a thread, no loop is running there: a sync tool may start one.
        assert await asyncio.to_thread(lambda: asyncio.run(asyncio.sleep(0, "nested"))) == "nested"

    for seed in range(20):
        run(main(), seed=seed)


def test_a_cancelled_wait_for_a_thread_finds_the_work_done_or_never_done():
    async def main():
        done = []
        future = asyncio.get_running_loop().run_in_executor(None, done.append, "effect")

        async def cancel():
            await asyncio.sleep(0)
            future.cancel()

        task = asyncio.create_task(cancel())
        try:
            await future
        except asyncio.CancelledError:
            return done, "cancelled"
        finally:
            await task
        return done, "answered"

    seen = {repr(run(main(), seed=seed)) for seed in SEEDS}
    assert seen == {"(['effect'], 'answered')", "(['effect'], 'cancelled')", "([], 'cancelled')"}


def test_a_real_thread_is_refused_and_the_wait_for_it_is_no_hang():
    errors = []

    async def main():
        future = asyncio.get_running_loop().create_future()

        def work(loop):
            try:
                loop.call_soon_threadsafe(future.set_result, 1)
            except RealWaitError as error:
                errors.append(str(error))

        thread = threading.Thread(target=work, args=(asyncio.get_running_loop(),), name="worker-9")
        thread.start()
        thread.join()
        await future

    with pytest.raises(DeadlockError):
        run(main())
    assert "worker-9" in errors[0]


# Instead of hanging.


def test_a_deadlock_names_who_waits_where():
    async def main():
        async def waits_for_ever():
            await asyncio.Event().wait()

        async with asyncio.TaskGroup() as group:
            group.create_task(waits_for_ever(), name="the culprit")

    with pytest.raises(DeadlockError, match=r"the culprit at locks\.py:\d+ in wait") as caught:
        run(main())
    assert len(caught.value.facts["waiting"]) == 2


def test_polling_for_ever_is_a_livelock():
    async def main():
        while True:
            await asyncio.sleep(1)

    with pytest.raises(LivelockError, match="after 500 steps"):
        run(main(), max_steps=500)


@pytest.mark.parametrize(
    "wants",
    [
        lambda loop: asyncio.open_connection("localhost", 1),
        lambda loop: asyncio.create_subprocess_exec("true"),
        lambda loop: loop.getaddrinfo("localhost", 1),
        lambda loop: loop.add_signal_handler(2, print),
        lambda loop: loop.add_reader(0, print),
    ],
)
def test_real_waits_are_refused(wants):
    async def main():
        result = wants(asyncio.get_running_loop())
        if inspect.isawaitable(result):
            await result

    with pytest.raises(RealWaitError, match="this loop has virtual time"):
        run(main())


def test_no_method_of_a_loop_is_forgotten():
    inherited = [
        name
        for name, what in vars(asyncio.AbstractEventLoop).items()
        if callable(what) and not name.startswith("__") and getattr(SeededLoop, name) is what
    ]
    assert inherited == []


def test_no_real_time_passes_and_the_loop_is_used_up_like_any_other():
    started = time.monotonic()
    run(asyncio.sleep(10**6))
    assert time.monotonic() - started < 60
    loop = SeededLoop(1)
    assert not loop.is_running()
    assert loop.run_until_complete(asyncio.sleep(1, "x")) == "x"
    loop.close()
    assert loop.is_closed()
    with pytest.raises(RuntimeError, match="closed"):
        loop.call_soon(print)


def test_stop_ends_run_forever():
    loop = SeededLoop(1)
    loop.call_later(3, loop.stop)
    loop.run_forever()
    assert loop.time() == 3
    loop.close()


async def test_not_inside_another_loop():
    main = asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="already running"):
        SeededLoop(1).run_until_complete(main)
    main.close()


@pytest.mark.parametrize("wrong", [{"step_seconds": -1}, {"max_steps": 0}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ConfigurationError):
        SeededLoop(0, **wrong)


def test_an_exception_handler_of_ones_own_hears_of_errors():
    heard = []

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: heard.append(context["exception"]))
        assert loop.get_exception_handler() is not None
        loop.call_soon(lambda: 1 / 0)
        await asyncio.sleep(0)

    run(main())
    assert isinstance(heard[0], ZeroDivisionError)


def test_tasks_are_hashed_by_number_and_equal_only_to_themselves():
    async def main():
        tasks = [asyncio.create_task(asyncio.sleep(0)) for _ in range(3)]
        assert all(isinstance(task, SeededTask) for task in tasks)
        assert [hash(task) for task in tasks] == [task.number for task in tasks]
        assert len(set(tasks)) == 3
        assert tasks[0] != tasks[1]
        await asyncio.gather(*tasks)

    run(main())
