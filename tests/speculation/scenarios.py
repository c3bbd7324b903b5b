"""What scenarios of the core share: they run on the seeded loop, and every speculation in them ends once."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from specflow.journal.event import EventKind
from specflow.testing.explore import run
from specflow.testing.scripted_core import ScriptedCore


def scenario(body: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run an async test on the seeded loop, and let no task outlive it."""

    def test() -> None:
        run(body(), seed=0, leaks="error")

    test.__name__ = body.__name__
    test.__doc__ = body.__doc__
    return test


def ended_once(core: ScriptedCore) -> None:
    """Assert that what was launched was resolved, and not twice."""
    launched = [event.speculation_id for event in core.log.of(EventKind.LAUNCHED)]
    resolved = [event.speculation_id for event in core.log.of(EventKind.RESOLVED)]
    assert sorted(launched) == sorted(resolved), "every speculation ends exactly once"
