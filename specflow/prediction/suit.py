"""How well a value suits a parameter by its looks and its known keys, and what JSON it becomes."""

from __future__ import annotations

import re
from typing import Any

from specflow.prediction.conversation import Conversation
from specflow.prediction.known import Known
from specflow.prediction.tool_words import Slot, shape
from specflow.prediction.values import ValueKind
from specflow.prediction.words import name_stems


def looks(slot: Slot, text: str, kind: ValueKind, talk: Conversation) -> float | None:
    """Points for the looks of a value, from -2.5 to 3; None when they rule it out."""
    if kind not in slot.takes:
        return None
    if slot.is_id and slot.shapes and text in slot.examples:
        return None  # the schema's own example, recited
    if kind is ValueKind.DATE:
        return 3.0
    if slot.type in {"integer", "number"}:
        return 1.0
    if kind is ValueKind.NAME:
        return _looks_of_name(slot, text, talk)
    return _looks_of_text(slot, text, kind, fits=bool(slot.shapes) and shape(text) in slot.shapes)


def _looks_of_text(slot: Slot, value: str, kind: ValueKind, *, fits: bool) -> float | None:
    shaped = bool(slot.shapes)
    points: float | None
    match kind:
        case ValueKind.IDENTIFIER if slot.is_name and not slot.is_id:
            points = None
        case ValueKind.IDENTIFIER:
            points = (1.5 if slot.is_id else 0.5) + (1.5 if fits else -3.0 if shaped else 0.0)
        case ValueKind.TIME:
            points = 2.0 if fits or "tim" in slot.words else None
        case ValueKind.PATH if not (fits or slot.is_path):
            # A name with a dot or a digit may be an identifier all the same.
            points = 1.5 if slot.is_id and not shaped and "/" not in value else None
        case ValueKind.PATH:
            points = 3.5 if fits else 1.5 if shaped else 2.5
        case ValueKind.CODE:
            points = 2.0 if fits else None if shaped else 0.5
        case ValueKind.NUMBER:
            points = 1.5 if fits else 0.5 if slot.is_id and not shaped else None
        case _:
            points = None if shaped else 1.0
    return points


def _looks_of_name(slot: Slot, text: str, talk: Conversation) -> float | None:
    if slot.coded:
        # A code is wanted: "Denver" will do when the conversation says that it is DEN.
        code = talk.aliases.get(text.lower())
        return 1.5 if code and shape(code) in slot.shapes else None
    if slot.is_id or "pattern" in slot.schema:
        return None
    return 1.5 if slot.is_name else 0.5


def keyed(slot: Slot, known: Known) -> float:
    """Points for the keys that a value is known by: 2 for the parameter's own, -2 for others."""
    if slot.name.lower() in known.keys:
        return 2.0
    return 1.0 if slot.words and any(slot.words <= name_stems(key) for key in known.keys) else -2.0


def as_json(slot: Slot, text: str, kind: ValueKind, talk: Conversation) -> Any:
    """The JSON value of a written value; None when it cannot be one."""
    if slot.type in {"integer", "number"}:
        return as_number(text)
    if kind is ValueKind.NAME and slot.is_name and " " not in text:
        return talk.full_name(text)
    if kind is ValueKind.NAME and slot.shapes and text.lower() in talk.aliases:
        return talk.aliases[text.lower()]
    return text.strip("$€£%") if kind is ValueKind.NUMBER else text


def as_number(text: str) -> int | float | None:
    """The number that a text is, with or without a currency; None when it is none."""
    plain = text.strip("$€£%").replace(",", "")
    try:
        return int(plain) if re.fullmatch(r"[-+]?\d{1,15}", plain) else float(plain)
    except ValueError:
        return None
