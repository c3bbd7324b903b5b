"""The two pages on telemetry say what the code does: the drawing, the search, the names."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from specflow.telemetry import names

DOCS = Path(__file__).resolve().parents[2] / "docs"
HOW_TO = DOCS / "how-to" / "see-it-in-jaeger.md"
REFERENCE = DOCS / "reference" / "telemetry.md"


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def test_the_drawing_is_what_a_collector_receives(
    traced: Callable[..., Any], travel_story: Callable[[Any], None]
) -> None:
    trace = traced(agent="travel")
    travel_story(trace.story)
    shown = ("specflow.outcome", "specflow.saved_time", "specflow.wasted_time", "specflow.decision")
    assert trace.receiver.tree(show=shown, width=24) + "\n" == blocks(HOW_TO, "text")[0]


def test_the_search_finds_the_rollback(
    traced: Callable[..., Any], travel_story: Callable[[Any], None]
) -> None:
    trace = traced()
    travel_story(trace.story)
    name, _, value = blocks(HOW_TO, "text")[1].strip().partition("=")
    found = {span.name for span in trace.spans if span.attributes.get(name) == value}
    assert found == {"specflow.speculate book_flight", "specflow.compensate cancel_booking"}


def test_every_name_is_documented_and_every_documented_name_exists() -> None:
    text = REFERENCE.read_text("utf-8")
    ours = {
        value
        for name, value in vars(names).items()
        if name.isupper()
        and isinstance(value, str)
        and value.startswith(("specflow.", "gen_ai.", "openinference.", "error."))
    }
    documented = set(
        re.findall(r"`((?:specflow|gen_ai|openinference|error)\.[a-z_.]+?)\.?(?: \{tool\}|\*)?`", text)
    )
    modules = {"specflow.telemetry.names"}
    assert {name.rstrip(".") for name in ours} == documented - modules
