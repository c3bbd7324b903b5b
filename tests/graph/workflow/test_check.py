"""What is found wrong with a workflow before it runs, and how it is drawn."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

import specflow as sf
from specflow.errors import ConfigurationError

POLICY = """
version: 1
tools:
  search: {effect: read_only}
  count: {effect: read_only}
  book: {effect: compensatable, compensate: {tool: cancel, with: {flight: args.flight}}}
  keep: {effect: compensatable}
  cancel: {effect: confirmation_required, confirm: host, compensator_for: [book]}
  pay: {effect: confirmation_required, confirm: ask}
  wipe: {effect: deny}
"""


def search(city: str, limit: int = 3) -> list[str]:
    """Search."""
    return [city]


def count(numbers: list[int]) -> int:
    """Count."""
    return len(numbers)


def book(flight: str) -> str:
    """Book."""
    return flight


def keep(flight: str) -> str:
    """Keep."""
    return flight


def cancel(flight: str) -> str:
    """Cancel."""
    return flight


def pay(amount: float) -> str:
    """Pay."""
    return "paid"


def wipe() -> str:
    """Wipe."""
    return "gone"


def stray() -> str:
    """Nobody has classed it."""
    return "?"


@pytest.fixture
def flow(tmp_path: Path) -> sf.Workflow:
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY)
    return sf.Workflow("trip", policy=file, tools=[cancel])


def codes(flow: sf.Workflow, **options: Any) -> list[tuple[str, str]]:
    return [(found.step, found.code) for found in flow.check(**options)]


def test_a_sound_workflow_has_no_findings(flow: sf.Workflow) -> None:
    found = flow.call("found", search, city="Rome")
    flow.call("booked", book, flight=found[0])
    assert codes(flow) == []


def test_arguments_are_checked_against_the_tool(flow: sf.Workflow) -> None:
    flow.call("a", search, citty="Rome", limit=1)
    flow.call("b", search, city=3)
    n = flow.step("n", lambda: 1)
    numbers = flow.call("c", count, numbers=flow.call("d", search, city=n))
    flow.call("e", search, city=numbers)
    flow.map("f", book, over=numbers, flight=flow.each)
    texts = [str(found) for found in flow.check()]
    assert texts[0] == "a: search has no parameter 'citty' (did you mean 'city'?) [no_parameter]"
    assert texts[1] == "a: search needs 'city', which nothing gives [missing]"
    assert texts[2] == "b: city of search takes string; 3 is integer [mistyped]"
    assert "c: numbers of count takes array; d is array [mistyped]" in texts
    assert "e: city of search takes string; c is integer [mistyped]" in texts
    assert "f: over=c is integer, not a list [mistyped]" in texts


def test_tools_are_checked_against_the_policy(flow: sf.Workflow) -> None:
    flow.call("gone", wipe)
    flow.call("odd", stray)
    flow.call("paid", pay, amount=1)
    flow.human("sure", "Are you sure?")
    assert codes(flow) == [("gone", "denied"), ("odd", "unclassed")]
    asking = [("paid", "no_checkpointer"), ("sure", "no_checkpointer")]
    assert codes(flow, can_ask=False) == [("gone", "denied"), ("odd", "unclassed"), *asking]


def test_a_saga_needs_ways_back(flow: sf.Workflow) -> None:
    flow.call("booked", book, flight="F")
    flow.call("kept", keep, flight="F")
    flow.call("paid", pay, amount=1)
    assert codes(flow) == []
    flow.on_failure = "compensate"
    assert [(item.step, item.code, item.error) for item in flow.check()] == [
        ("kept", "no_undo", True),
        ("paid", "no_undo", False),
    ]


def test_what_can_never_run_is_found(flow: sf.Workflow) -> None:
    n = flow.step("n", lambda: 1)
    with flow.when((n > 1) & (n < 5)) as some:
        one = flow.step("one", lambda: 1)
    with some.otherwise():
        two = flow.step("two", lambda: 2)
    flow.step("both", lambda a, b: a + b, a=one, b=two)
    flow.step("fine", lambda a: a, a=flow.either(one, two))
    with flow.when(n > 7), flow.when(~(n > 7)):
        flow.step("never", lambda: 0)
    assert ("never", "unreachable") in codes(flow)
    assert ("fine", "unreachable") not in codes(flow)


def test_what_nobody_uses_is_mentioned(flow: sf.Workflow) -> None:
    flow.call("idle", search, city="Rome")
    flow.call("booked", book, flight="F")
    (found,) = flow.check()
    assert (found.step, found.code, found.error) == ("idle", "unused", False)


def test_findings_of_a_workflow_inside_are_named_after_both(flow: sf.Workflow, tmp_path: Path) -> None:
    inner = sf.Workflow("inner", policy=flow.policy)
    inner.call("gone", wipe)
    flow.flow("nested", inner)
    assert codes(flow) == [("nested.gone", "denied")]


def test_compiling_says_everything_that_is_wrong_at_once(flow: sf.Workflow, tmp_path: Path) -> None:
    flow.call("gone", wipe)
    flow.call("paid", pay, amount="much")
    journal = f"sqlite:///{tmp_path / 'j.db'}"
    with pytest.raises(ConfigurationError) as caught:
        flow.compile(journal=journal, telemetry=False)
    for word in (
        "gone: the policy denies wipe",
        "paid: pay needs a person's yes",
        "amount of pay takes number",
    ):
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("declare", "why"),
    [
        (lambda flow: flow.step("state", len), "cannot be called 'state'"),
        (lambda flow: flow.step("a b", len), "cannot be called 'a b'"),
        (lambda flow: flow.step("finish", len), "cannot be called 'finish'"),
        (lambda flow: (flow.step("a", len), flow.step("a", len)), "two steps are called 'a'"),
        (lambda flow: flow.step("a", "len"), "cannot be called"),
        (lambda flow: flow.step("a", len, when=True), "is decided already"),
        (lambda flow: flow.step("a", len, into="booking"), "no field 'booking'"),
        (lambda flow: flow.step("a", len, x=flow.each), "`each` means something in map steps only"),
        (lambda flow: flow.step("a", len, x=sf.Workflow("o").step("other", len)), "which is no step of trip"),
        (lambda flow: flow.flow("a", flow), "cannot be a step of itself"),
        (lambda flow: flow.map("a", book, over=[], at_once=0), "would never begin"),
        (lambda _flow: sf.Workflow("x", on_failure="explode"), "on_failure='explode' is not known"),
        (lambda _flow: sf.Workflow("x").check(), "x has no policy"),
        (lambda flow: flow.draw("trip.gif"), "trip.gif is no kind of picture"),
    ],
)
def test_what_cannot_be_declared_is_refused_at_once(flow: sf.Workflow, declare: Any, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        declare(flow)


def test_a_state_of_an_unknown_kind_or_with_a_taken_name_is_refused(
    flow: sf.Workflow, tmp_path: Path
) -> None:
    from dataclasses import dataclass

    @dataclass
    class Taken:
        steps: int

    journal = f"sqlite:///{tmp_path / 'j.db'}"
    for state, why in ((Taken, "has a field 'steps'"), (dict, "is no state")):
        other = sf.Workflow("x", state=state, policy=flow.policy)
        other.step("one", lambda: 1)
        with pytest.raises(ConfigurationError, match=why):
            other.compile(journal=journal, telemetry=False)


def drawn(flow: sf.Workflow) -> sf.Workflow:
    found = flow.call("found", search, city="Rome")
    with flow.when(found[0] == "<Rome>"):
        booked = flow.call("booked", book, flight=found[0])
    flow.call("paid", pay, amount=7, after=booked)
    flow.map("all", search, over=found, city=flow.each)
    flow.human("sure", "Sure?")
    flow.step("end", len, obj=found)
    return flow


def test_mermaid_has_every_step_in_its_colour(flow: sf.Workflow) -> None:
    text = drawn(flow).draw()
    assert "booked[\"booked<br/>book if found[0] == '&lt;Rome&gt;'\"]:::compensatable" in text
    assert 'paid["paid<br/>pay"]:::confirmation_required' in text
    assert "found --> booked" in text
    assert "booked --> paid" in text
    for word in ("read_only", "compensatable", "confirmation_required", "human", "plain"):
        assert f"classDef {word} fill:#" in text


def test_the_svg_is_well_formed_and_nothing_overlaps(flow: sf.Workflow, tmp_path: Path) -> None:
    file = tmp_path / "trip.svg"
    drawn(flow).draw(file)
    root = ET.fromstring(file.read_text())
    space = "{http://www.w3.org/2000/svg}"
    boxes = [rect.attrib for rect in root.iter(f"{space}rect")]
    assert len(boxes) == 6
    assert len(list(root.iter(f"{space}path"))) == 1 + 4
    corners = [tuple(float(box[name]) for name in ("x", "y", "width", "height")) for box in boxes]
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for n, (x, y, w, h) in enumerate(corners):
        assert min(x, y) >= 0
        assert (x + w <= width, y + h <= height) == (True, True)
        for other in corners[n + 1 :]:
            apart = (
                x + w <= other[0] or other[0] + other[2] <= x or y + h <= other[1] or other[1] + other[3] <= y
            )
            assert apart
    assert "book if found[0] == '<Rome>'" in {text.text for text in root.iter(f"{space}text")}


def test_the_png_is_a_picture_of_that_size(flow: sf.Workflow, tmp_path: Path) -> None:
    from PIL import Image

    file = tmp_path / "trip.png"
    drawn(flow).draw(file)
    with Image.open(file) as image:
        assert image.format == "PNG"
        colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 20) or ()}
        assert {(217, 242, 227), (255, 240, 204), (251, 220, 217)} <= colours


def test_the_compiled_graph_is_an_ordinary_one(flow: sf.Workflow, tmp_path: Path) -> None:
    app = drawn(flow).compile(
        journal=f"sqlite:///{tmp_path / 'j.db'}", telemetry=False, checkpointer=InMemorySaver()
    )
    with app.specflow as runtime:
        assert set(app.get_graph().nodes) >= {"found", "booked", "paid", "all", "sure", "end"}
        with pytest.raises(ConfigurationError, match="runtime= is given, and journal as well"):
            flow.compile(runtime=runtime, journal="sqlite:///x.db")
        again = flow.compile(runtime=runtime, checkpointer=InMemorySaver())
        assert again.specflow is runtime
