"""What could have been saved, beside what was: by knowing everything, and by the guesses that were made."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from specflow.journal.event import EventKind
from specflow.replay.oracle import SLACK, Bound, Guessed, Said
from specflow.replay.simulate import Played
from specflow.replay.sources import Sources
from specflow.replay.steps import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortest:
    """Seconds that a run takes at least: with every allowed call guessed right one step ahead (`oracle`) and
    several steps ahead (`chained`), and the latter had no read outlived its run (`within`) or by whoever
    guesses no results (`known`); with the run's own right guesses, all of them (`own`) and those of them that
    were started (`started`), each as early as it could be made.
    """

    oracle: float
    chained: float
    within: float
    known: float
    own: float
    started: float


def shortest(bound: Bound, steps: Sequence[Step], played: Played) -> Shortest:
    """Of a run that was played under the bound's policy."""
    ahead = any(event.parent_id for event in played.log.of(EventKind.PROPOSED))

    def least(*kinds: EventKind) -> float:
        return sum(bound.steps(steps, _said(bound, played, kinds), chained=ahead))

    return Shortest(
        oracle=sum(bound.steps(steps)),
        chained=sum(bound.steps(steps, chained=True)),
        within=sum(replace(bound, outlives=False).steps(steps, chained=True)),
        known=sum(bound.steps(steps, chained=True, sources=Sources(steps, bound.registry))),
        # What waited for room is started later than it was proposed.
        own=least(EventKind.PROPOSED, EventKind.LAUNCHED),
        started=least(EventKind.LAUNCHED),
    )


def _said(bound: Bound, played: Played, kinds: Sequence[EventKind]) -> Guessed:
    """When each match key was said so of: in the turn whose guess it was, or in a later step if it was
    foreseen then, on top of a guess of that turn.
    """
    turns = {turn_id: place for place, turn_id in enumerate(played.turns)}
    said: dict[str, set[Said]] = defaultdict(set)
    for event in (event for kind in kinds for event in played.log.of(kind)):
        if event.call is not None:
            # In the very moment in which a step begins it may still be the step before.
            then = bisect_left(played.begins, event.at) - 1
            place = max(turns[event.turn_id], then)
            after = event.at > played.begins[place] + played.steps[place] + SLACK
            said[bound.key(event.call)].add(Said(place, after))
    return {key: sorted(places) for key, places in said.items()}
