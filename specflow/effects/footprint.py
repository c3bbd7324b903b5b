"""Footprints: which resources a call reads or writes, as keys such as `seat:TP351` or `order:*`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from specflow.effects.result import seen

Keys = frozenset[str] | None
"""Resource keys; None is undeclared, which overlaps everything."""

_FIELD = re.compile(r"\{([^{}]*)\}")
_SPECIAL = re.compile(r"[*?\[\]]")


def keys(templates: Iterable[str] | None, args: Mapping[str, Any], result: Any = None) -> Keys:
    """The keys that `templates` name for this call.

    A field that is not known (the result before the call has returned, an absent argument) becomes
    `*`: not knowing which resource means all of that kind.
    """
    if templates is None:
        return None
    return frozenset(fill(item, args, result) for item in templates)


def fill(template: str, args: Mapping[str, Any], result: Any = None) -> str:
    """One template with its fields filled in."""
    names = {"args": args, "result": seen(result)}
    return _FIELD.sub(lambda field: _text(field.group(1), names), template)


def reads_result(template: str) -> bool:
    """Whether the key is known only when the call has returned."""
    return any(path.strip().split(".")[0] == "result" for path in _FIELD.findall(template))


def overlap(one: Keys, other: Keys) -> bool:
    """Whether two footprints may share a resource."""
    if one is None or other is None:
        return True
    if not one.isdisjoint(other):
        return True
    return any(_meet(a, b) for a in one for b in other if "*" in a or "*" in b)


def _meet(one: str, other: str) -> bool:
    # Two patterns may also meet in a key that neither of them spells: compare up to the first star.
    if "*" in one and "*" in other:
        head, tail = one.split("*", 1)[0], other.split("*", 1)[0]
        return head.startswith(tail) or tail.startswith(head)
    return fnmatchcase(other, _literal(one)) or fnmatchcase(one, _literal(other))


def _literal(pattern: str) -> str:
    # Only the star is a wildcard; brackets and question marks in a key are just characters.
    return _SPECIAL.sub(lambda mark: mark.group() if mark.group() == "*" else f"[{mark.group()}]", pattern)


def _text(path: str, names: Mapping[str, Any]) -> str:
    value: Any = names
    for part in path.strip().split("."):
        if not isinstance(value, Mapping) or part not in value or value[part] is None:
            return "*"
        value = value[part]
    if isinstance(value, Mapping | list | tuple):
        return "*"
    return str(value)
