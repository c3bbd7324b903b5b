"""Values near a constant: where comparisons change their answer."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, timedelta
from enum import Enum
from itertools import pairwise
from typing import Any

LONGEST = 4_200
"""Characters of a text made to a wanted size."""
MAX_LIST = 64

_ESCAPED = re.compile(r"\\([^A-Za-z0-9])")
_PLAIN = re.compile(r"[^\\^$.|?*+()\[\]{}]*")
_CLASS = re.compile(r"\[([^\]\\^])[^\]\\]*\](?:\{(\d{1,2})(?:,\d*)?\}|([+*?]))?")


class Absent(Enum):
    """What stands for a field that is not there."""

    ABSENT = "absent"


def around(value: Any) -> list[Any]:
    """The value and what is just beside it."""
    if isinstance(value, bool):
        return [value, not value]
    if isinstance(value, int | float):
        steps = (0, -1, 1, -0.5, 0.5)
        return list(dict.fromkeys(_whole(value + step) for step in steps))
    if isinstance(value, str):
        other_case = value.upper() if value != value.upper() else value.lower()
        beside = [value, f"{value}x", value[:-1], other_case, f" {value}", *_days(value)]
        return list(dict.fromkeys(beside))
    return [value]


def between(values: Iterable[Any]) -> list[float]:
    """A number between each two neighbours that are closer than 1; whole numbers have theirs already."""
    numbers = sorted(
        {value for value in values if isinstance(value, int | float) and not isinstance(value, bool)}
    )
    return [(one + two) / 2 for one, two in pairwise(numbers) if two - one < 1]


def _whole(value: float) -> int | float:
    return int(value) if abs(value) < 2**53 and value == int(value) else value


def _days(text: str) -> list[str]:
    """The day before and after a date, with what follows the date left as it is."""
    try:
        day = date.fromisoformat(text[:10])
        return [f"{day + timedelta(days=step)}{text[10:]}" for step in (-1, 1)]
    except (ValueError, OverflowError):
        return []


def of_size(size: Any) -> list[Any]:
    """A text and a list of that size, as far as that is possible."""
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= LONGEST:
        return []
    return ["x" * size, *([["x"] * size] if size <= MAX_LIST else [])]


def sample_of(pattern: str) -> list[str]:
    """A text that the regular expression finds, when it is simple enough to see one; else nothing."""
    text = pattern.removeprefix("^").removesuffix("$")
    text = _CLASS.sub(_one_of, text)
    text = _ESCAPED.sub(lambda found: "\x00" + found[1], text)
    bare = re.sub("\x00.", "", text)
    return [text.replace("\x00", "")] if _PLAIN.fullmatch(bare) else []


def _one_of(found: re.Match[str]) -> str:
    return re.escape(found[1]) * (int(found[2]) if found[2] else 1)
