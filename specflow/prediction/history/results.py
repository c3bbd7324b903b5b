"""The values in a tool's result, each with the path that leads to it and the record it stands in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from specflow.prediction.history.mentions import outline
from specflow.prediction.history.seen import MAX_VALUE, Record, Seen, text_of
from specflow.prediction.history.words import plain_words
from specflow.prediction.tool_words import shape
from specflow.prediction.values import find_values
from specflow.prediction.words import tokens

MAX_RESULT = 200_000
MAX_SCALARS = 700
MAX_ITEMS = 60
MAX_DEPTH = 12
MAX_PLAIN = 2_000
_FIELD = re.compile(r"[A-Za-z_]{1,40}")
_TITLES = (".name", ".title", ".label", ".subject")
_CODE = re.compile(r"[A-Z]{2,5}")


def values_in(tool: str, text: str) -> tuple[Seen, ...]:
    """The values of a result as the model saw it, in its order; at most 700.

    A path says how to get there and never what was found: keys that look like data are a `*`, items of a
    list a `[*]`.
    """
    return _values(tool, text) if len(text) <= MAX_RESULT else ()


@lru_cache(maxsize=256)
def _values(tool: str, text: str) -> tuple[Seen, ...]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        data = None
    if isinstance(data, dict | list):
        return tuple(_Walk(tool).over(data))
    return tuple(_plain(tool, text))


def _plain(tool: str, text: str) -> Iterator[Seen]:
    if 0 < len(text) <= MAX_VALUE and "\n" not in text:
        yield Seen(f"{tool}:$", text)
    for value in find_values(tokens(text[:MAX_PLAIN])):
        if any(letter.isdigit() for letter in value.text):
            yield Seen(f"{tool}:~{outline(value.text)}", value.text)


class _Walk:
    def __init__(self, tool: str) -> None:
        self._tool = tool
        self._left = MAX_SCALARS

    def over(self, data: Any) -> Iterator[Seen]:
        return self._any(data, "$", None, 0)

    def _any(self, data: Any, path: str, record: Record | None, depth: int) -> Iterator[Seen]:
        if depth > MAX_DEPTH or self._left <= 0:
            return
        if isinstance(data, dict):
            yield from self._object(data, path, record, depth)
        elif isinstance(data, list):
            if 1 < len(data) <= 20 and not any(isinstance(item, dict | list) for item in data):
                yield from self._scalar(data, f"{path}[]", record)
            for item in data[:MAX_ITEMS]:
                yield from self._any(item, f"{path}[*]", record, depth + 1)
        else:
            yield from self._scalar(data, path, record)

    def _object(self, data: dict[str, Any], path: str, above: Record | None, depth: int) -> Iterator[Seen]:
        record = Record()
        many = _is_table(data)
        for key, value in data.items():
            if self._left <= 0:
                return
            named = not many and _FIELD.fullmatch(key) and not _CODE.fullmatch(key)
            inner = record
            if not named:
                inner = Record(words=set(plain_words(key)), title=plain_words(key))
                yield from self._scalar(key, f"{path}.*key", inner)
            below = f"{path}.{key}" if named else f"{path}.*"
            # What stands around a nested object says what that one is about, too.
            yield from self._any(value, below, inner, depth + 1)
        if above is not None and len(above.words) < 40:
            above.words |= record.words
        record.words |= above.words if above is not None and len(above.words) < 12 else set()

    def _scalar(self, value: Any, path: str, record: Record | None) -> Iterator[Seen]:
        text = text_of(value)
        if value is None or not 0 < len(text) <= (MAX_VALUE if not isinstance(value, list) else 400):
            return
        self._left -= 1
        path = f"{self._tool}:{path}"
        if record is not None:
            record.fields[path] = text
            if isinstance(value, str) and len(record.words) < 60:
                record.words.update(plain_words(text))
                if not record.title and path.endswith(_TITLES):
                    record.title = plain_words(text)
        yield Seen(path, text, record)


def _is_table(data: dict[str, Any]) -> bool:
    """Whether the keys are data themselves: many of them, with values that all look alike."""
    if len(data) > 12 and len({type(value) for value in data.values()}) == 1:
        return True
    scalars = [value for value in data.values() if isinstance(value, str)]
    return len(scalars) == len(data) > 3 and len({shape(value) for value in scalars}) == 1
