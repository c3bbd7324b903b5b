"""Hiding what a policy calls secret: paths into a call's arguments and result, such as `args.card.number`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from specflow.effects.call import canonical_json

HIDDEN = "[redacted]"

_INDEX = re.compile(r"\[(\d+|\*)\]")
_PATH = re.compile(r"(args|result)(\.(\*|[^.\[\]]+))*")


def redacted(root: str, value: object, paths: Iterable[str]) -> Any:
    """A copy of plain data in which everything that `paths` name below `root` (`args` or `result`) is hidden.

    A path that cannot be understood hides everything.

    Raises:
        NotJsonError: when the value is not plain JSON.
    """
    copied = json.loads(canonical_json(value))
    for steps in map(_steps, paths):
        if steps is None or steps == (root,):
            return HIDDEN
        if steps[0] == root:
            _hide(copied, steps[1:])
    return copied


@lru_cache(maxsize=1024)
def _steps(path: str) -> tuple[str, ...] | None:
    """The path's parts, or None when it cannot be understood."""
    plain = _INDEX.sub(r".\1", path.strip())
    if not _PATH.fullmatch(plain):
        return None
    return tuple(plain.split("."))


def _hide(value: Any, steps: Sequence[str]) -> None:
    """Replace what lies at the end of `steps`; lists on the way are entered whether named or not."""
    if isinstance(value, list):
        if steps[0] == "*" or steps[0].isdigit():
            chosen = range(len(value)) if steps[0] == "*" else [int(steps[0])]
            for index in chosen:
                if index < len(value):
                    _hide_at(value, index, steps)
        else:
            for item in value:
                _hide(item, steps)
    elif isinstance(value, dict):
        for key in list(value) if steps[0] == "*" else [steps[0]]:
            if key in value:
                _hide_at(value, key, steps)


def _hide_at(holder: Any, key: Any, steps: Sequence[str]) -> None:
    if len(steps) == 1:
        holder[key] = HIDDEN
    else:
        _hide(holder[key], steps[1:])
