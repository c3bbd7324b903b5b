"""Values that a JSON Schema suggests for each field: members, boundaries, formats."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from specflow.policy.diff.near import around, of_size

Schema = Mapping[str, Any]
Suggested = dict[tuple[str, ...], list[Any]]
MAX_DEPTH = 4
MAX_FIELDS = 40
_FORMATS: dict[str, list[Any]] = {
    "date": ["2026-01-31", "2026-02-30", "31/01/2026"],
    "date-time": ["2026-01-31T10:00:00Z", "2026-01-31"],
    "time": ["10:00:00", "25:00"],
    "email": ["someone@example.com", "someone"],
    "uri": ["https://elsewhere.example/x", "x"],
    "uuid": ["00000000-0000-4000-8000-000000000000", "x"],
}
_SIMPLE: dict[str, list[Any]] = {
    "boolean": [True, False],
    "integer": [0, 1, -1],
    "number": [0, 1, -1, 0.5],
    "string": ["x", ""],
    "null": [None],
    "array": [[]],
    "object": [{}],
}


def fields_of(parameters: Schema) -> tuple[Suggested, list[str]]:
    """Values for each path below the arguments, and what could not be varied, in words."""
    found: Suggested = {}
    unvaried: list[str] = []
    _walk(parameters, parameters, (), found, unvaried)
    return found, unvaried


def _walk(root: Schema, schema: Schema, path: tuple[str, ...], found: Suggested, unvaried: list[str]) -> None:
    properties = schema.get("properties")
    for name, raw in properties.items() if isinstance(properties, Mapping) else ():
        here = (*path, str(name))
        if len(found) >= MAX_FIELDS:
            unvaried.append(f"args.{'.'.join(here)} and what follows: more than {MAX_FIELDS} fields")
            return
        part = _resolved(root, raw)
        values = _values(root, part, unvaried, ".".join(here), MAX_DEPTH)
        found[here] = values
        for option in _options(root, part):
            if isinstance(option.get("properties"), Mapping):
                if len(here) < MAX_DEPTH:
                    _walk(root, option, here, found, unvaried)
                else:
                    unvaried.append(f"args.{'.'.join(here)}: nested more than {MAX_DEPTH} levels deep")


def _resolved(root: Schema, schema: Any) -> Schema:
    """The schema with references to other places of the same document followed, a few times."""
    for _ in range(8):
        if not isinstance(schema, Mapping):
            return {}
        reference = schema.get("$ref")
        if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
            return schema
        target: Any = root
        for step in reference.split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            target = target.get(name) if isinstance(target, Mapping) else None
        schema = target
    return {}


def _options(root: Schema, schema: Schema) -> list[Schema]:
    """The schema itself, and each member of its unions."""
    found = [schema]
    for word in ("anyOf", "oneOf", "allOf"):
        parts = schema.get(word)
        found += [_resolved(root, part) for part in parts] if isinstance(parts, list | tuple) else []
    return found


def _values(root: Schema, schema: Schema, unvaried: list[str], name: str, depth: int) -> list[Any]:
    """`depth`: how many lists inside lists are still looked into; a schema may hold itself."""
    values: list[Any] = []
    for option in _options(root, schema):
        values += _written(option)
        kinds = option.get("type")
        for kind in [kinds] if isinstance(kinds, str) else kinds if isinstance(kinds, list | tuple) else []:
            values += _of_kind(root, option, str(kind), depth)
            if kind == "object" and not option.get("properties"):
                unvaried.append(f"args.{name}: an object whose fields its schema does not name")
        if isinstance(option.get("pattern"), str):
            unvaried.append(f"args.{name}: texts that fit the pattern of its schema")
    if not values:
        unvaried.append(f"args.{name}: its schema does not say what it holds")
    return values


def _written(schema: Schema) -> list[Any]:
    """What the schema spells out."""
    values: list[Any] = [schema[word] for word in ("const", "default") if word in schema]
    for word in ("enum", "examples"):
        several = schema.get(word)
        values += list(several)[:16] if isinstance(several, list | tuple) else []
    return values


def _of_kind(root: Schema, schema: Schema, kind: str, depth: int) -> list[Any]:
    values = [*_SIMPLE.get(kind, [])]
    if kind in {"integer", "number"}:
        for word in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
            values += around(schema[word]) if isinstance(schema.get(word), int | float) else []
    elif kind == "string":
        values += _FORMATS.get(str(schema.get("format")), [])
        for word in ("minLength", "maxLength"):
            size = schema.get(word)
            values += (
                [item for step in (-1, 0, 1) for item in of_size(size + step)[:1]]
                if isinstance(size, int)
                else []
            )
    elif kind == "array" and depth > 0:
        items = _resolved(root, schema.get("items"))
        inside = [value for value in _values(root, items, [], "", depth - 1) if not isinstance(value, list)][
            :4
        ]
        values += [[value] for value in inside]
        for word in ("minItems", "maxItems"):
            size = schema.get(word)
            if isinstance(size, int) and inside:
                values += [[inside[0]] * step for step in (size - 1, size, size + 1) if 0 <= step <= 64]
    return values
