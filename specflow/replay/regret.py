"""What could have been saved, beside what was: by knowing everything, and by the guesses that were made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from specflow.journal.event import EventKind
from specflow.replay.oracle import Bound, breaks
from specflow.replay.simulate import Played
from specflow.replay.steps import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortest:
    """Seconds that a run takes at least: with every allowed call guessed right one step ahead (`oracle`) and
    several steps ahead (`chained`); with the run's own right guesses, all of them (`own`) and those of them
    that were started (`started`), each as early as it could be made.
    """

    oracle: float
    chained: float
    own: float
    started: float


def shortest(bound: Bound, steps: Sequence[Step], played: Played) -> Shortest:
    """Of a run that was played under the bound's policy."""
    ahead = any(event.parent_id for event in played.log.of(EventKind.PROPOSED))

    def least(kind: EventKind) -> float:
        return sum(bound.steps(steps, list(_said(bound, steps, played, kind, ahead)), chained=ahead))

    return Shortest(
        oracle=sum(bound.steps(steps)),
        chained=sum(bound.steps(steps, chained=True)),
        own=least(EventKind.PROPOSED),
        started=least(EventKind.LAUNCHED),
    )


def _said(
    bound: Bound, steps: Sequence[Step], played: Played, kind: EventKind, ahead: bool
) -> Iterator[set[str]]:
    """For each step, the match keys of what was said so of during it; where predictors look `ahead`, also
    during the steps before it since somebody has spoken: what is foreseen on top of a guess lives on with it.
    """
    now: dict[str, set[str]] = {turn_id: set() for turn_id in played.turns}
    for event in played.log.of(kind):
        if event.call is not None:
            now[event.turn_id].add(bound.key(event.call))
    said: set[str] = set()
    for place, turn_id in enumerate(played.turns):
        kept = said if ahead and not breaks(steps, place) else set()
        said = kept | now[turn_id]
        yield said
