"""What a JSON Schema says about a place in a value: there, perhaps there, or not; and of which types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

Schema = Mapping[str, Any]


class Shape(NamedTuple):
    """`present` False: no such field can be; `sure`: it must be there. `types` None: not said."""

    present: bool
    sure: bool
    types: frozenset[str] | None
    options: tuple[str, ...] = ()
    schema: Schema = MappingProxyType({})


_ABSENT = Shape(False, False, None)
_UNSAID = Shape(True, True, None)


def look(schema: Schema | None, path: Sequence[str]) -> Shape:
    """What the schema says about `path`. What it leaves open counts as there, of no known type.

    `options` are the names it knows where the path leaves what it describes.
    """
    root: Schema = schema or {}
    at, sure = resolve(root, root), True
    for step in path:
        properties = at.get("properties")
        if not isinstance(properties, Mapping) or not properties:
            return _UNSAID
        if step not in properties:
            # A schema that lists what there is means it, unless it says that there may be more.
            more = at.get("additionalProperties")
            if more is True or isinstance(more, Mapping):
                return _UNSAID
            return _ABSENT._replace(options=tuple(map(str, properties)))
        sure = sure and step in (at.get("required") or ())
        at = resolve(root, properties[step])
    return Shape(True, sure, types_of(root, at), schema=at)


def resolve(root: Schema, schema: object, *, depth: int = 8) -> Schema:
    """The schema behind `$ref`, and behind `anyOf` with a null beside it; {} when it cannot be followed."""
    if not isinstance(schema, Mapping) or depth == 0:
        return {}
    reference = schema.get("$ref")
    if isinstance(reference, str):
        target: object = root
        for step in reference.removeprefix("#").strip("/").split("/"):
            target = target.get(step) if isinstance(target, Mapping) else None
        return resolve(root, target, depth=depth - 1)
    for word in ("anyOf", "oneOf"):
        several = schema.get(word)
        if isinstance(several, list | tuple):
            real = [
                part for part in several if not (isinstance(part, Mapping) and part.get("type") == "null")
            ]
            return resolve(root, real[0], depth=depth - 1) if len(real) == 1 else {}
    return schema


def types_of(root: Schema, schema: Schema) -> frozenset[str] | None:
    """The types a value may have, null left out; None when the schema does not say."""
    said = schema.get("type")
    if "const" in schema:
        return frozenset({name_of(schema["const"])})
    if isinstance(said, str):
        return frozenset({said})
    if isinstance(said, list | tuple):
        return frozenset(map(str, said)) - {"null"} or None
    chosen = schema.get("enum")
    if isinstance(chosen, list | tuple) and chosen:
        return frozenset(map(name_of, chosen))
    return None


def name_of(value: object) -> str:
    """The JSON type of a value."""
    for kind, name in ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string")):
        if isinstance(value, kind):
            return name
    if value is None:
        return "null"
    return "object" if isinstance(value, Mapping) else "array"


def fits(given: frozenset[str] | None, wanted: frozenset[str] | None) -> bool:
    """Whether a value of one of `given` could be what `wanted` asks for; what is not said always fits."""
    if given is None or wanted is None:
        return True
    # A number may happen to be whole, and JSON does not tell 1 from 1.0.
    widened = given | {"integer"} if "number" in given else given
    return bool(widened & wanted) or ("integer" in given and "number" in wanted)
