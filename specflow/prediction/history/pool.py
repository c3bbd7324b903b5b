"""The calls of one tool that may come next: values of learned paths, joined where they were joined before."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from operator import attrgetter, itemgetter
from typing import TypeVar

from specflow.prediction.history.choices import AGAIN, Choice, days, values
from specflow.prediction.history.dialogue import Args, Dialogue
from specflow.prediction.history.joins import rows_of
from specflow.prediction.history.remembered import Row, Rows
from specflow.prediction.history.tables import Join, Tables

MOST = 14
JOINS = 2
"""Ways to fill several arguments from one record that are gone through where not all calls are looked at."""

BEAM = 12
LOOSE = 0.2
"""What values are worth together that never stood together."""

WHOLE, PART = 12, 4
"""Calls of one join that fills all arguments, or some."""

SOON, GOES_ON = 2, 2.0
"""So many records behind that of the tool's last call are worth so much more: records are gone through."""

WIDE, NARROW = 14, 6

V = TypeVar("V")

_FIRST, _PRIOR = itemgetter(0), attrgetter("prior")


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
    forms = tables.usual_forms(tool)
    if len(forms) == 1 and len(forms[0][0]) == 1:
        # Each value makes one call, and the best come first.
        ((name,), share) = forms[0]
        best = values(tables, dialogue, tool, name, min(WIDE, most))
        return [Pooled(((name, value),), share * prior, (path,)) for value, prior, path in best]
    for form, share in forms:
        if not form:
            found[()] = Pooled((), share, ())
            continue
        _of_form(tables, dialogue, tool, form, share, found, most)
    ordered = sorted(found.values(), key=_PRIOR, reverse=True)
    if len(ordered) <= most:
        return ordered
    # Priors of whole records, of parts of them, and of single values are not of one kind: none may crowd the
    # others out.
    kinds: tuple[list[Pooled], ...] = ([], [], [])
    for one in ordered:
        kinds[0 if not one.joined else 1 if one.joined < len(one.args) else 2].append(one)
    share = most // len(kinds)
    kept = [one for kind in kinds for one in kind[:share]]
    left = sorted((one for kind in kinds for one in kind[share:]), key=_PRIOR, reverse=True)
    return sorted((*kept, *left[: most - len(kept)]), key=_PRIOR, reverse=True)


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
    most: int,
) -> None:
    if len(form) == 1:
        for value, prior, path in values(tables, dialogue, tool, form[0], min(WIDE, most)):
            _keep(found, Pooled(((form[0], value),), share * prior, (path,)))
        return
    by_name = _ByName(tables, dialogue, tool, min(NARROW, most))
    _joined(tables, dialogue, tool, form, share, by_name, found, most)
    if len(found) >= most < MOST:
        # Not all are looked at, and what stood together comes before what did not.
        return
    if all(by_name[name] for name in form):
        for prior, chosen, paths in _combined(form, by_name, min(BEAM, most), LOOSE):
            args = tuple(zip(form, chosen, strict=True))
            _keep(found, Pooled(args, share * prior, paths))
    _copied(dialogue, tool, form, by_name, found)


class _ByName(dict[str, list[Choice]]):
    """The best values of each parameter of a tool, worked out when they are asked for."""

    def __init__(self, tables: Tables, dialogue: Dialogue, tool: str, most: int) -> None:
        super().__init__()
        self._of, self._most = (tables, dialogue, tool), most

    def __missing__(self, name: str) -> list[Choice]:
        found = self[name] = values(*self._of, name, self._most)
        return found


Partial = tuple[float, tuple[str, ...], tuple[str, ...]]
"""Some arguments of a call: their prior, their values and their paths."""


def _combined(
    names: Sequence[str], by_name: dict[str, list[Choice]], beam: int, prior: float
) -> list[Partial]:
    """The best values together for the parameters of these names, in their order."""
    found: list[Partial] = [(prior, (), ())]
    if len(names) == 1:
        # As below, and as they are in order already.
        return [(prior * its, (value,), (path,)) for value, its, path in by_name[names[0]][:beam]]
    for name in names:
        choices = by_name[name]
        # The tuples are made for those alone that stay.
        grown = [
            (prior * choice[1], at, choice)
            for at, (prior, chosen, _) in enumerate(found)
            for choice in choices
            if choice[0] not in chosen or len(choice[0]) < 2
        ]
        grown.sort(key=_FIRST, reverse=True)
        found = [
            (prior, (*found[at][1], value), (*found[at][2], path))
            for prior, at, (value, _, path) in grown[:beam]
        ]
    return found


