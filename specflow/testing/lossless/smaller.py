"""Cutting a case down: whatever can be left out without its failing less is left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from specflow.testing.lossless.case import Case

NEVER_EMPTY = frozenset({"options", "talks", "agents", "runs"})
TRIES = 400


def shrunk(case: Case, fails: Callable[[Case], bool], *, tries: int = TRIES) -> Case:
    """A smaller case for which `fails` still holds, found in at most `tries` steps."""
    for _ in range(tries):
        smaller = next((one for one in _smaller(case) if _fails(fails, one)), None)
        if smaller is None:
            return case
        case = smaller
    return case


def _fails(fails: Callable[[Case], bool], case: Case) -> bool:
    try:
        return fails(case)
    except Exception:  # noqa: BLE001 - a case cut down to nonsense is not the one we look for
        return False


def _smaller(thing: Any) -> Iterator[Any]:
    """The same with one part left out, or one number made nothing, wherever in it that may be."""
    for field in fields(thing):
        if field.name == "seed":
            continue
        for less in _less(getattr(thing, field.name)):
            if less or field.name not in NEVER_EMPTY:
                yield replace(thing, **{field.name: less})


def _less(value: Any) -> Iterator[Any]:
    if isinstance(value, tuple):
        yield from _shorter(value)
    elif isinstance(value, Mapping):
        yield from ({name: item for name, item in value.items() if name != left} for left in _optional(value))
    elif isinstance(value, frozenset):
        yield from (value - {item} for item in sorted(value))
    elif isinstance(value, float) and value:
        yield 0.0
    elif is_dataclass(value):
        yield from _smaller(value)


def _shorter(value: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    for place in range(len(value)):
        yield (*value[:place], *value[place + 1 :])
    for place, item in enumerate(value):
        for less in _less(item):
            if less or not isinstance(item, tuple):
                yield (*value[:place], less, *value[place + 1 :])


def _optional(value: Mapping[str, Any]) -> list[str]:
    # Arguments are needed; what the policy says of a tool, or how long it takes, is not.
    return [name for name, item in value.items() if not isinstance(item, str | int)]
