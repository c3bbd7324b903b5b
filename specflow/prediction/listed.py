"""Arguments that an announcement lists one to a line: "- origin: OSL"."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from specflow.prediction.choice import Choice
from specflow.prediction.dates import iso_date
from specflow.prediction.stance import Intent
from specflow.prediction.suit import as_number
from specflow.prediction.tool_words import Slot, ToolWords
from specflow.prediction.values import MAX_TEXT

_LINE = re.compile(r"[-*\u2022 \t]*[`\"'*]{0,3}(\w{1,64})[`\"'*]{0,3} ?[:=] ?(\S.{0,120})")

PATIENCE = 8
"""How many sentences an announcement such as "check these flights:" waits for its arguments."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An announcement that lacks arguments, how many more sentences it waits for them, and what came."""

    intent: Intent
    choices: tuple[Choice, ...]
    left: int = PATIENCE
    args: dict[str, Any] = field(default_factory=dict)


def listed_argument(tool: ToolWords, line: str) -> tuple[str, Any] | None:
    """The parameter and its value, when the line says nothing but these and the value suits."""
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    slot = next((slot for slot in tool.slots if slot.name.lower() == match[1].lower()), None)
    value = None if slot is None or slot.many else _value(slot, match[2].strip("`\"'*,; "))
    return (slot.name, value) if slot is not None and value is not None else None


def _value(slot: Slot, text: str) -> Any:
    if slot.enum:
        return next((item for item in slot.enum if str(item).lower() == text.lower()), None)
    if slot.is_date:
        return iso_date(text) or None
    if slot.type in {"integer", "number"}:
        return as_number(text)
    return text if slot.type == "string" and 0 < len(text) <= MAX_TEXT else None
