"""The smallest call that still shows a loosening."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from specflow.policy.diff.atoms import Path
from specflow.policy.diff.calls import Chosen
from specflow.policy.diff.domain import Domain

MOST_TRIALS = 600

Holds = Callable[[Chosen, bool], bool]
"""Whether fields and taint still show it."""


def shrink(chosen: Chosen, domain: Domain, holds: Holds, *, tainted: bool) -> tuple[Chosen, bool]:
    """Fewer fields, then plainer values, for as long as `holds` and the budget last."""
    current, left = dict(chosen), MOST_TRIALS
    if tainted and holds(current, False):
        tainted = False
    changed = True
    while changed and left > 0:
        changed = False
        for smaller in _smaller(current, domain):
            left -= 1
            if holds(smaller, tainted):
                current, changed = dict(smaller), True
                break
            if left <= 0:
                break
    return current, tainted


def _smaller(chosen: Chosen, domain: Domain) -> Iterator[Chosen]:
    for path in sorted(chosen, key=lambda item: (-len(item), item)):
        yield {other: value for other, value in chosen.items() if other != path}
    for path in sorted(chosen):
        size = cost(chosen[path])
        for value in sorted(_options(domain, path), key=cost):
            if cost(value) >= size:
                break
            yield {**chosen, path: value}


def _options(domain: Domain, path: Path) -> tuple[Any, ...]:
    return domain.values.get(path, ())


def cost(value: Any) -> tuple[int, int, str]:
    """How hard a value is to read: wrong-looking types last, long last."""
    text = json.dumps(value, sort_keys=True)
    kind = 2 if isinstance(value, list | dict) else 1 if value is None else 0
    return kind, len(text), text
