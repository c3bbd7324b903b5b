"""About how many bytes a result takes up while it waits for its adoption."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

MOST_PARTS = 10_000
"""Parts of a value that are looked at; what is larger is taken to go on like that."""


def weight(value: Any) -> int:
    """Bytes, estimated: text and bytes by length, containers by what is in them. Never raises."""
    total, seen, left = 0, 0, [value]
    while left:
        if seen >= MOST_PARTS:
            return total * (seen + len(left)) // seen
        item = left.pop()
        seen += 1
        total += _own(item)
        if isinstance(item, Mapping):
            left.extend(item.keys())
            left.extend(item.values())
        elif isinstance(item, list | tuple | set | frozenset):
            left.extend(item)
    return total


def _own(item: Any) -> int:
    try:
        return sys.getsizeof(item)
    except Exception:  # noqa: BLE001 - an object of somebody else's that cannot say
        return 64
