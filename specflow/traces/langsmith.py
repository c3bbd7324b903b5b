"""Runs as LangSmith exports them: one JSON object per run, children and parents in any order.

A run has `id`, `trace_id`, `parent_run_id`, `run_type`, `inputs`, `outputs`, `start_time`, `end_time`,
`error` and `extra` (`invocation_params` with the tools a model was given, `metadata` with the thread):
https://docs.langchain.com/langsmith/run-data-format
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from specflow.traces.gather import Importer
from specflow.traces.lines import Line
from specflow.traces.message import conversation, message, tools_of
from specflow.traces.moment import nanoseconds
from specflow.traces.said import (
    MalformedError,
    ModelCall,
    Piece,
    Said,
    ToolRun,
    arguments,
    count_of,
    name_of,
    parsed,
    text_of,
)

NAME = "langsmith"
_MODELS = frozenset({"llm", "chat", "chat_model"})
_KEPT = ("name", "inputs", "outputs", "start_time", "end_time", "error")
_THREADS = ("thread_id", "conversation_id", "session_id")


def pieces(line: Line, run: Mapping[str, Any]) -> Iterator[Piece]:
    """The run of a line. Of runs that are of no model and no tool only the place in the tree is kept.

    Raises:
        MalformedError: it has no id, no type, or no time that is one.
    """
    key, kind = name_of(run.get("id")), run.get("run_type")
    if not key:
        raise MalformedError("a run without 'id'")
    if not isinstance(kind, str) or not kind:
        raise MalformedError("a run without 'run_type'")
    model, tool = kind in _MODELS, kind == "tool"
    extra = _object(run.get("extra"))
    metadata = _object(extra.get("metadata"))
    data: dict[str, Any] = {}
    if model or tool:
        data = {name: run[name] for name in _KEPT if run.get(name) is not None}
        data |= {name: _object(data.get(name)) for name in ("inputs", "outputs")}
        data["params"] = _object(extra.get("invocation_params"))
        data["tool_call_id"] = name_of(extra.get("tool_call_id"))
        data["model"] = name_of(metadata.get("ls_model_name"))
        data["tokens"] = run.get("completion_tokens")
    else:
        # What a dataset asks again and again is one task.
        data["task"] = name_of(run.get("reference_example_id"))
    messages = _list(data.get("inputs", {}).get("messages"))
    yield Piece(
        kind="model" if model else "tool" if tool else "other",
        trace=name_of(run.get("trace_id")) or key,
        key=key,
        parent=name_of(run.get("parent_run_id")),
        conversation=next((name_of(metadata[name]) for name in _THREADS if metadata.get(name)), ""),
        began=nanoseconds(run.get("start_time")),
        size=len(messages),
        data=data,
        path=str(line.path),
        number=line.number,
    )


def model(piece: Piece, _events: Sequence[Piece]) -> ModelCall | None:
    """The request of a model's run; None where it was not answered.

    Raises:
        MalformedError: a message in it is none.
    """
    data = piece.data
    inputs, outputs, params = data["inputs"], data["outputs"], data["params"]
    answer = _answer(outputs)
    if answer is None:
        return None
    offered = params.get("tools") or params.get("functions") or inputs.get("tools")
    named = (params.get(name) for name in ("model", "model_name", "model_id"))
    return ModelCall(
        heard=_heard(inputs),
        answer=answer,
        began=piece.began,
        ended=nanoseconds(data.get("end_time")),
        tokens=_tokens(outputs, data.get("tokens")),
        model=data["model"] or next((name_of(name) for name in named if name), name_of(data.get("name"))),
        tools=tools_of(offered),
    )


def tool(piece: Piece) -> ToolRun:
    """The execution of a tool."""
    data = piece.data
    output = data["outputs"].get("output", data["outputs"] or None)
    call_id, result, failed = data["tool_call_id"], None, bool(data.get("error"))
    if isinstance(output, dict) and ("lc" in output or output.get("type") == "tool"):
        said = next(message(output))
        call_id, result, failed = call_id or said.call_id, said.text, failed or said.error
    elif output is not None:
        result = text_of(output)
    elif failed:
        result = text_of(data["error"])
    return ToolRun(
        name=name_of(data.get("name")),
        call_id=call_id,
        args=_arguments(data["inputs"]),
        result=result,
        error=failed,
        began=piece.began,
        ended=nanoseconds(data.get("end_time")),
    )


IMPORTER = Importer(
    name=NAME, pieces=pieces, model=model, tool=tool, task=lambda piece: str(piece.data.get("task", ""))
)


def _object(value: object) -> dict[str, Any]:
    """Bulk exports keep inputs and outputs as JSON text."""
    if isinstance(value, str):
        try:
            value = parsed(value)
        except ValueError as error:
            raise MalformedError(
                f"'inputs', 'outputs' or 'extra' is text that is not JSON: {error}"
            ) from error
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    found = value if isinstance(value, list) else []
    return found[0] if len(found) == 1 and isinstance(found[0], list) else found


def _heard(inputs: Mapping[str, Any]) -> tuple[Said, ...]:
    if "messages" in inputs:
        system = inputs.get("system")  # Anthropic's wrapper keeps it beside the messages
        first = (Said(role="system", text=system),) if isinstance(system, str) and system else ()
        return (*first, *conversation(inputs["messages"]))
    prompts = inputs.get("prompts", inputs.get("prompt", inputs.get("input")))
    if isinstance(prompts, list) and all(isinstance(prompt, str) for prompt in prompts):
        prompts = "\n".join(prompts)
    # All that is left of the messages is what they looked like in one text.
    return (Said(role="user", text=prompts),) if isinstance(prompts, str) else ()


def _answer(outputs: Mapping[str, Any]) -> Said | None:
    """The first answer: LangChain's generations, a provider's own reply, or a message."""
    found = _generation(outputs)
    if found is None:
        return None
    said = next(message(found))
    if said.role != "assistant":
        raise MalformedError(f"the model's answer is a message of the {said.role}")
    return said


def _generation(outputs: Mapping[str, Any]) -> object:
    generations, choices, messages = (outputs.get(name) for name in ("generations", "choices", "messages"))
    listed = _list(generations) or (choices if isinstance(choices, list) else [])
    if listed and isinstance(listed[0], dict):
        return listed[0].get("message") or {"role": "assistant", "content": listed[0].get("text")}
    if isinstance(messages, list) and messages:
        return messages[-1]
    if isinstance(outputs.get("message"), dict):
        return outputs["message"]
    if "role" in outputs or "content" in outputs:
        return {"role": "assistant", **outputs}
    output = outputs.get("output")
    return {"role": "assistant", "content": output} if isinstance(output, str) else output


def _tokens(outputs: Mapping[str, Any], counted: object) -> int | None:
    places: list[object] = [outputs.get("usage_metadata"), outputs.get("usage")]
    generations = _list(outputs.get("generations"))
    if generations and isinstance(generations[0], dict) and isinstance(generations[0].get("message"), dict):
        said = generations[0]["message"]
        kwargs = said.get("kwargs", said)
        places.append(kwargs.get("usage_metadata") if isinstance(kwargs, dict) else None)
    llm_output = outputs.get("llm_output")
    if isinstance(llm_output, dict):
        places += [llm_output.get("token_usage"), llm_output.get("usage")]
    for place in places:
        for key in ("output_tokens", "completion_tokens"):
            if isinstance(place, dict) and (found := count_of(place.get(key))) is not None:
                return found
    # Where nothing was counted, LangSmith says 0.
    return count_of(counted) or None


def _arguments(inputs: Mapping[str, Any]) -> dict[str, Any] | None:
    only = inputs.get("input")
    if len(inputs) == 1 and isinstance(only, str):
        try:
            return arguments(only, "")
        except MalformedError:
            return None  # Python's own way of writing them
    return dict(inputs)
