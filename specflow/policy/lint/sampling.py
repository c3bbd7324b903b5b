"""Calls on which conditions could come out differently, so that what rules do together can be looked at.

Most conditions compare fields with values written out. For those, one value from each interval between the
written values stands for all: what holds on every sample holds on every call (`exact`). Anything beyond
(functions, arithmetic, fields against fields) still gets samples, which can show that something happens,
never that it cannot.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import jsonschema

from specflow.effects.tool import ToolSpec
from specflow.policy.condition import Cel, ConditionError, Scope
from specflow.policy.lint.atoms import Path, atoms_of
from specflow.policy.lint.shape import Schema, look, name_of, types_of

MAX_POINTS = 2_048
"""Calls looked at for one question; where there are more, nothing is concluded from silence."""

ABSENT = object()
"""The field is not there."""

# What a schema may say for its word to be taken: a pattern could accept what is not among the samples.
_UNDERSTOOD = frozenset(
    {"type", "enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
    | {"title", "description", "default", "examples", "format"}
)
_OF_TYPE: Mapping[str, tuple[Any, ...]] = {
    "string": ("x",), "integer": (1,), "number": (1.5,), "boolean": (True, False), "array": ([], ["x"]),
    "object": ({},), "null": (None,),
}  # fmt: skip
_ODD: tuple[Any, ...] = (None, "", 0, True, [], {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """The values to try for each field. `exact`: they stand for all there are.

    `tool` is the one whose schema rules samples out, where there is one.
    """

    values: Mapping[Path, Sequence[Any]]
    exact: bool
    tool: ToolSpec | None = None

    def points(self) -> Iterator[dict[Path, Any]]:
        """Combinations of values, at most `MAX_POINTS`, spread evenly where there are more."""
        paths = list(self.values)
        total = self.size
        # An odd step over the whole, so that every field changes from sample to sample.
        step = 1 if total <= MAX_POINTS else (total // MAX_POINTS) | 1
        for number in range(0, min(total, step * MAX_POINTS), step):
            chosen, rest = {}, number
            for path in paths:
                rest, index = divmod(rest, len(self.values[path]))
                chosen[path] = self.values[path][index]
            if self.tool is None or _possible(self.tool, chosen):
                yield chosen

    @property
    def size(self) -> int:
        """How many combinations there are."""
        total = 1
        for several in self.values.values():
            total *= len(several)
        return total


def space_of(conditions: Iterable[Cel], tool: ToolSpec | None, *, odd: bool = False) -> Space:
    """What to try for everything the conditions read.

    With `tool`, only what its schema accepts; `odd` adds values of the wrong type, which a model may send.
    """
    written: dict[Path, list[Any]] = {}
    exact = True
    for condition in conditions:
        atoms = atoms_of(condition)
        exact = exact and atoms.exact
        for path, literals in atoms.literals.items():
            written.setdefault(path, []).extend(literals)
    values = {path: _values(path, written[path], tool, odd=odd) for path in sorted(written)}
    nested = any(one != other and other[: len(one)] == one for one in values for other in values)
    strict = None if odd else tool
    space = Space(values=values, exact=exact and not nested, tool=strict)
    return space if space.size <= MAX_POINTS else Space(values=values, exact=False, tool=strict)


def _possible(tool: ToolSpec, point: Mapping[Path, Any]) -> bool:
    """Whether every object on the way to a field has the fields that the schema requires of it."""
    said = names(point)
    for path in (path for path in point if path[0] == "args"):
        at: Any = said["args"]
        for end in range(1, len(path) - 1):
            at = at.get(path[end]) if isinstance(at, dict) else None
            required = look(tool.parameters, path[1 : end + 1]).schema.get("required") or ()
            if isinstance(at, dict) and path[end + 1] in required and path[end + 1] not in at:
                return False
    return True


def _values(path: Path, literals: Sequence[Any], tool: ToolSpec | None, *, odd: bool) -> list[Any]:
    shape = look(tool.parameters, path[1:]) if tool is not None and path[0] == "args" else None
    schema: Schema = shape.schema if shape is not None else {}
    numbers = [item for item in [*literals, *_bounds(schema)] if name_of(item) in {"integer", "number"}]
    words = [item for item in literals if isinstance(item, str)]
    found: list[Any] = [*literals, *_around_numbers(sorted(numbers)), *_around_words(words)]
    if any(isinstance(item, bool) for item in literals):
        found += [True, False]
    kinds = types_of(schema, schema)
    for kind in sorted(kinds or _OF_TYPE):
        found += _OF_TYPE.get(kind, ())
    chosen = schema.get("enum")
    found += chosen[:50] if isinstance(chosen, list) else []
    if schema and schema.keys() <= _UNDERSTOOD:
        found = _accepted(schema, found)
    if shape is None or not shape.sure:
        found.append(ABSENT)
    return _distinct([*found, *(_ODD if odd else ())])


def _bounds(schema: Schema) -> Iterator[Any]:
    for word in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
        if name_of(schema.get(word)) in {"integer", "number"}:
            yield schema[word]


def _around_numbers(numbers: Sequence[float]) -> Iterator[float]:
    """One below and one above all, something between each two, and the whole numbers beside each."""
    yield from ((one + other) / 2 for one, other in pairwise(numbers))
    for number in numbers:
        yield from (number - 1, number + 1, math.floor(number) + 1, math.ceil(number) - 1)


def _around_words(words: Sequence[str]) -> list[str]:
    """The next text after each in order, and the empty one, which is before all others."""
    return [*(word + "\x01" for word in words), *([""] if words else [])]


def _accepted(schema: Schema, values: Sequence[Any]) -> list[Any]:
    validator = jsonschema.Draft202012Validator(schema)
    try:
        return [value for value in values if validator.is_valid(value)]
    except Exception:  # noqa: BLE001 - a schema that cannot be used rules nothing out
        return list(values)


def _distinct(values: Iterable[Any]) -> list[Any]:
    kept: list[Any] = []
    for value in values:
        if not any(value is other or (type(value) is type(other) and value == other) for other in kept):
            kept.append(value)
    return kept


def names(point: Mapping[Path, Any]) -> dict[str, Any]:
    """The `args` and `context` that the sample stands for."""
    found: dict[str, Any] = {"args": {}, "context": {}}
    for path, value in point.items():
        if value is ABSENT:
            continue
        at = found
        for step in path[:-1]:
            below = at.get(step)
            # A copy: the values to try are shared by all samples.
            at[step] = at = dict(below) if isinstance(below, dict) else {}
        at[path[-1]] = value
    return found


def holds(condition: Cel, scope: Scope) -> bool | None:
    """Whether the condition holds; None when it cannot be evaluated."""
    try:
        return condition.test(scope)
    except ConditionError:
        return None
