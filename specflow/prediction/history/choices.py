"""The values that one parameter may be filled with: those of the paths that it was filled from before."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from functools import lru_cache
from operator import itemgetter

from specflow.prediction.dates import iso_date
from specflow.prediction.history.called import called_as
from specflow.prediction.history.dialogue import Dialogue
from specflow.prediction.history.looks import look
from specflow.prediction.history.tables import Tables

NEWEST = 60
CROWD = 14
"""Values of one path; of more than that, those count more whose record the user has talked about."""

AGAIN = 0.3
"""What a call that was made before is worth beside new ones."""

MISCALLED = 0.03
"""A value that was only called otherwise than the parameter is left out, where that was right less often."""

Choice = tuple[str, float, str]
"""A value, its prior, and its path."""

_SECOND = itemgetter(1)


@lru_cache(maxsize=64)
def days(old: str) -> tuple[Choice, ...]:
    """The days before and after, of a date."""
    if not iso_date(old):
        return ()
    day, found = datetime.date.fromisoformat(old), []
    for more in (1, -1):
        try:
            found.append(((day + datetime.timedelta(days=more)).isoformat(), 0.1, f"copy:{more:+d}d"))
        except OverflowError:
            break
    return tuple(found)


def values(tables: Tables, dialogue: Dialogue, tool: str, parameter: str, most: int) -> list[Choice]:
    """The values that the parameter may be filled with, the likeliest first."""
    best: dict[str, tuple[float, str]] = {}
    used, known = dialogue.used.get((tool, parameter), {}), dialogue.known
    strict, floor = tables.miscalled(tool, parameter) < MISCALLED, 0.0
    for path, weight in tables.paths(tool, parameter):
        place = dialogue.at.get(path)
        if not place or (weight < floor and len(place) <= CROWD):
            continue
        for value, prior in _of_path(dialogue, path, place, weight, used):
            before = best.get(value)
            if before is None:
                if not strict or not called_as(known[value].called, parameter)[1]:
                    best[value] = (prior, path)
            elif prior > before[0]:
                best[value] = (prior, path)
        if len(best) > most:
            # To have been said doubles what a value is worth at most: what is worth less than half of the
            # last one that stays does not stay.
            floor = sorted([prior for prior, _ in best.values()])[-most] / 2
    found = []
    for value, (prior, path) in best.items():
        if prior < floor:
            continue
        seen = look(dialogue, value)
        heard = 2.0 if seen.user else 1.5 if seen.everywhere or seen.model else 1.0
        found.append((value, prior * heard, path))
    found.sort(key=_SECOND, reverse=True)
    return found[:most]


def _of_path(
    dialogue: Dialogue, path: str, place: Mapping[str, int], weight: float, used: Mapping[str, int]
) -> list[tuple[str, float]]:
    """The values of one path and what each is worth: `weight` at most, where they are no crowd."""
    if len(place) > NEWEST:
        place = dict(list(place.items())[-NEWEST:])
    step = dialogue.step
    fresh = len(place) - sum(map(place.__contains__, used)) if used else len(place)
    share = weight / math.sqrt(fresh or 1)
    again = share if path.startswith("arg:") else AGAIN * share
    found = [
        (value, (again if value in used else share) / (1.0 + 0.05 * (step - at)))
        for value, at in place.items()
    ]
    if len(place) <= CROWD:
        return found
    said, known = dialogue.all_user_words, dialogue.known
    return [
        (value, prior * (1 + len(records[-1].words & said)) if (records := known[value].records) else prior)
        for value, prior in found
    ]
