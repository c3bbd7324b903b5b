"""Where a value of some name stands in what a tool returns, as far as a JSON Schema tells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from specflow.policy.lint.shape import fits, resolve, types_of
from specflow.policy.suggest.undo import dotted
from specflow.policy.suggest.words import split_name

MAX_DEPTH = 3
MAX_PLACES = 2_000
SCALARS = frozenset({"boolean", "integer", "number", "string"})


class Place(NamedTuple):
    """`path`: the keys from the result down to the value. `sure`: it is always there, and never null."""

    path: tuple[str, ...]
    sure: bool
    types: frozenset[str] | None

    def below(self, root: str) -> str:
        """CEL for the value when `root` is CEL for the result; "" when a key is no plain name."""
        made = root
        for key in self.path:
            made = dotted(made, key) if made else ""
        return made


def places(schema: Mapping[str, Any], name: str) -> list[Place]:
    """The fields called `name`, in any spelling of its words, at most three objects deep.

    Lists are not looked into: which of their items was meant is not known.
    """
    words = split_name(name)
    found: list[Place] = []
    whole = resolve(schema, schema)
    # Where recorded results were texts as well as objects, no field is sure.
    waiting = [(whole, Place((), (types_of(schema, whole) or {"object"}) == {"object"}, None))]
    seen = 0
    while waiting:
        part, at = waiting.pop(0)
        inner = part.get("properties")
        required = part.get("required")
        always = required if isinstance(required, list | tuple) else ()
        for key, raw in inner.items() if isinstance(inner, Mapping) else ():
            seen += 1
            if seen > MAX_PLACES:
                return []  # what is not read to its end may hold another field of that name
            field = resolve(schema, raw)
            plain = len(types_of(schema, field) or {""}) == 1 and not nullable(raw)
            sure = at.sure and key in always and plain
            here = Place((*at.path, str(key)), sure, types_of(schema, field))
            if split_name(str(key)) == words:
                found.append(here)
            elif len(here.path) < MAX_DEPTH:
                waiting.append((field, here))
    return found


def chosen(
    schema: Mapping[str, Any], name: str, wanted: Mapping[str, Any], near: frozenset[str]
) -> Place | None:
    """The only place of `name` that fits `wanted`, or the only one of them inside a thing of `near`."""
    taken = types_of(wanted, resolve(wanted, wanted))
    fitting = [place for place in places(schema, name) if fits(place.types, taken)]
    if len(fitting) > 1:
        fitting = [
            place for place in fitting if near & {word for key in place.path[:-1] for word in split_name(key)}
        ]
    return fitting[0] if len(fitting) == 1 else None


def scalar(schema: Mapping[str, Any]) -> str:
    """The type of a result that is a single value; "" for anything else."""
    types = types_of(schema, resolve(schema, schema)) or frozenset()
    return next(iter(types)) if len(types) == 1 and types <= SCALARS else ""


def nullable(schema: object) -> bool:
    """Whether the schema allows null."""
    if not isinstance(schema, Mapping):
        return True
    said = schema.get("type")
    several = [part for word in ("anyOf", "oneOf") for part in _listed(schema.get(word))]
    return said == "null" or "null" in _listed(said) or any(map(nullable, several))


def _listed(value: object) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []
