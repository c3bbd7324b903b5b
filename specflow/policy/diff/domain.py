"""What the fields of a call may hold: from the tool's schema and from the constants of both policies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from specflow.effects.tool import ToolSpec
from specflow.policy.compiled import Plan
from specflow.policy.condition import Cel
from specflow.policy.diff.atoms import Path, atoms, literals
from specflow.policy.diff.near import Absent, around, between
from specflow.policy.diff.schemas import fields_of

MOST_VALUES = 40
UNREADABLE = 2**70
"""A number that no condition can be evaluated over."""

_WRONG: tuple[Any, ...] = (None, "x", 7, True, [], {})
_USUAL: tuple[Any, ...] = (0, 1, "x", "")
_ELSEWHERE = (
    "https://elsewhere.example/x",
    "someone@elsewhere.example",
    "/etc/hosts",
    "one two three four five six",
)


@dataclass(frozen=True, slots=True)
class Domain:
    """Values for every field of a call. `tainted` varies always, the context only where it is read.

    `unvaried` are the fields that could not be, or not well.
    """

    values: Mapping[Path, tuple[Any, ...]]
    unvaried: tuple[str, ...]


def domain(tool: ToolSpec | None, plans: Sequence[Plan]) -> Domain:
    """What to vary for one tool under these plans."""
    schema, unvaried = fields_of(tool.parameters) if tool is not None else ({}, [])
    # What conditions compare a field with comes first: there a boundary is.
    made: dict[Path, list[Any]] = {}
    rest: dict[Path, list[Any]] = {("args", *path): list(values) for path, values in schema.items()}
    for condition in conditions(plans):
        _add_condition(made, rest, condition)
        unvaried += _unsolved(condition)
    for path, values in made.items():
        rest[path] = [*values, *between(values), *rest.get(path, [])]
    for plan in plans:
        for path in _of_undo(plan):
            rest.setdefault(path, list(_USUAL))
        for path, values in _of_before(plan):
            rest[path] = [*values, *rest.get(path, [])]
    places = _contacts(plans)
    texts = [path for path, values in rest.items() if path[0] == "args" and any(map(_is_text, values))]
    for path in texts or [("args", "anything")]:
        rest.setdefault(path, ["x"])[:0] = places
    done = {path: _finished(path, values, unvaried) for path, values in sorted(rest.items())}
    return Domain(values=done, unvaried=tuple(dict.fromkeys(unvaried)))


def conditions(plans: Iterable[Plan]) -> list[Cel]:
    """Every condition of the plans, each text once."""
    found: dict[str, Cel] = {}
    for plan in plans:
        for entry in plan.entries:
            pairs = [(rule.when, rule.unless) for rule in entry.allows]
            pairs += [(rule.when, rule.unless) for rule in entry.requires]
            for condition in (part for pair in pairs for part in pair if part is not None):
                found.setdefault(condition.source, condition)
    return [found[source] for source in sorted(found)]


def _add_condition(made: dict[Path, list[Any]], rest: dict[Path, list[Any]], condition: Cel) -> None:
    constants = literals(condition)
    compared = atoms(condition)
    for path in sorted(condition.paths):
        if len(path) == 1:
            # It reads all arguments at once: names in the text may be names of arguments.
            for name in constants:
                if isinstance(name, str) and name.isidentifier():
                    rest.setdefault((*path, name), [1, "x", True])
            continue
        mine = [value for atom in compared if atom.path == path for value in (*atom.good, *atom.bad)]
        made.setdefault(path, []).extend(value for value in mine if value is not Absent.ABSENT)
        others = [near for value in constants for near in around(value)]
        rest.setdefault(path, []).extend([*_USUAL, *others])


def _unsolved(condition: Cel) -> Iterator[str]:
    for path in sorted(condition.paths):
        if len(path) == 1:
            yield f"{path[0]}: `{_short(condition.source)}` reads all of it at once"
        elif f"{path[-1]}[" in condition.source.replace(" ", ""):
            yield f"{'.'.join(path)}: `{_short(condition.source)}` looks inside it by position"


def _short(source: str) -> str:
    flat = " ".join(source.split())
    return flat if len(flat) <= 60 else f"{flat[:57]}..."


def _of_undo(plan: Plan) -> Iterator[Path]:
    """What the compensator is called with decides whether a call may run early."""
    undo = plan.settings.undo
    if undo is None:
        return
    first = undo.before.arguments.values() if undo.before is not None else ()
    paths = {path for made in (*undo.arguments.values(), *first) for path in made.paths}
    yield from sorted(path for path in paths if path[0] == "args" and len(path) > 1)


def _of_before(plan: Plan) -> Iterator[tuple[Path, list[Any]]]:
    """What the rules of the tool that is read first compare with what this call gives it."""
    undo = plan.settings.undo
    if undo is None or undo.before is None or plan.before is None:
        return
    for name, made in sorted(undo.before.arguments.items()):
        for condition in conditions([plan.before]):
            if any(path[:2] == ("args", name) for path in condition.paths):
                values = [near for value in literals(condition) for near in around(value)]
                yield from ((path, values) for path in sorted(made.paths) if len(path) > 1)


def _contacts(plans: Sequence[Plan]) -> list[str]:
    """Texts that name hosts, addresses and paths: those which the policies declare, and others."""
    found: list[str] = []
    for plan in plans:
        for declared in plan.destinations:
            found += [f"https://{_spelt(host)}/x" for host in declared.host]
            found += [
                _spelt(email) if "@" in email else f"someone@{_spelt(email)}" for email in declared.email
            ]
            found += [f"{path.rstrip('*').rstrip('/')}/x" for path in declared.path]
    return list(dict.fromkeys([*_ELSEWHERE, *sorted(set(found))[:12]]))


def _spelt(pattern: str) -> str:
    return pattern.replace("*.", "any.").replace("*", "any")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _finished(path: Path, values: Sequence[Any], unvaried: list[str]) -> tuple[Any, ...]:
    """Without repetition, bounded, and with wrong types and an unreadable number among them."""
    more = (*_WRONG, UNREADABLE) if path[0] == "args" else _WRONG
    found = list({_key(value): value for value in values}.values())
    room = MOST_VALUES - len(more)
    if len(found) > room:
        unvaried.append(f"{'.'.join(path)}: {room} of {len(found)} values")
        # Half by rank, half evenly from what is left, so that no part of a long policy is passed over.
        head, tail = found[: room // 2], found[room // 2 :]
        found = head + [tail[index * len(tail) // (room - len(head))] for index in range(room - len(head))]
    return tuple({_key(value): value for value in (*found, *more)}.values())


def _key(value: Any) -> str:
    # 1, 1.0 and True are equal in Python, and are not the same argument.
    return f"{type(value).__name__} {value!r}"
