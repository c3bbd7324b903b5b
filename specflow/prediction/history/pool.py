"""The calls of one tool that may come next: values of learned paths, joined where they were joined before."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator
from dataclasses import dataclass

from specflow.prediction.dates import iso_date
from specflow.prediction.history.dialogue import Args, Dialogue
from specflow.prediction.history.looks import look
from specflow.prediction.history.tables import Join, Tables

MOST = 24
BEAM = 24
NEWEST = 60
LOOSE = 0.2
"""What values are worth together that never stood together."""

WHOLE, PART = 12, 6
"""Calls of one join that fills all arguments, or some."""

WIDE, NARROW = 14, 6


@dataclass(slots=True)
class Pooled:
    """A call that may be next. `paths` say where each argument is from; `prior` orders those of a tool."""

    args: Args
    prior: float
    paths: tuple[str, ...]
    joined: int = 0
    turn: int = -1


def pool(tables: Tables, dialogue: Dialogue, tool: str, *, most: int = MOST) -> list[Pooled]:
    """At most `most` calls of the tool, the likeliest by their paths first."""
    found: dict[Args, Pooled] = {}
    for form, share in tables.usual_forms(tool):
        if not form:
            found[()] = Pooled((), share, ())
            continue
        _of_form(tables, dialogue, tool, form, share, found)
    ordered = sorted(found.values(), key=lambda one: -one.prior)
    if len(ordered) <= most:
        return ordered
    # Priors of joined and of single values are not of one kind: neither may crowd the other out.
    joined = [one for one in ordered if one.joined][: most // 2]
    single = [one for one in ordered if not one.joined][: most - len(joined)]
    return sorted((*joined, *single), key=lambda one: -one.prior)


def _keep(found: dict[Args, Pooled], one: Pooled) -> None:
    known = found.get(one.args)
    if known is None or one.prior > known.prior:
        found[one.args] = one


def _of_form(  # noqa: PLR0917 - one caller, which names them alike
    tables: Tables,
    dialogue: Dialogue,
    tool: str,
    form: tuple[str, ...],
    share: float,
    found: dict[Args, Pooled],
) -> None:
    if len(form) == 1:
        for value, prior, path in values(tables, dialogue, tool, form[0], WIDE):
            _keep(found, Pooled(((form[0], value),), share * prior, (path,)))
        return
    by_name = {name: values(tables, dialogue, tool, name, NARROW) for name in form}
    _joined(tables, dialogue, tool, form, share, by_name, found)
    if all(by_name.values()):
        for prior, args, paths in _combined([(LOOSE, {}, {})], form, by_name, BEAM):
            _keep(found, _pooled(args, share * prior, paths, 0))
    _copied(dialogue, tool, form, by_name, found)


Choice = tuple[str, float, str]
"""A value, its prior, and its path."""

Partial = tuple[float, dict[str, str], dict[str, str]]
"""A call with some of its arguments: its prior, values by parameter, paths by parameter."""

ALONE: Partial = (1.0, {}, {})
"""Nothing that is to be added."""


def _pooled(args: dict[str, str], prior: float, paths: dict[str, str], joined: int) -> Pooled:
    names = sorted(args)
    return Pooled(
        tuple((name, args[name]) for name in names),
        prior,
        tuple(paths[n] for n in names),
        joined,
    )


def _combined(
    begun: list[Partial],
    names: tuple[str, ...],
    by_name: dict[str, list[Choice]],
    beam: int,
) -> list[Partial]:
    for name in names:
        begun = sorted(
            (
                (prior * more, {**args, name: value}, {**paths, name: path})
                for prior, args, paths in begun
                for value, more, path in by_name[name]
                if value not in args.values() or len(value) < 2
            ),
            key=lambda one: -one[0],
        )[:beam]
    return begun


def _joined(  # noqa: PLR0917 - one caller, which names them alike
    tables: Tables,
    dialogue: Dialogue,
    tool: str,
    form: tuple[str, ...],
    share: float,
    by_name: dict[str, list[Choice]],
    found: dict[Args, Pooled],
) -> None:
    for join, often in tables.usual_joins(tool):
        filled = dict(join)
        missing = tuple(name for name in form if name not in filled)
        if not filled.keys() <= set(form) or not all(by_name[name] for name in missing):
            continue
        rows = [
            (1.0 + sum(look(dialogue, value).user for value in args.values()), turn, args)
            for turn, args in enumerate(_of_records(dialogue, join))
        ]
        made, scale, many = [], 1.0, len(rows)
        if missing:
            few = {name: by_name[name][:2] for name in missing}
            rows = sorted(rows, key=lambda row: -row[0])[:PART]
            scale = many / len(rows) if rows else 1.0
        for more, rest, paths in _combined([(1.0, {}, filled)], missing, few, 2) if missing else [ALONE]:
            where = tuple((paths or filled)[name] for name in form if name in filled or name in rest)
            for said, turn, args in rows:
                values = args if not rest else {**args, **rest}
                if len(set(values.values())) == len(values):
                    whole = tuple((name, values[name]) for name in form if name in values)
                    made.append(Pooled(whole, said * more, where, len(join), turn))
        fresh = 0
        for one in made:
            if (tool, one.args) in dialogue.made:
                one.prior *= 0.3
            else:
                fresh += 1
        made.sort(key=lambda one: -one.prior)
        share_of_one = 1.5 * share * often / math.sqrt(max(1.0, scale * fresh))
        for one in made[: PART if missing else WHOLE]:
            one.prior *= share_of_one
            _keep(found, one)


def _of_records(dialogue: Dialogue, join: Join) -> Iterator[dict[str, str]]:
    """The arguments that each record fills, in the order of the records, each but once."""
    done: set[tuple[str, ...]] = set()
    for record in dialogue.records.get(join[0][1], ()):
        fields = record.fields
        if all(path in fields for _, path in join):
            args = {name: fields[path] for name, path in join}
            key = tuple(args.values())
            if key not in done and len(set(key)) == len(key):
                done.add(key)
                yield args


def _copied(
    dialogue: Dialogue,
    tool: str,
    form: tuple[str, ...],
    by_name: dict[str, list[Choice]],
    found: dict[Args, Pooled],
) -> None:
    """The arguments of another tool that takes the same; the tool's own last ones with one changed."""
    for other, calls in dialogue.calls.items():
        for args in calls[-3:]:
            if tuple(name for name, _ in args) != form:
                continue
            if other != tool:
                _keep(found, Pooled(args, 0.3, (f"copy:{other}",) * len(args), len(args)))
                continue
            for at, (name, old) in enumerate(args):
                for value, prior, path in (*by_name[name][:5], *_days(old)):
                    if value != old:
                        changed = (*args[:at], (name, value), *args[at + 1 :])
                        paths = tuple(path if n == name else f"copy:{tool}" for n, _ in args)
                        if changed not in found:
                            found[changed] = Pooled(changed, prior * 0.3 * LOOSE, paths, 0)


