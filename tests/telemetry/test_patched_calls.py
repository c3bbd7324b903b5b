"""A call that an early write was amended to become says so, on its own span and on that of the guess."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from specflow.journal.event import EventKind


def test_a_patched_call_says_so(traced: Callable[[], Any]) -> None:
    trace = traced()
    trace.story.turn(model="m")
    trace.story.launch("book", {"guest": "Ann"}, "spec_1")
    trace.story.launch("book", {"guest": "Cid"}, "spec_2")
    trace.story.emit(EventKind.RESOLVED, speculation_id="spec_1", outcome="hit", cause="patched")
    trace.story.emit(EventKind.RESOLVED, speculation_id="spec_2", outcome="hit")
    trace.story.turn_over()
    trace.story.settle()
    spans = [span for span in trace.spans if span.name == "specflow.speculate book"]
    said = [span.attributes.get("specflow.patched") for span in spans]
    assert sorted(said, key=str) == [None, True]
