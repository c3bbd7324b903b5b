import threading

import pytest

from specflow.clock import Clock
from specflow.errors import ConfigurationError
from specflow.testing.manual_clock import ManualClock


def test_stands_still_until_it_is_moved():
    clock: Clock = ManualClock(start=5, epoch=100)
    assert (clock.monotonic(), clock.wall()) == (5.0, 100.0)
    assert (clock.monotonic(), clock.wall()) == (5.0, 100.0)


def test_advance_moves_both_and_jump_only_the_wall():
    clock = ManualClock(epoch=100)
    clock.advance(2.5)
    clock.jump_wall(-50)
    assert (clock.monotonic(), clock.wall()) == (2.5, 52.5)


@pytest.mark.parametrize("seconds", [-0.001, float("nan"), float("inf")])
def test_cannot_go_back_or_nowhere(seconds):
    clock = ManualClock()
    with pytest.raises(ConfigurationError):
        clock.advance(seconds)
    assert clock.monotonic() == 0


@pytest.mark.parametrize("wrong", [{"start": float("nan")}, {"epoch": float("inf")}])
def test_starts_at_a_real_time(wrong):
    with pytest.raises(ConfigurationError):
        ManualClock(**wrong)


def test_a_jump_is_finite():
    with pytest.raises(ConfigurationError):
        ManualClock().jump_wall(float("nan"))


def test_no_advance_is_lost_between_threads():
    clock = ManualClock()
    threads = [threading.Thread(target=lambda: [clock.advance(1) for _ in range(2000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clock.monotonic() == 8000
