"""A quick yes for arguments that fit a plain schema; anything else is for the real validator to judge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_ANNOTATIONS = frozenset({"description", "title", "default", "examples", "format"})
_OF_OBJECT = _ANNOTATIONS | {"type", "properties", "required", "additionalProperties"}
_OF_PARAMETER = _ANNOTATIONS | {"type", "enum"}
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


class PlainSchema:
    """Knows of the parameters whose schemas say no more than a type and, for text, an enumeration."""

    __slots__ = ("_allowed", "_required")

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        properties = parameters.get("properties")
        plain = _OF_OBJECT.issuperset(parameters) and parameters.get("type") == "object"
        self._required = frozenset(parameters.get("required") or ())
        self._allowed: dict[str, tuple[tuple[type, ...], frozenset[str] | None]] = {}
        for name, schema in properties.items() if plain and isinstance(properties, Mapping) else ():
            allowed = _allowed(schema) if isinstance(schema, Mapping) else None
            if allowed is not None:
                self._allowed[name] = allowed

    def surely_fits(self, args: Mapping[str, Any]) -> bool:
        """Whether the arguments fit beyond doubt. False says nothing."""
        if not args.keys() >= self._required:
            return False
        for name, value in args.items():
            types, enum = self._allowed.get(name, ((), None))
            if type(value) not in types or (enum is not None and value not in enum):
                return False
        return bool(args)


def _allowed(schema: Mapping[str, Any]) -> tuple[tuple[type, ...], frozenset[str] | None] | None:
    kind = schema.get("type")
    if not isinstance(kind, str) or kind not in _TYPES or not _OF_PARAMETER.issuperset(schema):
        return None
    enum = schema.get("enum")
    if enum is None and "enum" not in schema:
        return _TYPES[kind], None
    if kind == "string" and isinstance(enum, list) and all(isinstance(item, str) for item in enum):
        return _TYPES[kind], frozenset(enum)
    return None
