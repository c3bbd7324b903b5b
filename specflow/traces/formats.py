"""Which format a file is in: by what stands in it, never by its name."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class Format(StrEnum):
    """The formats that can be read. `RECORDED` is the project's own."""

    RECORDED = "recorded"
    LANGSMITH = "langsmith"
    OTEL = "otel"
    OPENAI = "openai"


def format_of(value: Mapping[str, Any]) -> Format | None:
    """The format of a line, by the keys that no other format has; None where it is in none."""
    if "turns" in value:
        return Format.RECORDED
    if "run_type" in value and "id" in value:
        return Format.LANGSMITH
    if "resourceSpans" in value or "resourceLogs" in value:
        return Format.OTEL
    if isinstance(value.get("messages"), list) or ("request" in value and "response" in value):
        return Format.OPENAI
    return None
