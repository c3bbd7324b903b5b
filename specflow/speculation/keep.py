"""What an early call returned is kept as it was in that moment, until somebody wants it.

A tool may go on with the object that it has returned: a buffer that its next call fills again, a list of
its own. A sequential run reads such a result at once; an early one is read later.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from specflow.effects.call import Call
from specflow.effects.tool import CallContext, Runner


def keeping(runner: Runner, called: Callable[[], None], copied: Callable[[bool], None]) -> Runner:
    """The runner, with a private copy of what it returns.

    `called` is told just before it runs, `copied` whether the result could be copied.
    """

    async def kept(call: Call, context: CallContext) -> Any:
        called()
        value, fine = _copied(await runner(call, context))
        copied(fine)
        return value

    return kept


def private(value: Any) -> Any:
    """A copy, so that whoever changes the original changes nothing here; some things cannot be copied."""
    return _copied(value)[0]


def _copied(value: Any) -> tuple[Any, bool]:
    try:
        return copy.deepcopy(value), True
    except Exception:  # noqa: BLE001 - a generator, a lock, an open file: there is one, and it is the caller's
        return value, False
