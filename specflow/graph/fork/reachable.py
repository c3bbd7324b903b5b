"""What code holds on to: the objects a function can reach without being told of them."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterator
from typing import Any

DEEPEST = 12
MOST = 4_000


def reachable(root: object, wanted: tuple[type, ...], *, into_globals: bool = False) -> list[Any]:
    """Every object of a wanted type that `root` holds: in closures, defaults, wrappers, partials, lists.

    What is found is not searched further. `into_globals` looks at the module's names that the code uses.
    Bounded in depth and number; what lies beyond counts as not held.
    """
    found: list[Any] = []
    seen: set[int] = set()
    queue: list[tuple[object, int]] = [(root, 0)]
    while queue and len(seen) < MOST:
        item, depth = queue.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, wanted):
            found.append(item)
        elif depth < DEEPEST:
            queue.extend((held, depth + 1) for held in _held(item, into_globals=into_globals))
    return found


def _held(item: object, *, into_globals: bool) -> Iterator[object]:
    if isinstance(item, types.FunctionType):
        yield from _cells(item)
        yield from item.__defaults__ or ()
        yield from (item.__kwdefaults__ or {}).values()
        if into_globals:
            yield from (item.__globals__[name] for name in item.__code__.co_names if name in item.__globals__)
    elif isinstance(item, types.MethodType):
        yield from (item.__func__, item.__self__)
    elif isinstance(item, functools.partial):
        yield from (item.func, *item.args, *item.keywords.values())
    elif isinstance(item, list | tuple | set | frozenset):
        yield from item
    elif isinstance(item, dict):
        yield from item.values()
    for name in ("__wrapped__", "func", "afunc", "coroutine", "_wrap_tool_call", "_awrap_tool_call", "bound"):
        held = getattr(item, "__dict__", {}).get(name)
        if held is not None:
            yield held


def _cells(function: Callable[..., Any]) -> Iterator[object]:
    for cell in getattr(function, "__closure__", None) or ():
        try:
            yield cell.cell_contents
        except ValueError:
            continue  # not filled yet
