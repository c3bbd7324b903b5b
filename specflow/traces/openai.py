"""Conversations as OpenAI writes them: for fine-tuning, and as logs of requests with their responses.

A line `{"messages": [...], "tools": [...]}` is a whole conversation, and every answer in it a step. A line
`{"request": {...}, "response": {...}}` is one request to chat completions (or to a
server that speaks like it); requests of one conversation are joined. `start_time` and `end_time` beside
them (ISO 8601) are read, where a log has them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from specflow.traces.finish import checked, finished
from specflow.traces.gather import Imported, Importer
from specflow.traces.lines import Line
from specflow.traces.message import conversation, message, tools_of
from specflow.traces.moment import nanoseconds
from specflow.traces.notes import Notes
from specflow.traces.said import MalformedError, ModelCall, Piece, Said, count_of, name_of
from specflow.traces.threads import Thread

NAME = "openai"
_NAMES = ("task_id", "custom_id", "conversation_id", "thread_id", "session_id", "id")
_TOGETHER = ("conversation_id", "thread_id", "session_id")
_BEGAN, _ENDED = ("start_time", "started_at"), ("end_time", "ended_at")


def whole(line: Line, value: Mapping[str, Any], notes: Notes) -> Imported | None:
    """The conversation of a line; None where the model says nothing in it.

    Raises:
        MalformedError: a message in it is none.
    """
    heard = conversation(value.get("messages"))
    thread = Thread(place=line.place, model=name_of(value.get("model")))
    for said in heard:
        thread.add(said, given=False)
    thread.know(tools_of(value.get("tools") or value.get("functions")))
    task = _named(value, _NAMES) or _opening(heard)
    made = finished(thread, [], source=NAME, task=task, notes=notes)
    if made is None:
        notes.note("unanswered", line.place)
        return None
    return Imported(run=checked(made, number=line.number), line=made, path=str(line.path))


def pieces(line: Line, value: Mapping[str, Any]) -> Iterator[Piece]:
    """The request of a line. Conversations are told apart by an id in the record, or by how they open.

    Raises:
        MalformedError: it has no messages.
    """
    request, response = value.get("request"), value.get("response")
    if not isinstance(request, dict):
        raise MalformedError("'request' is no object")
    # Some logs keep what went over the wire.
    request = request["body"] if isinstance(request.get("body"), dict) else request
    if isinstance(response, dict) and isinstance(response.get("body"), dict):
        response = response["body"]
    heard = conversation(request.get("messages"))
    metadata = request.get("metadata")
    named = _named(value, _TOGETHER) or _named(metadata if isinstance(metadata, dict) else {}, _TOGETHER)
    opening = named or _opening(heard)
    began, ended = _times(value)
    yield Piece(
        kind="model",
        trace=opening,
        conversation=opening,
        began=began,
        size=len(heard),
        data={"request": request, "response": response, "began": began, "ended": ended},
        path=str(line.path),
        number=line.number,
    )


def model(piece: Piece, _events: Sequence[Piece]) -> ModelCall | None:
    """The request of a record; None where it was not answered.

    Raises:
        MalformedError: a message in it is none.
    """
    request, response = piece.data["request"], piece.data["response"]
    answer = _answer(response)
    if answer is None:
        return None
    usage = response.get("usage")
    counted = usage if isinstance(usage, dict) else {}
    return ModelCall(
        heard=conversation(request["messages"]),
        answer=answer,
        began=piece.data["began"],
        ended=piece.data["ended"],
        tokens=count_of(counted.get("completion_tokens", counted.get("output_tokens"))),
        model=name_of(response.get("model")) or name_of(request.get("model")),
        tools=tools_of(request.get("tools") or request.get("functions")),
    )


def _no_tool(piece: Piece) -> Any:
    raise MalformedError(f"{piece.place} is no run of a tool")


IMPORTER = Importer(name=NAME, pieces=pieces, model=model, tool=_no_tool, whole=False)


def _answer(response: object) -> Said | None:
    if not isinstance(response, dict):
        return None
    choices = response.get("choices")
    if isinstance(choices, list) and choices:
        found = choices[0].get("message") if isinstance(choices[0], dict) else None
    else:
        found = response if "content" in response or "tool_calls" in response else response.get("message")
    if found is None:
        return None
    said = next(message({"role": "assistant", **found} if isinstance(found, dict) else found))
    if said.role != "assistant":
        raise MalformedError(f"the model's answer is a message of the {said.role}")
    return said


def _times(value: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """When the request began and ended (ns), as far as the log says. `created` of a response is in whole
    seconds and says nothing about how long it took: it is not used.
    """
    began, ended = (
        next((nanoseconds(value[key]) for key in keys if value.get(key)), None) for keys in (_BEGAN, _ENDED)
    )
    return began, ended


def _named(value: Mapping[str, Any], names: tuple[str, ...]) -> str:
    return next((found for name in names if (found := name_of(value.get(name)))), "")


def _opening(heard: Sequence[Said]) -> str:
    """A name for how a conversation opens. What opens alike counts as one task: a training that leaves a
    task out must not see its twin.
    """
    first: list[str] = []
    for said in heard:
        first.append(f"{said.role}\0{said.text}")
        if said.role == "user":
            break
    return hashlib.sha256("\0\0".join(first).encode("utf-8", "surrogatepass")).hexdigest()[:16]
