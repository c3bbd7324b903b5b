"""Recorded runs written as other programs would have traced them, and read again."""

from __future__ import annotations

import json
import lzma
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from specflow.traces.reading import Reading
from specflow.traces.recorded import RecordedRun

START = 1_760_000_000 * 10**9
"""Nanoseconds; a run is traced as if it had begun then."""

Record = dict[str, Any]


def iso(moment: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=moment // 1000)).isoformat()


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One request of a run: what was heard, what came of it, and when (ns)."""

    heard: list[Record]
    answer: Record
    began: int
    ended: int
    ran: list[tuple[Record, Record, int, int]]


def moments(run: Mapping[str, Any]) -> Iterable[Moment]:
    """The requests of a recorded run on a clock that only goes on. Messages are as OpenAI has them."""
    now, heard = START, []
    for turn in run["turns"]:
        said = {"role": turn["role"], "content": turn["content"]}
        if turn["role"] != "assistant":
            heard.append(said)
            continue
        if turn.get("reasoning"):
            said["reasoning_content"] = turn["reasoning"]
        if turn.get("tool_calls"):
            said["tool_calls"] = [
                {
                    "id": call["id"],
                    "type": "function",
                    "function": {"name": call["name"], "arguments": json.dumps(call["args"])},
                }
                for call in turn["tool_calls"]
            ]
        began, now = now, now + round(turn["gen_s"] * 10**9)
        ran, before = [], list(heard)
        ended = now
        heard.append(said)
        for call, result in zip(turn.get("tool_calls", ()), turn.get("tool_results", ()), strict=True):
            until = ended + round(result["seconds"] * 10**9)
            ran.append((call, result, ended, until))
            now = max(now, until)
            heard.append({"role": "tool", "tool_call_id": call["id"], "content": result["content"]})
        yield Moment(heard=before, answer=said, began=began, ended=ended, ran=ran)


def openai_lines(run: Mapping[str, Any], _trace: str = "") -> list[Record]:
    """One conversation, as for fine-tuning."""
    messages: list[Record] = []
    for moment in moments(run):
        messages = [*moment.heard, moment.answer]
        messages += [
            {"role": "tool", "tool_call_id": call["id"], "content": result["content"]}
            for call, result, *_times in moment.ran
        ]
    return [{"messages": messages, "tools": run["tools"], "model": run["model"], "id": run["task_id"]}]


def log_lines(run: Mapping[str, Any], trace: str = "c1") -> list[Record]:
    """A request with its response for each answer."""
    return [
        {
            "conversation_id": trace,
            "start_time": iso(moment.began),
            "end_time": iso(moment.ended),
            "request": {"model": run["model"], "messages": moment.heard, "tools": run["tools"]},
            "response": {"choices": [{"message": moment.answer}], "usage": {"completion_tokens": 7}},
        }
        for moment in moments(run)
    ]


def langsmith_lines(run: Mapping[str, Any], trace: str = "t1") -> list[Record]:
    """The runs of a trace: its root, and one for each request and each execution."""
    found = [{"id": trace, "trace_id": trace, "run_type": "chain", "inputs": {}, "start_time": iso(START)}]
    for number, moment in enumerate(moments(run)):
        # LangChain's own form of an answer.
        kwargs = {
            "type": "ai",
            "content": moment.answer["content"],
            "additional_kwargs": {"reasoning_content": moment.answer.get("reasoning_content", "")},
            "tool_calls": [
                {"id": call["id"], "name": call["name"], "args": call["args"], "type": "tool_call"}
                for call, *_rest in moment.ran
            ],
        }
        said = {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "AIMessage"]}
        message = {**said, "kwargs": kwargs}
        found.append(
            {
                "id": f"{trace}-m{number}",
                "trace_id": trace,
                "parent_run_id": trace,
                "run_type": "llm",
                "start_time": iso(moment.began),
                "end_time": iso(moment.ended),
                "inputs": {"messages": [moment.heard]},
                "outputs": {"generations": [[{"text": "", "message": message}]]},
                "extra": {"invocation_params": {"tools": run["tools"], "model": run["model"]}},
            }
        )
        found += [
            {
                "id": f"{trace}-m{number}-{place}",
                "trace_id": trace,
                "parent_run_id": trace,
                "run_type": "tool",
                "name": call["name"],
                "start_time": iso(began),
                "end_time": iso(ended),
                "inputs": call["args"],
                "outputs": {
                    "output": {"type": "tool", "content": result["content"], "tool_call_id": call["id"]}
                },
            }
            for place, (call, result, began, ended) in enumerate(moment.ran)
        ]
    return found


def value(of: object) -> Record:
    """An OTLP AnyValue."""
    if isinstance(of, bool):
        return {"boolValue": of}
    if isinstance(of, int):
        return {"intValue": str(of)}
    if isinstance(of, float):
        return {"doubleValue": of}
    if isinstance(of, list):
        return {"arrayValue": {"values": [value(item) for item in of]}}
    if isinstance(of, dict):
        return {"kvlistValue": {"values": attributes(of)}}
    return {"stringValue": of}


def attributes(of: Mapping[str, Any]) -> list[Record]:
    return [{"key": key, "value": value(item)} for key, item in of.items()]


def span(trace: str, key: str, times: tuple[int, int], said: Mapping[str, Any], **more: Any) -> Record:
    return {
        "traceId": trace,
        "spanId": key,
        "parentSpanId": "" if key == "root" else "root",
        "name": key,
        "startTimeUnixNano": str(times[0]),
        "endTimeUnixNano": str(times[1]),
        "attributes": attributes(said),
        **more,
    }


def request(*spans: Record) -> Record:
    """A line of the collector's file exporter."""
    return {"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {}, "spans": list(spans)}]}]}


def parts(message: Mapping[str, Any]) -> Record:
    """A message as the GenAI conventions have it since v1.37."""
    if message["role"] == "tool":
        found = [
            {"type": "tool_call_response", "id": message["tool_call_id"], "response": message["content"]}
        ]
        return {"role": "tool", "parts": found}
    found = []
    if message.get("reasoning_content"):
        found.append({"type": "reasoning", "content": message["reasoning_content"]})
    if message["content"]:
        found.append({"type": "text", "content": message["content"]})
    for call in message.get("tool_calls", ()):
        function = call["function"]
        args = json.loads(function["arguments"])
        found.append({"type": "tool_call", "id": call["id"], "name": function["name"], "arguments": args})
    return {"role": message["role"], "parts": found}


def _spans(
    run: Mapping[str, Any], trace: str, said: Callable[[Moment], tuple[Record, Record]]
) -> list[Record]:
    named = {"gen_ai.request.model": run["model"], "gen_ai.operation.name": "chat"}
    spans = [span(trace, "root", (START, START + 1), {"gen_ai.operation.name": "invoke_agent"})]
    for number, moment in enumerate(moments(run)):
        described, more = said(moment)
        tools = json.dumps([{"type": "function", **tool} for tool in run["tools"]])
        described |= {**named, "gen_ai.tool.definitions": tools}
        spans.append(span(trace, f"m{number}", (moment.began, moment.ended), described, **more))
        for place, (call, result, began, ended) in enumerate(moment.ran):
            ran = {
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": call["name"],
                "gen_ai.tool.call.id": call["id"],
                "gen_ai.tool.call.arguments": json.dumps(call["args"]),
                "gen_ai.tool.call.result": result["content"],
            }
            spans.append(span(trace, f"m{number}-{place}", (began, ended), ran))
    return [request(*spans[at : at + 2]) for at in range(0, len(spans), 2)]


def otel_lines(run: Mapping[str, Any], trace: str = "a1") -> list[Record]:
    """Spans with their messages as attributes."""

    def said(moment: Moment) -> tuple[Record, Record]:
        return {
            "gen_ai.input.messages": json.dumps([parts(message) for message in moment.heard]),
            "gen_ai.output.messages": [{**parts(moment.answer), "finish_reason": "stop"}],
        }, {}

    return _spans(run, trace, said)


def otel_event_lines(run: Mapping[str, Any], trace: str = "a1") -> list[Record]:
    """Spans as until v1.36: an event for each message."""

    def said(moment: Moment) -> tuple[Record, Record]:
        events = []
        for message in moment.heard:
            body = {key: item for key, item in message.items() if key != "role"}
            if message["role"] == "tool":
                body["id"] = body.pop("tool_call_id")
            events.append({"name": f"gen_ai.{message['role']}.message", "attributes": attributes(flat(body))})
        answer = json.dumps({"index": 0, "message": moment.answer})
        events.append({"name": "gen_ai.choice", "attributes": attributes({"gen_ai.event.content": answer})})
        return {}, {"events": events}

    return _spans(run, trace, said)


def flat(body: Mapping[str, Any]) -> Record:
    return {key: item if isinstance(item, str) else json.dumps(item) for key, item in body.items()}


FORMATS = {
    "openai": openai_lines,
    "log": log_lines,
    "langsmith": langsmith_lines,
    "otel": otel_lines,
    "otel-events": otel_event_lines,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """What the tests of this folder share."""

    formats: Mapping[str, Callable[..., list[Record]]]
    attributes: Callable[..., list[Record]] = attributes
    span: Callable[..., Record] = span
    request: Callable[..., Record] = request
    parts: Callable[..., Record] = parts

    def write(self, path: Path, lines: Iterable[Record | str | bytes], *, pack: bool = False) -> Path:
        """The lines in a file; texts and bytes as they are."""
        raw = b"".join(
            (
                line
                if isinstance(line, bytes)
                else (line if isinstance(line, str) else json.dumps(line)).encode()
            )
            + b"\n"
            for line in lines
        )
        path.write_bytes(lzma.compress(raw) if pack else raw)
        return path

    def read(self, *files: Path, **options: Any) -> tuple[list[RecordedRun], Reading]:
        """The runs of the files, and what was said about them."""
        reading = Reading(**options)
        return [imported.run for imported in reading.runs(files)], reading

    def run(self, *, model: str = "m", task: str = "7", order: str = "A-1") -> Record:
        """A short run: two calls side by side, then an answer."""
        calls = [
            {"id": f"{order}-{place}", "name": "look", "args": {"order_id": order, "part": place}}
            for place in (1, 2)
        ]
        results = [
            {"id": call["id"], "content": f"part {call['args']['part']}", "error": False, "seconds": 0.5}
            for call in calls
        ]
        return {
            "model": model,
            "task_id": task,
            "tools": [LOOK],
            "turns": [
                {"role": "user", "content": f"Where is {order}?"},
                {
                    "role": "assistant",
                    "content": "",
                    "reasoning": "I look.",
                    "gen_s": 2.0,
                    "tool_calls": calls,
                    "tool_results": results,
                },
                {"role": "assistant", "content": f"{order} is on its way.", "gen_s": 1.0},
            ],
        }


LOOK = {
    "name": "look",
    "description": "Looks up.",
    "parameters": {
        "type": "object",
        "properties": {"order_id": {"type": "string"}, "part": {"type": "integer"}},
        "required": ["order_id"],
    },
}


@pytest.fixture(scope="session")
def kit() -> Kit:
    return Kit(formats=FORMATS)
