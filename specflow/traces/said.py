"""What every format is read into: messages, requests to a model with their answers, and runs of tools."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]


class MalformedError(ValueError):
    """A part of a record that cannot be what it says it is; whoever knows the place adds it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A tool call the model made."""

    name: str
    args: Mapping[str, Any]
    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One message. A `tool` message answers the call `call_id`, where the record says which."""

    role: Role
    text: str = ""
    reasoning: str = ""
    calls: tuple[Asked, ...] = ()
    call_id: str = ""
    tool: str = ""
    error: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCall:
    """A request and its answer. Times are nanoseconds since the epoch, None where the record has none.

    Without `content` neither what was asked nor what was answered is in the record, only that it happened.
    """

    heard: tuple[Said, ...] = ()
    answer: Said | None = None
    began: int | None = None
    ended: int | None = None
    tokens: int | None = None
    model: str = ""
    tools: tuple[Mapping[str, Any], ...] = ()
    content: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolRun:
    """One execution of a tool. `args` is None where they were not recorded; `real` is False where its
    time is not the tool's own (it was finished before it was asked for).
    """

    name: str
    call_id: str = ""
    args: Mapping[str, Any] | None = None
    result: str | None = None
    error: bool = False
    began: int | None = None
    ended: int | None = None
    real: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One record of a trace, where it stands, and what its importer kept of it."""

    kind: str
    trace: str
    key: str = ""
    parent: str = ""
    conversation: str = ""
    began: int | None = None
    size: int = 0
    """How many messages the model heard."""
    data: Any = field(default_factory=dict)  # the importer's own shape
    path: str = ""
    number: int = 0

    @property
    def place(self) -> str:
        return f"{self.path}:{self.number}"


def arguments(value: object, name: str) -> dict[str, Any]:
    """The arguments of a call, also where they are the JSON text that travelled.

    Raises:
        MalformedError: they are no JSON object.
    """
    if isinstance(value, str):
        try:
            value = parsed(value) if value.strip() else {}
        except ValueError as error:
            raise MalformedError(f"the arguments of {name!r} are not JSON: {error}") from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise MalformedError(f"the arguments of {name!r} are no object but {type(value).__name__}")
    return value


def parsed(text: str | bytes) -> Any:
    """The value of a JSON text; NaN and the infinities are none.

    Raises:
        ValueError: it is not JSON, or nested too deeply.
    """
    try:
        return json.loads(text, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _no_constant(text: str) -> object:
    raise ValueError(f"{text} is not JSON")


def text_of(value: object) -> str:
    """A result as the model saw it: text as it is, everything else as JSON."""
    if value is None or isinstance(value, str):
        return value or ""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"a result that is not JSON: {error}") from error


def count_of(value: object) -> int | None:
    """A count of tokens, or None for what is none. OTLP writes whole numbers as text."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 16:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return int(value) if value >= 0 else None


def name_of(value: object) -> str:
    """A name or an id as text; numbers are welcome, everything else is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else ""
