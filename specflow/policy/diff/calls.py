"""Calls to judge by both policies: those that turn a condition, then every pair of values, then chance."""

from __future__ import annotations

import copy
import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from specflow.effects.call import Call, NotJsonError
from specflow.policy.condition import Cel, ConditionError, Scope
from specflow.policy.diff.atoms import Atom, Path, atoms
from specflow.policy.diff.domain import Domain
from specflow.policy.diff.near import Absent

Chosen = Mapping[Path, Any]
"""The fields that are there, with their values."""

_TRIALS = 160
_FILLS = 3
_MOST_PAIRS = 40_000


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A call with everything it is judged by."""

    call: Call
    context: Mapping[str, Any]
    tainted: bool


@dataclass(slots=True)
class Coverage:
    """Pairs of values of two fields: how many there are, and how many were tried."""

    pairs: int = 0
    covered: int = 0


def asked(tool: str, chosen: Chosen, *, tainted: bool = False) -> Asked | None:
    """The call that these fields make; None when they are not plain JSON."""
    made: dict[str, dict[str, Any]] = {"args": {}, "context": {}}
    # A parent before its children: a child has its place only in an object.
    for path in sorted(chosen, key=lambda item: (len(item), item)):
        inside: Any = made[path[0]]
        for name in path[1:-1]:
            inside = inside.setdefault(name, {})
            if not isinstance(inside, dict):
                break
        else:
            # A copy: a deeper field may be put into it.
            inside[path[-1]] = copy.deepcopy(chosen[path])
    try:
        return Asked(Call(tool=tool, args=made["args"]), made["context"], tainted)
    except NotJsonError:
        return None


def directed(dice: random.Random, domain: Domain, conditions: Sequence[Cel]) -> Iterator[Chosen]:
    """Calls for which one condition is true, false, or cannot be evaluated, among different others."""
    witnesses = {condition.source: _witnesses(dice, domain, condition) for condition in conditions}
    for condition, outcome in itertools.product(conditions, (True, False, None)):
        for chosen in witnesses[condition.source].get(outcome, ()):
            yield chosen
            for _ in range(_FILLS):
                yield {**_others(dice, conditions, witnesses), **chosen}
                yield {**_by_chance(dice, domain), **chosen}
    nothing: list[Chosen] = [{}]
    # Two conditions at a time: a rule and its exception, an allow and the require that catches it.
    for one, two in itertools.combinations(conditions, 2):
        for first, second in itertools.product((True, False, None), repeat=2):
            mine = witnesses[one.source].get(first) or nothing
            other = witnesses[two.source].get(second) or nothing
            yield {**_by_chance(dice, domain), **dice.choice(other), **dice.choice(mine)}
            yield {**dice.choice(mine), **dice.choice(other)}


Witnesses = Mapping[bool | None, Sequence[Chosen]]


def _others(
    dice: random.Random, conditions: Sequence[Cel], witnesses: Mapping[str, Witnesses]
) -> dict[Path, Any]:
    """Fields for which most conditions are false, as far as they can be so together."""
    made: dict[Path, Any] = {}
    for condition in dice.sample(conditions, len(conditions)):
        made.update(dice.choice(witnesses[condition.source].get(False, [{}])))
    return made


def _witnesses(dice: random.Random, domain: Domain, condition: Cel) -> dict[bool | None, list[Chosen]]:
    """Up to four ways for the condition to come out each way, over the fields it reads."""
    found: dict[bool | None, list[Chosen]] = {}
    by_path: dict[Path, list[Atom]] = {}
    for atom in atoms(condition):
        by_path.setdefault(atom.path, []).append(atom)
    paths = sorted({*by_path, *(path for path in condition.paths if len(path) > 1)} & domain.values.keys())
    for trial in range(_TRIALS):
        goodness = (1.0, 0.0, 0.5, 0.8)[trial % 4]
        chosen: dict[Path, Any] = {}
        for path in paths:
            value = _for_path(dice, domain, path, by_path.get(path, []), goodness)
            if value is not Absent.ABSENT:
                chosen[path] = value
        outcome = _outcome(condition, chosen)
        kept = found.setdefault(outcome, [])
        if len(kept) < 4 and chosen not in kept:
            kept.append(chosen)
        if len(found) == 3 and all(len(several) == 4 for several in found.values()):
            break
    return found


def _for_path(dice: random.Random, domain: Domain, path: Path, mine: Sequence[Atom], goodness: float) -> Any:
    chance = dice.random()
    if chance < 0.08:
        return Absent.ABSENT
    if not mine or chance < 0.16:
        return dice.choice(domain.values[path])
    atom = dice.choice(mine)
    options = atom.good if dice.random() < goodness else atom.bad
    return dice.choice(options or domain.values[path])


def _outcome(condition: Cel, chosen: Chosen) -> bool | None:
    made = asked("x", chosen)
    try:
        if made is None:
            return None
        return condition.test(Scope({"args": dict(made.call.args), "context": dict(made.context)}))
    except ConditionError:
        return None


def _by_chance(dice: random.Random, domain: Domain) -> dict[Path, Any]:
    """Every field absent or with any of its values; small and large calls alike."""
    share = dice.choice((0.3, 0.7, 0.95))
    return {path: dice.choice(values) for path, values in domain.values.items() if dice.random() < share}


def pairwise(dice: random.Random, domain: Domain, coverage: Coverage) -> Iterator[Chosen]:
    """Calls until every two values of every two fields have met, absence being a value as well."""
    paths = list(domain.values)
    values = [(*domain.values[path], Absent.ABSENT) for path in paths]
    sizes = [len(several) for several in values]
    coverage.pairs = sum(one * two for one, two in itertools.combinations(sizes, 2))
    todo = dict.fromkeys(_pairs(dice, sizes, coverage.pairs))
    while todo:
        one, left, two, right = next(iter(todo))
        picks = {one: left, two: right}
        for index in dice.sample(range(len(paths)), len(paths)):
            if index not in picks:
                picks[index] = _best(dice, index, len(values[index]), picks, todo)
        for first, second in itertools.combinations(sorted(picks), 2):
            if todo.pop((first, picks[first], second, picks[second]), 0) is None:
                coverage.covered += 1
        yield {
            paths[index]: values[index][pick]
            for index, pick in picks.items()
            if values[index][pick] is not Absent.ABSENT
        }


def _pairs(dice: random.Random, sizes: Sequence[int], total: int) -> list[tuple[int, int, int, int]]:
    """Pairs of (field, value) and (field, value) in a random order; a part of them where they are many."""
    if total > _MOST_PAIRS:
        fields = [sorted(dice.sample(range(len(sizes)), 2)) for _ in range(_MOST_PAIRS)]
        return [(one, dice.randrange(sizes[one]), two, dice.randrange(sizes[two])) for one, two in fields]
    pairs = [
        (one, left, two, right)
        for one, two in itertools.combinations(range(len(sizes)), 2)
        for left in range(sizes[one])
        for right in range(sizes[two])
    ]
    dice.shuffle(pairs)
    return pairs


def _best(
    dice: random.Random,
    index: int,
    size: int,
    picks: Mapping[int, int],
    todo: Mapping[tuple[int, int, int, int], None],
) -> int:
    """Of a few values, the one that meets the most others for the first time."""
    options = [dice.randrange(size) for _ in range(4 if len(picks) < 12 else 2)]

    def gain(pick: int) -> int:
        return sum(
            ((index, pick, other, value) if index < other else (other, value, index, pick)) in todo
            for other, value in picks.items()
        )

    return max(options, key=gain)


def by_chance(dice: random.Random, domain: Domain) -> Iterator[Chosen]:
    """Without end."""
    while True:
        yield _by_chance(dice, domain)
