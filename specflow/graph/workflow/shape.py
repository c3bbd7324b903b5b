"""What is known of a value before there is one: a JSON Schema, looked into by field and by index."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter
from typing_extensions import TypedDict

ANY: Mapping[str, Any] = {}

_NUMBERS = frozenset({"integer", "number"})


@dataclass(frozen=True, slots=True)
class Shape:
    """A schema, and the document in which its `$ref` are looked up. An empty schema is anything at all."""

    schema: Mapping[str, Any] = field(default_factory=lambda: ANY)
    root: Mapping[str, Any] = field(default_factory=lambda: ANY)

    @classmethod
    def of(cls, annotation: Any) -> Shape:
        """The shape of a Python type; anything at all where it has no JSON Schema."""
        try:
            schema = adapter_of(annotation).json_schema(mode="serialization")
        except Exception:  # noqa: BLE001 - a type that pydantic does not know says nothing about its values
            return UNKNOWN
        return cls(schema, schema)

    @classmethod
    def of_schema(cls, schema: Mapping[str, Any] | None) -> Shape:
        """The shape that a JSON Schema document describes."""
        return UNKNOWN if schema is None else cls(schema, schema)

    @property
    def known(self) -> bool:
        """Whether anything is known about it."""
        return bool(self._plain().schema)

    def field(self, name: str) -> Shape | None:
        """The shape of a field. None: there certainly is no such field."""
        plain = self._plain()
        properties = plain.schema.get("properties")
        if isinstance(properties, Mapping):
            if name in properties:
                return Shape(properties[name], plain.root)
            rest = plain.schema.get("additionalProperties")
            if isinstance(rest, Mapping):
                return Shape(rest, plain.root)
            return UNKNOWN if rest is True else None
        return None if self.types() and "object" not in self.types() else UNKNOWN

    def item(self) -> Shape | None:
        """The shape of an item of a list. None: it certainly is no list."""
        plain = self._plain()
        if self.types() and "array" not in self.types():
            return None
        items = plain.schema.get("items")
        return Shape(items, plain.root) if isinstance(items, Mapping) else UNKNOWN

    def near(self, name: str) -> str:
        """The field that was probably meant, or nothing."""
        properties = self._plain().schema.get("properties") or {}
        found = difflib.get_close_matches(name, list(properties), n=1)
        return found[0] if found else ""

    def fits(self, wanted: Shape) -> bool:
        """Whether a value of this shape may be given where `wanted` is asked for. Not knowing is a yes."""
        have, want = self.types(), wanted.types()
        if not have or not want:
            return True
        if have & want or ("integer" in have and "number" in want):
            return self._items_fit(wanted) if "array" in have & want else True
        return False

    def _items_fit(self, wanted: Shape) -> bool:
        mine, theirs = self.item(), wanted.item()
        return mine is None or theirs is None or mine.fits(theirs)

    def __str__(self) -> str:
        """The kinds of value in words, for messages."""
        return " or ".join(sorted(self.types())) or "anything"

    def types(self) -> frozenset[str]:
        """The JSON types that it can have; empty when that is not known."""
        plain = self._plain()
        schema = plain.schema
        for word in ("anyOf", "oneOf"):
            options = schema.get(word)
            if isinstance(options, list):
                found = [Shape(option, plain.root).types() for option in options]
                return frozenset().union(*found) if all(found) else frozenset()
        said = schema.get("type")
        if isinstance(said, list):
            return frozenset(said)
        if isinstance(said, str):
            return frozenset({said})
        if "const" in schema:
            return frozenset({_kind(schema["const"])})
        if isinstance(schema.get("enum"), list):
            return frozenset(map(_kind, schema["enum"]))
        return frozenset({"object"}) if "properties" in schema else frozenset()

    def _plain(self) -> Shape:
        """Without `$ref`, and without the wrapping that only adds a description or a null."""
        schema = self.schema
        for _ in range(16):
            reference = schema.get("$ref")
            if isinstance(reference, str):
                schema = _look_up(self.root, reference)
                continue
            wrapped = schema.get("allOf")
            options = [option for option in schema.get("anyOf") or () if option.get("type") != "null"]
            if isinstance(wrapped, list) and len(wrapped) == 1:
                schema = wrapped[0]
            elif len(options) == 1 and "properties" not in schema:
                schema = options[0]
            else:
                break
        return Shape(schema, self.root)


def adapter_of(annotation: Any) -> TypeAdapter[Any]:
    """What validates values of a type; also of `typing.TypedDict`, which pydantic takes from Python 3.12 on.

    Raises:
        PydanticUserError: pydantic does not know it.
    """
    if typing.is_typeddict(annotation):
        hints = typing.get_type_hints(annotation, include_extras=True)
        optional = annotation.__optional_keys__
        fields = {
            name: typing.NotRequired[hint] if name in optional else hint for name, hint in hints.items()
        }
        make: Any = TypedDict
        return TypeAdapter(make(annotation.__name__, fields))
    return TypeAdapter(annotation)


UNKNOWN = Shape()
"""Nothing is known: everything fits."""


def _look_up(root: Mapping[str, Any], reference: str) -> Mapping[str, Any]:
    found: Any = root
    for part in reference.removeprefix("#/").split("/"):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else ANY


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    if value is None:
        return "null"
    kinds = {str: "string", int: "integer", float: "number", list: "array", dict: "object"}
    return kinds.get(type(value), "string")


def shape_of_value(value: object) -> Shape:
    """The shape of a literal."""
    return Shape({"type": _kind(value)}) if value is not None else UNKNOWN