def _joined(  # noqa: PLR0917 - one caller, which names them alike
    tables: Tables,
    dialogue: Dialogue,
    tool: str,
    form: tuple[str, ...],
    share: float,
    by_name: dict[str, list[Choice]],
    found: dict[Args, Pooled],
    most: int,
) -> None:
    calls = dialogue.calls.get(tool, ())
    called, last = dict.fromkeys(calls), calls[-1] if calls else ()
    for join, often in tables.usual_joins(tool)[: None if most >= MOST else JOINS]:
        fills = _fills(join, form)
        if fills is None:
            continue
        filled, missing = fills.filled, fills.missing
        if not all(by_name[name] for name in missing):
            continue
        rows = rows_of(dialogue, join)
        if not rows.ordered:
            continue
        begun = rows.by_args.get(tuple([pair for pair in last if pair[0] in filled]))
        share_of_all = 1.5 * share * often
        if missing:
            made, fresh = _part(fills, by_name, rows, called)
        else:
            made, fresh = _whole(fills, rows, called, begun)
        share_of_one = share_of_all / math.sqrt(max(1.0, fresh))
        for one in made:
            one.prior *= share_of_one
            if begun is not None:
                one.ahead = one.turn - begun.turn
                if 0 < one.ahead <= SOON:
                    one.prior *= GOES_ON
            _keep(found, one)


@dataclass(frozen=True, slots=True)
class _Fills:
    """The paths of the parameters that a join fills, in the order of a form too; which others the form has,
    and where.
    """

    filled: Mapping[str, str]
    paths: tuple[str, ...]
    missing: tuple[str, ...]
    places: tuple[int, ...]

    def insert(self, filled: tuple[V, ...], others: Iterable[V]) -> tuple[V, ...]:
        """What belongs to all parameters, of what belongs to those that are filled and to the others."""
        for at, one in zip(self.places, others, strict=True):
            filled = (*filled[:at], one, *filled[at:])
        return filled


@lru_cache(maxsize=1024)
def _fills(join: Join, form: tuple[str, ...]) -> _Fills | None:
    """None where the join fills a parameter that the form does not have."""
    filled = dict(join)
    if not filled.keys() <= set(form):
        return None
    missing = [(at, name) for at, name in enumerate(form) if name not in filled]
    paths = tuple(filled[name] for name in form if name in filled)
    return _Fills(filled, paths, tuple(name for _, name in missing), tuple(at for at, _ in missing))


def _whole(
    fills: _Fills, rows: Rows, called: Iterable[Args], begun: Row | None
) -> tuple[list[Pooled], float]:
    """The best calls that records alone fill, with those of the records behind `begun`, if few; and how many
    of all were not made before.
    """
    old = {args: row for args in called if (row := rows.by_args.get(args))}
    best = [(row.said, row) for row in islice((r for r in rows.ordered if r.args not in old), WHOLE)]
    best += [(row.said * AGAIN, row) for row in old.values()]
    if begun is not None:
        best += [
            (GOES_ON * row.said, row)
            for row in rows.ordered
            if 0 < row.turn - begun.turn <= SOON and row.args not in old
        ]
    best.sort(key=lambda entry: (-entry[0], entry[1].turn))
    many = len(fills.paths)
    made = [Pooled(row.args, prior, fills.paths, many, row.turn) for prior, row in best[:WHOLE]]
    return made, len(rows.ordered) - len(old)


def _part(
    fills: _Fills, by_name: dict[str, list[Choice]], rows: Rows, called: Collection[Args]
) -> tuple[list[Pooled], float]:
    """The best calls with further arguments beside those of a record; and about how many of all are new."""
    made: list[tuple[float, Args, tuple[str, ...], int]] = []
    fresh, best = 0, rows.ordered[:PART]
    missing, few = fills.missing, {name: by_name[name][:3] for name in fills.missing}
    for more, chosen, paths in _combined(missing, few, 3, 1.0):
        taken = set(chosen)
        if len(taken) < len(chosen):
            continue
        others, where = tuple(zip(missing, chosen, strict=True)), fills.insert(fills.paths, paths)
        for row in best:
            # No two arguments of one value: neither those of a record have one, nor the others.
            if taken.isdisjoint(row.values):
                whole = fills.insert(row.args, others)
                again = whole in called
                fresh += not again
                prior = row.said * more
                made.append((prior * AGAIN if again else prior, whole, where, row.turn))
    made.sort(key=_FIRST, reverse=True)
    many = len(fills.paths)
    found = [Pooled(whole, prior, where, many, turn) for prior, whole, where, turn in made[:PART]]
    return found, len(rows.ordered) / len(best) * fresh


def _copied(
    dialogue: Dialogue,
    tool: str,
    form: tuple[str, ...],
    by_name: dict[str, list[Choice]],
    found: dict[Args, Pooled],
) -> None:
    """The arguments of another tool that takes the same; the tool's own last ones with one changed."""
    for other, calls in dialogue.calls.items():
        copied = (f"copy:{other}",) * len(form)
        for args in calls[-3:]:
            if len(args) != len(form) or tuple([name for name, _ in args]) != form:
                continue
            if other != tool:
                _keep(found, Pooled(args, 0.3, copied, len(args)))
                continue
            for at, (name, old) in enumerate(args):
                before, after = args[:at], args[at + 1 :]
                for value, prior, path in (*by_name[name][:5], *days(old)):
                    changed = (*before, (name, value), *after)
                    if value != old and changed not in found:
                        paths = (*copied[:at], path, *copied[at + 1 :])
                        found[changed] = Pooled(changed, prior * 0.3 * LOOSE, paths)
