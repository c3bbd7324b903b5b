"""A value that came up: on which path, and in which record."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

MAX_VALUE = 80
"""Characters of a value that may become an argument; longer ones are text."""


@dataclass(slots=True)
class Record:
    """Values that stood together: an object of a result, a name, the arguments of one call.

    `fields` is path -> value. `words` are those of its texts, which tell what it is about, `title` those of
    what it is called.
    """

    fields: dict[str, str] = field(default_factory=dict)
    words: set[str] = field(default_factory=set)
    title: frozenset[str] = frozenset()


@dataclass(slots=True)
class Seen:
    """`value` is the text of the JSON value that came up on `path`. Never changed.

    `cue` is the stem of a word that it was called by, for paths that count only where a parameter of some
    tool is called so, too.
    """

    path: str
    value: str
    record: Record | None = None
    cue: str = ""


def text_of(value: Any) -> str:
    """One text for each JSON value: equal numbers have equal texts."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def typed(text: str, kind: str) -> Any:
    """The JSON value of a text where a parameter of that JSON type wants it; the text where it is none."""
    if kind in {"", "string"}:
        return text
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return float(value) if kind == "number" and isinstance(value, int) and value is not True else value
