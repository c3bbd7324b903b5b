"""Hiding what a policy calls secret: paths into a call's arguments and result, such as `args.card.number`."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from specflow.effects.call import canonical_json
from specflow.effects.result import is_pair
from specflow.sealing.sealed import Place

HIDDEN = "[redacted]"
"""Stands where something was hidden. Anybody may write it: that something is hidden, only its place says."""

_INDEX = re.compile(r"\[(\d+|\*)\]")
_PATH = re.compile(r"(args|result)(\.(\*|[^.\[\]]+))*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hidden:
    """Data without its secrets: `shown` has `HIDDEN` at `places`, where `values` were."""

    shown: Any
    places: tuple[Place, ...] = ()
    values: tuple[Any, ...] = ()


def redacted(root: str, value: object, paths: Iterable[str]) -> Any:
    """A copy of plain data in which everything that `paths` name below `root` (`args` or `result`) is hidden.

    A path that cannot be understood hides everything.

    Raises:
        NotJsonError: when the value is not plain JSON.
    """
    return hide(root, json.loads(canonical_json(value)), paths).shown


def hide(root: str, plain: Any, paths: Iterable[str]) -> Hidden:
    """What `redacted` gives, with what it took out. `plain` is JSON data, and is not changed."""
    found: dict[Place, Any] = {}
    # The same words stand in the content, where no path finds them.
    whole = root == "result" and is_pair(plain)
    for steps in map(_steps, paths):
        if steps is None or steps == (root,) or (whole and steps[0] == root):
            return Hidden(shown=HIDDEN, places=((),), values=(plain,))
        if steps[0] == root:
            found.update(_reached(plain, steps[1:], ()))
    if not found:
        return Hidden(shown=plain)
    # What lies inside something hidden is hidden with it.
    outer = [place for place in found if not any(place[:size] in found for size in range(1, len(place)))]
    shown = copy.deepcopy(plain)
    for place in outer:
        holder = shown
        for step in place[:-1]:
            holder = holder[step]
        holder[place[-1]] = HIDDEN
    return Hidden(shown=shown, places=tuple(outer), values=tuple(found[place] for place in outer))


@lru_cache(maxsize=1024)
def _steps(path: str) -> tuple[str, ...] | None:
    """The path's parts, or None when it cannot be understood."""
    plain = _INDEX.sub(r".\1", path.strip())
    if not _PATH.fullmatch(plain):
        return None
    return tuple(plain.split("."))


def _reached(value: Any, steps: Sequence[str], place: Place) -> Iterator[tuple[Place, Any]]:
    """What lies at the end of `steps`; lists on the way are entered whether named or not."""
    if not steps:
        yield place, value
    elif isinstance(value, list):
        named = steps[0] == "*" or steps[0].isdecimal()
        rest = steps[1:] if named else steps
        every = range(len(value)) if steps[0] == "*" or not named else [int(steps[0])]
        for index in every:
            if index < len(value):
                yield from _reached(value[index], rest, (*place, index))
    elif isinstance(value, dict):
        for key in list(value) if steps[0] == "*" else [steps[0]]:
            if key in value:
                yield from _reached(value[key], steps[1:], (*place, key))
