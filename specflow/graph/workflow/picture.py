"""A workflow as boxes and lines: what each step may do, where it stands, what it takes from where."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from specflow.graph.workflow.declared import Declared
from specflow.graph.workflow.reference import node_of
from specflow.graph.workflow.step import AgentStep, CallStep, FlowStep, MapStep, Step

Effects = Callable[[str], str]
"""The effect class of the tool of that name, in the policy's words."""

COLOURS: Mapping[str, tuple[str, str]] = {
    "read_only": ("#d9f2e3", "#1e7a46"),
    "compensatable": ("#fff0cc", "#9a6a00"),
    "confirmation_required": ("#fbdcd9", "#a32018"),
    "deny": ("#d9d9d9", "#333333"),
    "agent": ("#dce8fb", "#245a9e"),
    "human": ("#eadcf7", "#6a3a9a"),
    "flow": ("#e2f0f2", "#2b6f7a"),
    "plain": ("#f1f1f1", "#666666"),
}
"""Fill and border for every class of step."""

WIDE, HIGH, GAP_X, GAP_Y, LETTER, MARGIN = 96, 46, 28, 52, 7.2, 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """One step. `x` and `y` are of its upper left corner, in pixels."""

    name: str
    title: str
    detail: str
    word: str
    x: float
    y: float
    width: float
    height: float = HIGH


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What one step takes from another; `condition` is the text under which it runs."""

    source: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """All of it. Sizes in pixels."""

    name: str
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    width: float
    height: float

    def box(self, name: str) -> Box:
        return next(box for box in self.boxes if box.name == name)


def picture(flow: Declared, effects: Effects) -> Picture:
    """Steps in rows: each below all that it takes from."""
    steps = flow.order()
    row_of: dict[str, int] = {}
    for step in steps:
        row_of[step.name] = 1 + max((row_of[name] for name in step.needs), default=-1)
    rows: list[list[Step]] = [[] for _ in range(1 + max(row_of.values(), default=-1))]
    for step in steps:
        rows[row_of[step.name]].append(step)
    place: dict[str, float] = {}
    boxes: list[Box] = []
    for number, row in enumerate(rows):
        # Below what they take from, so that few lines cross.
        row.sort(key=lambda step: sum(place[name] for name in step.needs) / (len(step.needs) or 1))
        x = float(MARGIN)
        for step in row:
            detail = _detail(step)
            width = max(WIDE, LETTER * max(len(step.name), len(detail)) + 24)
            y = MARGIN + number * (HIGH + GAP_Y)
            boxes.append(
                Box(
                    name=step.name,
                    title=step.name,
                    detail=detail,
                    word=_word(step, effects),
                    x=x,
                    y=y,
                    width=width,
                )
            )
            place[step.name] = x + width / 2
            x += width + GAP_X
    boxes, width = _centred(boxes, row_of)
    lines = tuple(Line(source=name, target=step.name) for step in steps for name in sorted(step.needs))
    height = MARGIN * 2 + len(rows) * HIGH + max(0, len(rows) - 1) * GAP_Y
    return Picture(name=flow.name, boxes=tuple(boxes), lines=lines, width=width, height=height)


def _centred(boxes: list[Box], row_of: Mapping[str, int]) -> tuple[list[Box], float]:
    ends: dict[int, float] = {}
    for box in boxes:
        ends[row_of[box.name]] = box.x + box.width
    whole = max(ends.values(), default=MARGIN + WIDE)
    moved = [
        Box(
            name=box.name,
            title=box.title,
            detail=box.detail,
            word=box.word,
            x=box.x + (whole - ends[row_of[box.name]]) / 2,
            y=box.y,
            width=box.width,
        )
        for box in boxes
    ]
    return moved, whole + MARGIN


def _detail(step: Step) -> str:
    conditions = " and ".join(node_of(item).text for item in step.conditions)
    what = step.tool.name if isinstance(step, CallStep | MapStep) else ""
    if isinstance(step, MapStep):
        what = f"{what} for each"
    if isinstance(step, FlowStep):
        what = f"workflow {step.flow.name}"
    if not what:
        what = step.kind if step.kind != "plain" else "function"
    text = f"{what} if {conditions}" if conditions else what
    return text if len(text) <= 40 else f"{text[:39]}…"


def _word(step: Step, effects: Effects) -> str:
    if isinstance(step, CallStep | MapStep):
        return effects(step.tool.name)
    if isinstance(step, AgentStep | FlowStep):
        return step.kind
    return step.kind
