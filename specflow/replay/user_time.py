"""The time that users take to answer. Records do not have it: each answer takes so many seconds."""

from __future__ import annotations

from collections.abc import Sequence

from specflow.replay.steps import Step


def begins_run(step: Step) -> bool:
    """Whether the user has just spoken: a run of the conversation begins, as for `Coordinator.begin_turn`."""
    return bool(step.history) and step.history[-1].role == "user"


def pauses(steps: Sequence[Step], user_takes: float) -> tuple[float, ...]:
    """Seconds that pass before each step begins; none before the first, since nobody is waited for there."""
    return tuple(user_takes if place and begins_run(step) else 0.0 for place, step in enumerate(steps))
