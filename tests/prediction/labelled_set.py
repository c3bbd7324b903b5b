"""The labelled texts: what a model says, and the calls that a careful reader would expect after it.

`labelled/*.yaml` hold tool sets, each with its `tools`, `talks` (conversations before the turn) and `cases`
by class. A case is a list: the text, the expected calls (`{tool: arguments}`, or a list of
`[tool, arguments]`; nothing: none), and options: `talk`, and `open` (the stream goes on behind the text).
Each text comes in one of five shapes in turn. Every third or so, drawn by its hash, is held out: nobody
tunes on it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from specflow.effects.annotate import Annotation
from specflow.effects.call import Call
from specflow.effects.kind import EffectClass
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.prediction.predictor import HistoryItem, PastCall

FOLDER = Path(__file__).with_name("labelled")
SHAPES = ("tags", "blocks", "reasoning_content", "events", "text")
EFFECTS = {
    "read": EffectClass.READ_ONLY,
    "compensatable": EffectClass.COMPENSATABLE,
    "confirm": EffectClass.CONFIRMATION_REQUIRED,
}
TYPES: dict[str, dict[str, Any]] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "num": {"type": "number"},
    "date": {"type": "string", "format": "date"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One labelled text. `open`: more would follow, so what is unfinished counts for nothing."""

    kind: str
    tools: ToolRegistry
    history: tuple[HistoryItem, ...]
    shape: str
    text: str
    calls: tuple[Call, ...]
    open: bool
    held_out: bool

    def writes(self, call: Call) -> bool:
        """Whether that tool changes anything."""
        annotation = self.tools.require(call.tool).annotation
        return annotation is None or annotation.effect is not EffectClass.READ_ONLY


@cache
def cases() -> tuple[Case, ...]:
    """All cases, in the order of the files."""
    return tuple(_read())


def _read() -> Iterator[Case]:
    number = 0
    for path in sorted(FOLDER.glob("*.yaml")):
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
        for group in loaded if isinstance(loaded, list) else [loaded]:
            registry = ToolRegistry(_tool(name, said) for name, said in group["tools"].items())
            talks = {name: tuple(_items(items)) for name, items in group.get("talks", {}).items()}
            for kind, entries in group["cases"].items():
                for entry in entries:
                    text, expected, options = (*entry, {}, {})[:3] if len(entry) < 3 else entry
                    yield Case(
                        kind=kind,
                        tools=registry,
                        history=talks[options["talk"]] if "talk" in options else (),
                        shape=SHAPES[number % len(SHAPES)],
                        text=text,
                        calls=tuple(_calls(expected)),
                        open=bool(options.get("open")),
                        held_out=hashlib.sha256(text.encode()).digest()[0] % 3 == 0,
                    )
                    number += 1


def _calls(expected: Mapping[str, Any] | Sequence[Any]) -> Iterable[Call]:
    pairs = expected.items() if isinstance(expected, Mapping) else expected
    return [Call(tool=name, args=args) for name, args in pairs]


def _tool(name: str, said: Mapping[str, Any]) -> ToolSpec:
    properties = {arg: _schema(schema) for arg, schema in said["args"].items()}
    optional = said.get("optional", ())
    return ToolSpec(
        name=name,
        description=said["does"],
        parameters={
            "type": "object",
            "properties": properties,
            "required": [arg for arg in properties if arg not in optional],
        },
        annotation=Annotation(effect=EFFECTS[said["effect"]]),
    )


def _schema(said: str | list[str] | dict[str, Any]) -> dict[str, Any]:
    if isinstance(said, list):
        return {"type": "string", "enum": said}
    return TYPES[said] if isinstance(said, str) else said


def _items(items: Iterable[Mapping[str, Any]]) -> Iterator[HistoryItem]:
    for item in items:
        if "call" in item:
            past = PastCall(tool=item["call"], args=item["args"], result=item["result"])
            yield HistoryItem(role="tool", text=item["result"], call=past)
        else:
            ((role, text),) = item.items()
            yield HistoryItem(role=role, text=text)


def tally(heard: Iterable[tuple[Case, set[Call]]]) -> tuple[str, float, float]:
    """A table by class, and the precision and recall of all calls that were live at the end of a text."""
    counts: dict[str, Counter[str]] = {}
    for case, calls in heard:
        right = len(calls.intersection(case.calls))
        found = Counter(texts=1, expected=len(set(case.calls)), said=len(calls), right=right)
        for kind in (case.kind, "all"):
            counts.setdefault(kind, Counter()).update(found)
    lines = ["| class | texts | calls expected | said | right | precision | recall |\n", "|---" * 7 + "|\n"]
    for kind in sorted(counts):
        count = counts[kind]
        shares = [_share(count["right"], count[part]) for part in ("said", "expected")]
        row = [kind, *(str(count[part]) for part in ("texts", "expected", "said", "right")), *shares]
        lines.append("| " + " | ".join(row) + " |\n")
    total = counts["all"]
    return "".join(lines), total["right"] / total["said"], total["right"] / total["expected"]


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.2f}" if whole else "-"
