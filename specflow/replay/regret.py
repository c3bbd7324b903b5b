"""What could have been saved, beside what was: by knowing everything, and by the guesses that were made."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from specflow.journal.event import CallEvent, EventKind
from specflow.replay.oracle import SLACK, Bound, Guessed, Said
from specflow.replay.simulate import Played
from specflow.replay.sources import Sources
from specflow.replay.steps import Step

BUDGET = "budget"
"""Why a guess is withheld that lacks nothing but room."""

_Made = dict[tuple[str, str], list[float]]
"""When calls were proposed that lacked nothing but room, by turn and match key, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortest:
    """Seconds that a run takes at least: with every allowed call guessed right one step ahead (`oracle`) and
    several steps ahead (`chained`), and the latter had no read outlived its run (`within`) or by whoever
    guesses no results (`known`); with the run's own right guesses, all of them (`own`) and those of them that
    were started (`started`), each at the beginning of the step in which it was made, and the latter each when
    it was made (`said`).
    """

    oracle: float
    chained: float
    within: float
    known: float
    own: float
    started: float
    said: float


def shortest(bound: Bound, steps: Sequence[Step], played: Played) -> Shortest:
    """Of a run that was played under the bound's policy."""
    proposed, launched = played.log.of(EventKind.PROPOSED), played.log.of(EventKind.LAUNCHED)
    ahead = any(event.parent_id for event in proposed)

    def least(events: Iterable[CallEvent], made: _Made | None = None) -> float:
        return sum(bound.steps(steps, _said(bound, played, events, made), chained=ahead))

    made = _made(bound, played)
    return Shortest(
        oracle=sum(bound.steps(steps)),
        chained=sum(bound.steps(steps, chained=True)),
        within=sum(replace(bound, outlives=False).steps(steps, chained=True)),
        known=sum(bound.steps(steps, chained=True, sources=Sources(steps, bound.registry))),
        # What waited for room is started later than it was proposed.
        own=least([*proposed, *launched]),
        started=least(launched),
        said=least(launched, made),
    )


def _made(bound: Bound, played: Played) -> _Made:
    made: _Made = defaultdict(list)
    for event in played.log.events:
        if event.call is None or event.kind not in {EventKind.PROPOSED, EventKind.WITHHELD}:
            continue
        times = made[event.turn_id, bound.key(event.call)]
        if event.kind is EventKind.PROPOSED:
            times.append(event.at)
        elif event.cause != BUDGET and times and times[-1] == event.at:
            times.pop()
    return made


def _said(bound: Bound, played: Played, events: Iterable[CallEvent], made: _Made | None) -> Guessed:
    """When each match key was said so of: in the turn whose guess it was, or in a later step if it was
    foreseen then, on top of a guess of that turn. With `made` also how far that step was when it first was.
    """
    turns = {turn_id: place for place, turn_id in enumerate(played.turns)}
    said: dict[str, set[Said]] = defaultdict(set)
    for event in events:
        if event.call is not None:
            # In the very moment in which a step begins it may still be the step before.
            then = bisect_left(played.begins, event.at) - 1
            place = max(turns[event.turn_id], then)
            ends, key = played.begins[place] + played.steps[place], bound.key(event.call)
            seconds = None
            if made is not None:
                first = next((at for at in made[event.turn_id, key] if at >= played.begins[place]), event.at)
                seconds = _seconds(played, place, min(first, event.at))
            said[key].add(Said(place, event.at > ends + SLACK, seconds))
    return {key: sorted(places) for key, places in said.items()}


def _seconds(played: Played, place: int, at: float) -> float:
    """How far the step was, or (below zero) how long it was until the next one."""
    if at <= played.begins[place] + played.steps[place] + SLACK:
        return max(0.0, at - played.begins[place])
    return min(0.0, at - played.begins[place + 1]) if place + 1 < len(played.begins) else 0.0
