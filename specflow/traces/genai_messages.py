"""The messages of GenAI spans: as attributes, and as the events of the earlier conventions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from specflow.traces.message import call, message
from specflow.traces.said import MalformedError, Piece, Said, name_of, parsed, text_of

_CHOICE = "gen_ai.choice"


def structured(value: object) -> Any:
    """An attribute that may be JSON text, as backends without structured attributes get it.

    Raises:
        MalformedError: it is text that is not JSON (it may have been cut off).
    """
    if not isinstance(value, str):
        return value
    try:
        return parsed(value)
    except ValueError as error:
        raise MalformedError(f"an attribute with messages is not JSON (cut off?): {error}") from error


def heard_of(data: Mapping[str, Any]) -> tuple[Said, ...]:
    """What the model was told: the instructions, then the messages.

    Raises:
        MalformedError: a message is none.
    """
    system = structured_or_text(data.get("gen_ai.system_instructions"))
    first = (Said(role="system", text=_texts(system)),) if system else ()
    messages = structured(data.get("gen_ai.input.messages"))
    if messages is None:
        return ()
    if not isinstance(messages, list):
        raise MalformedError("'gen_ai.input.messages' is no list")
    return (*first, *(said for entry in messages for said in _message(entry)))


def answered(data: Mapping[str, Any]) -> Said | None:
    """The first of the model's answers.

    Raises:
        MalformedError: it is no message.
    """
    messages = structured(data.get("gen_ai.output.messages"))
    if not isinstance(messages, list) or not messages:
        return None
    entry = messages[0]
    if isinstance(entry, dict):
        entry = {"role": "assistant", **entry}
    return next((said for said in _message(entry) if said.role == "assistant"), None)


def structured_or_text(value: object) -> Any:
    """Instructions are parts, or simply text."""
    try:
        return structured(value)
    except MalformedError:
        return value


def _message(entry: object) -> Iterator[Said]:
    """A message made of parts; one with a `content` is read as a provider's."""
    parts = entry.get("parts") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or not isinstance(parts, list):
        yield from message(entry)
        return
    if not all(isinstance(part, dict) for part in parts):
        raise MalformedError("a part of a message is no object")
    role = entry.get("role")
    results = [_result(part) for part in parts if part.get("type") == "tool_call_response"]
    yield from results
    text = _texts([part for part in parts if part.get("type") == "text"])
    if role in ("assistant", "model"):
        thoughts = _texts([part for part in parts if part.get("type") == "reasoning"])
        calls = tuple(call(part) for part in parts if part.get("type") == "tool_call")
        yield Said(role="assistant", text=text, reasoning=thoughts, calls=calls)
    elif text or not results:
        yield from message({"role": role, "content": text})


def _result(part: Mapping[str, Any]) -> Said:
    # `result` in older conventions, `response` since.
    text = text_of(part.get("response", part.get("result")))
    return Said(role="tool", text=text, call_id=name_of(part.get("id")).strip())


def _texts(parts: object) -> str:
    if isinstance(parts, str):
        return parts
    listed = parts if isinstance(parts, list) else [parts]
    return "".join(name_of(part.get("content")) for part in listed if isinstance(part, dict))


def events_said(events: Sequence[Piece]) -> tuple[tuple[Said, ...], Said | None]:
    """What the events of a span say was heard and answered.

    Raises:
        MalformedError: an event holds no message.
    """
    heard: list[Said] = []
    answer: Said | None = None
    # All at one moment where the clock is coarse: then in the order in which they came.
    for event in sorted(events, key=lambda event: event.began or 0):
        name = event.data["name"]
        if name == _CHOICE:
            answer = answer or _choice(_body(event))
        elif name == "gen_ai.content.prompt":
            found = structured(event.data["attributes"].get("gen_ai.prompt"))
            heard.extend(said for entry in found or () for said in message(entry))
        elif name == "gen_ai.content.completion":
            found = structured(event.data["attributes"].get("gen_ai.completion"))
            if isinstance(found, list) and found and answer is None:
                answer = next(message(found[0]), None)
        elif name.endswith(".message"):
            role = name.split(".")[1]
            heard.extend(message({**_body(event), "role": role}))
    return tuple(heard), answer


def _body(event: Piece) -> dict[str, Any]:
    """The content of an event: the body of a log record, one attribute that holds it all, or attributes."""
    body, attributes = event.data["body"], event.data["attributes"]
    found = structured(body if body is not None else attributes.get("gen_ai.event.content"))
    if not isinstance(found, dict):
        found = dict(attributes)
    for key in ("tool_calls", "message"):
        value = found.get(key)
        if isinstance(value, str) and value[:1] in {"{", "["}:
            found[key] = structured(value)
    return found


def _choice(body: Mapping[str, Any]) -> Said:
    inner = body.get("message")
    said = {"content": inner} if isinstance(inner, str) else inner if isinstance(inner, dict) else body
    calls = said.get("tool_calls") or body.get("tool_calls")
    return next(message({**said, "role": "assistant", "tool_calls": calls}))
