"""A JSON Schema grown from examples: types, fields, and which fields were always there. No value is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from specflow.policy.lint.shape import name_of

MAX_FIELDS = 200
"""With more names than this an object is a table by key, and no name in it means anything."""
MAX_DEPTH = 6
MAX_ITEMS = 50


@dataclass(slots=True, kw_only=True)
class Seen:
    """What stood at one place of the examples so far."""

    count: int = 0
    types: dict[str, int] = field(default_factory=dict)
    fields: dict[str, Seen] = field(default_factory=dict)
    items: Seen | None = None
    table: bool = False

    def add(self, value: object, *, depth: int = MAX_DEPTH) -> None:
        """Take one example in."""
        self.count += 1
        kind = name_of(value)
        self.types[kind] = self.types.get(kind, 0) + 1
        if isinstance(value, Mapping) and depth:
            self._fields(value, depth)
        elif isinstance(value, list | tuple) and depth:
            self.items = self.items or Seen()
            for item in value[:MAX_ITEMS]:
                self.items.add(item, depth=depth - 1)

    def _fields(self, value: Mapping[Any, object], depth: int) -> None:
        for key, inner in value.items():
            if self.table or (len(self.fields) >= MAX_FIELDS and str(key) not in self.fields):
                self.table = True
                self.fields.clear()
                return
            self.fields.setdefault(str(key), Seen()).add(inner, depth=depth - 1)

    def schema(self) -> dict[str, Any]:
        """As JSON Schema. A field is required that every object here had; nothing is said to be absent."""
        names = sorted(self.types)
        made: dict[str, Any] = {"type": names[0] if len(names) == 1 else names}
        objects = self.types.get("object", 0)
        always = sorted(key for key, seen in self.fields.items() if seen.count == objects)
        # Objects with no name in common are tables by key, such as cards by their number.
        if always:
            made["properties"] = {key: seen.schema() for key, seen in sorted(self.fields.items())}
            made["required"] = always
            made["additionalProperties"] = True
        if self.items is not None and self.items.count:
            made["items"] = self.items.schema()
        return made
