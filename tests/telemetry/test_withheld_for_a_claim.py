"""A guess in whose way something was shows on the model's turn, with the row of the journal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from specflow.journal.event import EventKind


@pytest.mark.parametrize("cause", ["claimed", "stuck"])
def test_what_was_in_the_way_is_named(traced: Callable[[], Any], cause: str) -> None:
    trace = traced()
    trace.story.turn(model="m")
    trace.story.launch("book", {"seat": "A1"}, "spec_1")
    trace.story.emit(EventKind.WITHHELD, turn_id="turn_1", cause=cause, effect_id="eff_9")
    trace.story.emit(EventKind.RESOLVED, speculation_id="spec_1", outcome="cancelled", cause=cause)
    trace.story.turn_over()
    trace.story.settle()
    (note,) = trace.one("chat m").notes
    assert note.name == "specflow.withheld"
    assert (note.attributes["specflow.cause"], note.attributes["specflow.effect.id"]) == (cause, "eff_9")
    assert trace.one("specflow.speculate book").attributes["specflow.cause"] == cause
    assert trace.observer.open_spans == 0
