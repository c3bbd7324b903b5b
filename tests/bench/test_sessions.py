"""A thousand sessions at once, thousands one after another: nothing of them stays behind."""

from __future__ import annotations

import os

import pytest

from specflow.bench.crowd import TOOL_SECONDS, TURN_SECONDS, Footing, footings

WAVES = 10 if os.environ.get("SPECFLOW_NIGHTLY") else 4
"""Ten thousand sessions at night, as in `specflow bench sessions`; otherwise enough to see a slope."""
AT_ONCE = 1_000 if os.environ.get("CI") else 200


def flat(waves: list[Footing], *, at_once: int, steps: int) -> None:
    first, *_, last = waves = waves[1:]  # the caches that are filled once are full after one
    for wave in waves:
        assert wave.tasks == 0
        assert wave.kept == 0
        assert wave.rows == first.rows
        # A turn hides the tool of its call: nobody waits for anybody.
        assert wave.seconds == pytest.approx(steps * TURN_SECONDS)
        # Of each session: itself, its two guesses, and the timers of their tools.
        assert wave.busiest == 5 * at_once
    further = last.sessions - first.sessions
    assert last.objects - first.objects < 0.05 * further + 10
    # Not exactly none: dictionaries grow in jumps, and averages are numbers of their own.
    assert last.blocks - first.blocks < 0.5 * further + 200


@pytest.mark.timeout(900)
def test_tasks_rows_and_memory_are_flat_over_sessions_that_read() -> None:
    assert TURN_SECONDS >= TOOL_SECONDS
    flat(footings(at_once=AT_ONCE, books=False, waves=WAVES), at_once=AT_ONCE, steps=1)


@pytest.mark.timeout(900)
def test_tasks_rows_and_memory_are_flat_over_sessions_that_write() -> None:
    at_once = AT_ONCE // 10
    flat(footings(at_once=at_once, books=True, waves=WAVES), at_once=at_once, steps=2)