def _days(old: str) -> Iterator[Choice]:
    """The days before and after, of a date."""
    if iso_date(old):
        day = datetime.date.fromisoformat(old)
        for more in (1, -1):
            try:
                yield (
                    (day + datetime.timedelta(days=more)).isoformat(),
                    0.1,
                    f"copy:{more:+d}d",
                )
            except OverflowError:
                return


def values(tables: Tables, dialogue: Dialogue, tool: str, parameter: str, most: int) -> list[Choice]:
    """The values that the parameter may be filled with, the likeliest first."""
    best: dict[str, tuple[float, str]] = {}
    used = dialogue.used.get((tool, parameter), {})
    said, step = dialogue.all_user_words, dialogue.step
    for path, weight in tables.paths(tool, parameter):
        place = dialogue.at.get(path)
        if not place:
            continue
        newest = list(place) if len(place) <= NEWEST else list(place)[-NEWEST:]
        crowd = len(newest) > most
        fresh = sum(value not in used for value in newest) if used else len(newest)
        share = weight / math.sqrt(fresh or 1)
        again = 1.0 if path.startswith("arg:") else 0.3
        for value in newest:
            prior = share / (1.0 + 0.05 * (step - place[value]))
            if value in used:
                prior *= again
            if crowd and (records := dialogue.known[value].records):
                prior *= 1 + len(records[-1].words & said)
            known = best.get(value)
            if known is None or prior > known[0]:
                best[value] = (prior, path)
    found = []
    for value, (prior, path) in best.items():
        seen = look(dialogue, value)
        found.append((value, prior * (1.6 if seen.user else 1.3 if seen.model else 1.0), path))
    found.sort(key=lambda one: -one[1])
    return found[:most]
