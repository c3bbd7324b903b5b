import asyncio
import threading
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specflow.errors import ConfigurationError
from specflow.testing.explore import explore, run
from specflow.testing.sequencer import SequenceError, Sequencer, ThreadSequencer


@settings(max_examples=50, deadline=None)
@given(st.permutations(range(6)), st.integers(0, 1000))
def test_turns_come_in_order_whoever_asks_first(asked, seed):
    async def main():
        seq, taken = Sequencer(), []

        async def turn(number):
            async with seq(number):
                await asyncio.sleep(0)
                taken.append(number)

        await asyncio.gather(*(turn(number) for number in asked))
        seq.assert_finished(6)
        return taken

    assert run(main(), seed=seed) == list(range(6))


def test_forces_the_bad_interleaving_of_a_race():
    async def main():
        seq, account = Sequencer(), {"money": 100}

        async def withdraw(read, write):
            async with seq(read):
                money = account["money"]
            async with seq(write):
                account["money"] = money - 60

        await asyncio.gather(withdraw(0, 2), withdraw(1, 3))
        return account["money"]

    # Each schedule the same: the second write forgets the first.
    for seed in range(50):
        assert run(main(), seed=seed) == 40


async def test_works_on_an_ordinary_loop():
    seq, taken = Sequencer(), []

    async def turn(number):
        async with seq(number):
            taken.append(number)

    await asyncio.gather(turn(2), turn(0), turn(1))
    assert taken == [0, 1, 2]


def test_a_number_used_twice_is_refused():
    async def main():
        seq = Sequencer()
        async with seq(0):
            pass
        async with seq(0):
            pass

    with pytest.raises(SequenceError, match="turn 0 was asked for twice"):
        run(main())


def test_a_missing_number_is_named():
    async def main():
        async with Sequencer(timeout=5)(1):
            pass

    with pytest.raises(SequenceError, match=r"turn 1 waited 5 s in vain, nobody has asked for turn 0"):
        run(main())


def test_a_turn_inside_an_earlier_one_is_named():
    async def main():
        seq = Sequencer(timeout=5)
        async with seq(0), seq(1):
            pass

    with pytest.raises(SequenceError, match="turn 0 is still going on"):
        run(main())


def test_an_error_in_one_turn_breaks_the_others_off_with_its_cause():
    async def main():
        seq = Sequencer()

        async def fails():
            async with seq(0):
                raise KeyError("the cause")

        async def waits():
            async with seq(2):
                pass

        return await asyncio.gather(fails(), waits(), return_exceptions=True)

    for seed in range(50):
        failed, waited = run(main(), seed=seed)
        assert isinstance(failed, KeyError)
        assert isinstance(waited, SequenceError)
        assert "turn 0 ended with KeyError: 'the cause'" in str(waited)


def test_a_cancelled_wait_breaks_the_sequence():
    async def main():
        seq = Sequencer()

        async def turn(number):
            async with seq(number):
                pass

        task = asyncio.create_task(turn(1))
        await asyncio.sleep(1)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        with pytest.raises(SequenceError, match="turn 1 ended with CancelledError"):
            await turn(0)

    explore(main, schedules=20)


def test_assert_finished_tells_what_is_missing():
    async def main():
        seq = Sequencer()
        async with seq(0):
            pass
        seq.assert_finished(1)
        seq.assert_finished(2)

    with pytest.raises(SequenceError, match="1 turns were taken, not 2"):
        run(main())


@pytest.mark.parametrize("kind", [Sequencer, ThreadSequencer])
def test_time_to_wait_is_above_zero(kind):
    with pytest.raises(ConfigurationError):
        kind(timeout=0)


def test_a_turn_is_a_number_from_zero():
    with pytest.raises(ConfigurationError, match="numbered 0, 1, 2"), ThreadSequencer()(-1):
        pass


def in_threads(*bodies):
    """Run each body in a thread; what each raised, or None."""
    raised = [None] * len(bodies)

    def call(index, body):
        try:
            body()
        except Exception as error:
            raised[index] = error

    threads = [threading.Thread(target=call, args=pair) for pair in enumerate(bodies)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return raised


def test_threads_take_turns():
    seq, taken = ThreadSequencer(), []

    def turns(*numbers):
        for number in numbers:
            with seq(number):
                taken.append(number)

    raised = in_threads(lambda: turns(2, 5), lambda: turns(0, 4), lambda: turns(1, 3))
    assert raised == [None, None, None]
    assert taken == [0, 1, 2, 3, 4, 5]
    seq.assert_finished(6)


def test_a_thread_that_fails_breaks_the_others_off():
    seq = ThreadSequencer()

    def fails():
        with seq(0):
            raise KeyError("the cause")

    def waits():
        with seq(1):
            pass

    failed, waited = in_threads(fails, waits)
    assert isinstance(failed, KeyError)
    assert isinstance(waited, SequenceError)
    assert "the cause" in str(waited)


def test_a_thread_waits_in_vain_and_says_for_what():
    seq = ThreadSequencer(timeout=0.05)
    with pytest.raises(SequenceError, match="nobody has asked for turn 0"), seq(1):
        pass
