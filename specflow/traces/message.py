"""A message as OpenAI, Anthropic, LangChain or LangSmith write it, read into what was said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from specflow.traces.said import Asked, MalformedError, Role, Said, arguments, name_of, text_of

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "model": "assistant",
    "tool": "tool",
    "function": "tool",
}  # fmt: skip

# Tuples, not sets: what is looked for in them may be anything, also what has no hash.
_TEXTS = (None, "text", "summary_text", "input_text", "output_text", "refusal")
_THOUGHTS = ("thinking", "reasoning", "reasoning_content")


def conversation(value: object) -> tuple[Said, ...]:
    """The messages of a list, in order. One message may say several things (Anthropic puts the results of
    all tools into one).

    Raises:
        MalformedError: something in it is no message.
    """
    if not isinstance(value, list):
        raise MalformedError("the messages are no list")
    # LangChain keeps a list for each prompt of a batch; an agent has one.
    if len(value) == 1 and isinstance(value[0], list):
        value = value[0]
    found: list[Said] = []
    for number, entry in enumerate(value):
        try:
            found.extend(message(entry))
        except MalformedError as error:
            raise MalformedError(f"messages.{number}: {error}") from error
    return tuple(found)


def message(value: object) -> Iterator[Said]:
    """What one message says.

    Raises:
        MalformedError: it is none.
    """
    # LangChain's pairs, and the text that stands for a person's message.
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str):
        value = {"role": value[0], "content": value[1]}
    if not isinstance(value, dict):
        raise MalformedError(f"a message is an object, not {type(value).__name__}")
    given = _unwrapped(value)
    role = _role(given)
    content = given.get("content")
    blocks = [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
    if role == "user":
        # Results first: that is the order in which the model got them.
        yield from (_result(block) for block in blocks if block.get("type") == "tool_result")
        text = _text(content)
        if text or not any(block.get("type") == "tool_result" for block in blocks):
            yield Said(role=role, text=text)
    elif role == "tool":
        error = given.get("status") == "error" or given.get("is_error") is True
        call_id = name_of(given.get("tool_call_id") or given.get("id"))
        yield Said(
            role=role, text=_text(content), call_id=call_id, tool=name_of(given.get("name")), error=error
        )
    elif role == "assistant":
        yield Said(
            role=role, text=_text(content), reasoning=_reasoning(given, blocks), calls=_calls(given, blocks)
        )
    else:
        yield Said(role=role, text=_text(content))


def _unwrapped(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """Without the envelopes of LangChain: `{lc, type: constructor, id, kwargs}` and `{type, data}`."""
    kwargs, data, kind = value.get("kwargs"), value.get("data"), value.get("id")
    if "lc" in value and isinstance(kwargs, dict):
        name = kind[-1] if isinstance(kind, list) and kind else ""
        return {"type": _lower(name), **kwargs}
    if isinstance(data, dict) and "role" not in value:
        return {"type": value.get("type"), **data}
    return value


def _lower(name: object) -> str:
    """`AIMessageChunk` is what an `ai` says."""
    return name_of(name).removesuffix("Chunk").removesuffix("Message").lower()


def _role(given: Mapping[str, Any]) -> Role:
    said = given.get("role")
    named = said if isinstance(said, str) and said else given.get("type")
    role = _ROLES.get(named, _ROLES.get(_lower(named))) if isinstance(named, str) else None
    if role is None:
        raise MalformedError(f"the role {str(named)[:40]!r} is not known")
    return role


def _text(content: object) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, dict):
        return text_of(content)
    if not isinstance(content, list):
        raise MalformedError(f"a content is text or a list, not {type(content).__name__}")
    parts = []
    for block in content:
        if isinstance(block, str):
            parts.append(block)
        elif isinstance(block, dict) and block.get("type") in _TEXTS:
            parts.append(name_of(block.get("text") or block.get("refusal")))
    return "".join(parts)


def _reasoning(given: Mapping[str, Any], blocks: list[dict[str, Any]]) -> str:
    more = given.get("additional_kwargs")
    for place in (given, more if isinstance(more, dict) else {}):
        for key in ("reasoning_content", "reasoning", "thinking"):
            if isinstance(place.get(key), str) and place[key]:
                return str(place[key])
    parts = []
    for block in blocks:
        if block.get("type") in _THOUGHTS:
            said = next((block[key] for key in ("thinking", "reasoning", "text") if block.get(key)), None)
            summary = block.get("summary")
            parts.append(
                said if isinstance(said, str) else _text(summary if isinstance(summary, list) else [])
            )
    return "".join(parts)


def _calls(given: Mapping[str, Any], blocks: list[dict[str, Any]]) -> tuple[Asked, ...]:
    if given.get("invalid_tool_calls"):
        raise MalformedError("the model's call could not be read when it was recorded (invalid_tool_calls)")
    more = given.get("additional_kwargs")
    listed = given.get("tool_calls") or (more.get("tool_calls") if isinstance(more, dict) else None)
    if not listed and isinstance(given.get("function_call"), dict):
        listed = [{"function": given["function_call"]}]
    if not listed:
        listed = [block for block in blocks if block.get("type") == "tool_use"]
    if not isinstance(listed, list):
        raise MalformedError("'tool_calls' is no list")
    return tuple(call(entry) for entry in listed)


def call(entry: object) -> Asked:
    """A tool call in any of its forms: `{function: {name, arguments}}`, `{name, args}`, `{name, input}`.

    Raises:
        MalformedError: it names no tool, or its arguments are no object.
    """
    if not isinstance(entry, dict):
        raise MalformedError(f"a tool call is an object, not {type(entry).__name__}")
    function = entry.get("function")
    body = function if isinstance(function, dict) else entry
    name = body.get("name")
    if not isinstance(name, str) or not name:
        raise MalformedError("a tool call that names no tool")
    args = next((body[key] for key in ("arguments", "args", "input") if key in body), None)
    return Asked(name=name, args=arguments(args, name), id=name_of(entry.get("id")))


def _result(block: Mapping[str, Any]) -> Said:
    return Said(
        role="tool",
        text=_text(block.get("content")),
        call_id=name_of(block.get("tool_use_id")),
        error=block.get("is_error") is True,
    )


def tools_of(value: object) -> tuple[Mapping[str, Any], ...]:
    """The functions among the tools a model was given, each as `{name, description, parameters}`.

    What a provider runs itself (a web search) has no schema and is no tool of the agent.
    """
    found = []
    for entry in value if isinstance(value, list) else ():
        if not isinstance(entry, dict):
            continue
        inner = entry.get("function")
        function = inner if isinstance(inner, dict) else entry
        name = function.get("name")
        schema = next((function[key] for key in ("parameters", "input_schema") if key in function), None)
        if not isinstance(name, str) or not name:
            continue
        if schema is None and entry.get("type", "function") != "function":
            continue
        described = {"name": name, "description": name_of(function.get("description"))}
        # Without a schema it is still known that the tool was there.
        found.append(described if schema is None else {**described, "parameters": schema})
    return tuple(found)
