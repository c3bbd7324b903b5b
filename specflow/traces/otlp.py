"""OTLP as JSON, taken apart: what a line of the collector's file exporter holds, and what its values are.

A line is an ExportTraceServiceRequest (`resourceSpans`) or an ExportLogsServiceRequest (`resourceLogs`):
https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from specflow.traces.said import MalformedError

Entry = Mapping[str, Any]


def spans_of(request: Entry) -> Iterator[Entry]:
    """The spans of a request.

    Raises:
        MalformedError: it is not built as it should be.
    """
    yield from _entries(request, "resourceSpans", "scopeSpans", "spans")


def logs_of(request: Entry) -> Iterator[Entry]:
    """The log records of a request.

    Raises:
        MalformedError: it is not built as it should be.
    """
    yield from _entries(request, "resourceLogs", "scopeLogs", "logRecords")


def _entries(holder: Entry, *path: str) -> Iterator[Entry]:
    listed = holder.get(path[0])
    if listed is None:
        return
    if not isinstance(listed, list):
        raise MalformedError(f"{path[0]!r} is no list")
    for number, entry in enumerate(listed):
        if path[1:] and not isinstance(entry, dict):
            raise MalformedError(f"{path[0]}.{number} is no object")
        if path[1:]:
            yield from _entries(entry, *path[1:])
        else:
            yield entry if isinstance(entry, dict) else {}


def attributes_of(entry: Entry) -> dict[str, Any]:
    """The attributes of a span, an event or a log record, as ordinary values."""
    return _pairs(entry.get("attributes"))


def value_of(value: object) -> Any:
    """An `AnyValue` as an ordinary value; whole numbers travel as text."""
    if not isinstance(value, dict):
        return value
    if "intValue" in value:
        try:
            return int(value["intValue"])
        except (TypeError, ValueError):
            return None
    if "arrayValue" in value:
        return [value_of(item) for item in _values(value["arrayValue"])]
    if "kvlistValue" in value:
        return _pairs(_values(value["kvlistValue"]))
    plain = ("stringValue", "boolValue", "doubleValue", "bytesValue")
    return next((value[kind] for kind in plain if kind in value), None)


def _values(holder: object) -> list[Any]:
    values = holder.get("values") if isinstance(holder, dict) else None
    return values if isinstance(values, list) else []


def _pairs(listed: object) -> dict[str, Any]:
    found = {}
    for pair in listed if isinstance(listed, list) else ():
        if isinstance(pair, dict) and isinstance(pair.get("key"), str):
            found[pair["key"]] = value_of(pair.get("value"))
    return found


def time_of(value: object) -> int | None:
    """Nanoseconds since the epoch; None for nothing, for 0 (which OTLP takes for nothing), and for what is
    no time.
    """
    if not isinstance(value, str | int | float):
        return None
    try:
        found = int(value)
    except (ValueError, OverflowError):
        return None
    return found if 0 < found < 2**63 else None
