"""The calls of one tool that may come next: values of learned paths, joined where they were joined before."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from specflow.prediction.dates import iso_date
from specflow.prediction.history.dialogue import Args, Dialogue
from specflow.prediction.history.joins import rows_of
from specflow.prediction.history.looks import look
from specflow.prediction.history.remembered import Rows
from specflow.prediction.history.tables import Tables

MOST = 14
BEAM = 12
NEWEST = 60
LOOSE = 0.2
"""What values are worth together that never stood together."""

WHOLE, PART = 12, 4
"""Calls of one join that fills all arguments, or some."""

AGAIN = 0.3
"""What a call that was made before is worth beside new ones."""

WIDE, NARROW = 14, 6


@dataclass(slots=True)
class Pooled:
    """A call that may be next. `paths` say where each argument is from; `prior` orders those of a tool.

    Of `joined` arguments `turn` says which of the records it is that they are from, and `ahead` how many
    records behind that of the tool's last call it comes (0: there is none).
    """

    args: Args
    prior: float
    paths: tuple[str, ...]
    joined: int = 0
    turn: int = -1
    ahead: int = 0


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
    joined = [one for one in ordered if one.joined][: 2 * most // 3]
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
        choices = by_name[name]
        # The dictionaries are made for those alone that stay.
        grown = [
            (prior * choice[1], at, choice)
            for at, (prior, args, _) in enumerate(begun)
            for choice in choices
            if choice[0] not in args.values() or len(choice[0]) < 2
        ]
        grown.sort(key=lambda one: -one[0])
        begun = [
            (prior, {**begun[at][1], name: value}, {**begun[at][2], name: path})
            for prior, at, (value, _, path) in grown[:beam]
        ]
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
    calls = dialogue.calls.get(tool, ())
    called, last = dict.fromkeys(calls), calls[-1] if calls else ()
    for join, often in tables.usual_joins(tool):
        filled = dict(join)
        missing = tuple(name for name in form if name not in filled)
        if not filled.keys() <= set(form) or not all(by_name[name] for name in missing):
            continue
        rows = rows_of(dialogue, join)
        if not rows.ordered:
            continue
        begun = rows.by_args.get(tuple([pair for pair in last if pair[0] in filled]))
        share_of_all = 1.5 * share * often
        if missing:
            made, fresh = _part(dialogue, tool, form, filled, missing, by_name, rows)
        else:
            made, fresh = _whole(form, filled, rows, called)
        share_of_one = share_of_all / math.sqrt(max(1.0, fresh))
        for one in made:
            one.prior *= share_of_one
            if begun is not None:
                one.ahead = one.turn - begun.turn
            _keep(found, one)


def _whole(
    form: tuple[str, ...], filled: dict[str, str], rows: Rows, called: Iterable[Args]
) -> tuple[list[Pooled], float]:
    """The best calls that records alone fill; and how many of all were not made before."""
    where = tuple(filled[name] for name in form)
    old = {args: row for args in called if (row := rows.by_args.get(args))}
    best = [(row.said, row) for row in islice((r for r in rows.ordered if r.args not in old), WHOLE)]
    best += [(row.said * AGAIN, row) for row in old.values()]
    best.sort(key=lambda entry: (-entry[0], entry[1].turn))
    made = [Pooled(row.args, prior, where, len(filled), row.turn) for prior, row in best[:WHOLE]]
    return made, len(rows.ordered) - len(old)


def _part(  # noqa: PLR0917 - one caller, which names them alike
    dialogue: Dialogue,
    tool: str,
    form: tuple[str, ...],
    filled: dict[str, str],
    missing: tuple[str, ...],
    by_name: dict[str, list[Choice]],
    rows: Rows,
) -> tuple[list[Pooled], float]:
    """The best calls with further arguments beside those of a record; and about how many of all are new."""
    made, fresh, best = [], 0, rows.ordered[:PART]
    few = {name: by_name[name][:3] for name in missing}
    place = {name: at for at, name in enumerate(filled)}
    for more, rest, paths in _combined([(1.0, {}, filled)], missing, few, 3):
        where = tuple([paths[name] for name in form])
        pairs = [((name, rest[name]), 0) if name in rest else (None, place[name]) for name in form]
        taken = set(rest.values())
        for row in best:
            # No two arguments of one value: neither those of a record have one, nor the others.
            if len(taken) < len(rest) or any(value in taken for _, value in row.args):
                continue
            whole = tuple([pair or row.args[at] for pair, at in pairs])
            again = (tool, whole) in dialogue.made
            fresh += not again
            prior = row.said * more
            made.append(Pooled(whole, prior * AGAIN if again else prior, where, len(filled), row.turn))
    made.sort(key=lambda one: -one.prior)
    return made[:PART], len(rows.ordered) / len(best) * fresh


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
        newest = list(place.items())[-NEWEST:]
        crowd = len(newest) > WIDE
        fresh = sum(value not in used for value, _ in newest) if used else len(newest)
        share = weight / math.sqrt(fresh or 1)
        again = share if path.startswith("arg:") else AGAIN * share
        for value, at in newest:
            prior = (again if value in used else share) / (1.0 + 0.05 * (step - at))
            if crowd and (records := dialogue.known[value].records):
                prior *= 1 + len(records[-1].words & said)
            known = best.get(value)
            if known is None or prior > known[0]:
                best[value] = (prior, path)
    found = []
    for value, (prior, path) in best.items():
        seen = look(dialogue, value)
        found.append(
            (value, prior * (2.0 if seen.user else 1.5 if seen.model or seen.everywhere else 1.0), path)
        )
    found.sort(key=lambda one: -one[1])
    return found[:most]
