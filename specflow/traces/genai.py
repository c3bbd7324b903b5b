"""Spans by the GenAI semantic conventions of OpenTelemetry, in their present and their earlier forms.

`chat` (also `text_completion`, `generate_content`) spans are requests to a model, `execute_tool` spans
executions of tools, everything else only a place in the tree. Messages are in attributes of the span (since
v1.37), in an event `gen_ai.client.inference.operation.details`, or in an event for each message (until
v1.36); events are events of the span or log records. https://github.com/open-telemetry/semantic-conventions
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from specflow.traces.gather import Importer
from specflow.traces.genai_messages import answered, events_said, heard_of, structured
from specflow.traces.lines import Line
from specflow.traces.message import tools_of
from specflow.traces.otlp import attributes_of, logs_of, spans_of, time_of, value_of
from specflow.traces.said import (
    MalformedError,
    ModelCall,
    Piece,
    ToolRun,
    arguments,
    count_of,
    name_of,
    text_of,
)

NAME = "otel"
OPERATION = "gen_ai.operation.name"
# Tuples, not sets: what is looked for in them may be anything, also what has no hash.
_MODELS = ("chat", "text_completion", "generate_content")
_EVENTS = (
    "gen_ai.system.message", "gen_ai.user.message", "gen_ai.assistant.message", "gen_ai.tool.message",
    "gen_ai.choice", "gen_ai.content.prompt", "gen_ai.content.completion",
    "gen_ai.client.inference.operation.details",
)  # fmt: skip
_ERROR = 2  # STATUS_CODE_ERROR
_EARLY = ("hit", "late")
"""specflow's own outcomes of a call whose work had begun before it was made."""


def pieces(line: Line, request: Mapping[str, Any]) -> Iterator[Piece | MalformedError]:
    """The spans and the events of a line, and what is wrong with those that cannot be used.

    Raises:
        MalformedError: it is no OTLP.
    """
    for span in spans_of(request):
        yield from _span(line, span)
    for record in logs_of(request):
        attributes = attributes_of(record)
        name = name_of(record.get("eventName")) or name_of(attributes.get("event.name"))
        if name in _EVENTS and record.get("traceId"):
            body = value_of(record.get("body"))
            moment = time_of(record.get("timeUnixNano")) or time_of(record.get("observedTimeUnixNano"))
            yield _event(
                line,
                record.get("traceId"),
                record.get("spanId"),
                name,
                attributes=attributes,
                body=body,
                moment=moment,
            )


def _span(line: Line, span: Mapping[str, Any]) -> Iterator[Piece | MalformedError]:
    trace, key = name_of(span.get("traceId")), name_of(span.get("spanId"))
    if not trace or not key:
        yield MalformedError("a span without 'traceId' or 'spanId'")
        return
    attributes = attributes_of(span)
    operation = attributes.get(OPERATION)
    kind = "model" if operation in _MODELS else "tool" if operation == "execute_tool" else "other"
    data: dict[str, Any] = {}
    if kind != "other":
        data = {
            name: value
            for name, value in attributes.items()
            if name.startswith(("gen_ai.", "specflow.outcome"))
        }
        data["ended"] = time_of(span.get("endTimeUnixNano"))
        status = span.get("status")
        code = status.get("code") if isinstance(status, dict) else None
        data["failed"] = code in (_ERROR, "STATUS_CODE_ERROR")
    elif "gen_ai.tool.definitions" in attributes:
        data = {"gen_ai.tool.definitions": attributes["gen_ai.tool.definitions"]}
    yield Piece(
        kind=kind,
        trace=trace,
        key=key,
        parent=name_of(span.get("parentSpanId")),
        conversation=name_of(attributes.get("gen_ai.conversation.id")),
        began=time_of(span.get("startTimeUnixNano")),
        size=_size(attributes.get("gen_ai.input.messages")) if kind == "model" else 0,
        data=data,
        path=str(line.path),
        number=line.number,
    )
    listed = span.get("events")
    for event in listed if isinstance(listed, list) and kind == "model" else ():
        if isinstance(event, dict) and event.get("name") in _EVENTS:
            found = attributes_of(event)
            moment = time_of(event.get("timeUnixNano"))
            yield _event(line, trace, key, event["name"], attributes=found, body=None, moment=moment)


def _size(messages: object) -> int:
    try:
        found = structured(messages)
    except MalformedError:
        return 0  # said when the span is read
    return len(found) if isinstance(found, list) else 0


def _event(line: Line, trace: object, span: object, name: str, **more: Any) -> Piece:
    """`more` is `attributes`, `body` and `moment`."""
    return Piece(
        kind="event",
        trace=name_of(trace),
        parent=name_of(span),
        began=more["moment"],
        data={"name": name, "attributes": dict(more["attributes"]), "body": more["body"]},
        path=str(line.path),
        number=line.number,
    )


def model(piece: Piece, events: Sequence[Piece]) -> ModelCall | None:
    """The request of a span; None where it failed without an answer.

    Raises:
        MalformedError: a message in it is none.
    """
    data = piece.data
    for event in events:
        if event.data["name"] == _EVENTS[-1]:
            # What the span itself says stands before what is said about it.
            data = {**event.data["attributes"], **data}
    heard, answer = heard_of(data), answered(data)
    if not heard and answer is None:
        heard, answer = events_said(events)
    content = bool(heard) or answer is not None
    if answer is None and (content or data.get("failed")):
        return None
    tokens = data.get("gen_ai.usage.output_tokens", data.get("gen_ai.usage.completion_tokens"))
    return ModelCall(
        heard=heard,
        answer=answer,
        began=piece.began,
        ended=data.get("ended"),
        tokens=count_of(tokens),
        model=name_of(data.get("gen_ai.response.model")) or name_of(data.get("gen_ai.request.model")),
        tools=tools_of(structured(data.get("gen_ai.tool.definitions"))),
        content=content,
    )


def tool(piece: Piece) -> ToolRun:
    """The execution of a span.

    Raises:
        MalformedError: its arguments are no object.
    """
    data, name = piece.data, name_of(piece.data.get("gen_ai.tool.name"))
    args = data.get("gen_ai.tool.call.arguments")
    result = data.get("gen_ai.tool.call.result")
    return ToolRun(
        name=name,
        call_id=name_of(data.get("gen_ai.tool.call.id")),
        args=None if args is None else arguments(args, name),
        result=None if result is None else text_of(result),
        error=bool(data.get("failed")),
        began=piece.began,
        ended=data.get("ended"),
        real=data.get("specflow.outcome") not in _EARLY,
    )


def offered(piece: Piece) -> tuple[Mapping[str, Any], ...]:
    """The tools that the span of an agent says it has."""
    return tools_of(structured(piece.data.get("gen_ai.tool.definitions")))


IMPORTER = Importer(name=NAME, pieces=pieces, model=model, tool=tool, offered=offered)
