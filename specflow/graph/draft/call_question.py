"""What a model is asked that is to guess the agent's next calls: to do what the agent would do.

The text before the conversation never changes, and the conversation only grows at its end, so that a
provider's cache of prompts has what was asked before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.tools import StructuredTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from specflow.effects.call import canonical_json, digest
from specflow.effects.tool import ToolSpec
from specflow.graph.draft.rebuilt import ONE_PIECE, rebuilt
from specflow.prediction.predictor import TurnContext
from specflow.prediction.transcript import shortened, transcript

TASK = """\
You foresee the next step of an agent, so that work can begin before the agent has decided. What follows is \
what the agent sees. Make the calls that the agent will make in its next message, with exactly the arguments \
that it will give: all calls of that message, and none that it can only make later. If the agent will speak \
to the user first, make no call. Copy values as they stand, and make none up: a call that is nearly right is \
worth nothing. Explain nothing."""

IN_TEXT = """\
Answer with one JSON object and nothing else: {"calls": [{"tool": "...", "args": {...}}]} with the calls, or \
{"calls": []} for none. The tools that there are, a line of JSON each:"""

ASKED = "Which calls will the agent make in its next message? Answer with the JSON object."


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The messages. The same question has the same `key`."""

    messages: Sequence[BaseMessage]
    key: str


def question(context: TurnContext, *, most: int) -> Question | None:
    """For a model that has the tools; of the conversation at most so many characters.

    None: there is nothing to go on from.
    """
    messages = rebuilt(TASK, context.history, most=most)
    return _asked(messages) if messages else None


def question_in_text(
    functions: Sequence[dict[str, Any]], context: TurnContext, *, most: int
) -> Question | None:
    """The same for a model that takes no tools: all of it is text."""
    lines = transcript([shortened(item, most // ONE_PIECE) for item in context.history], most=most)
    if not lines:
        return None
    system = "\n".join([TASK, IN_TEXT, *map(canonical_json, functions)])
    asked = "\n".join(["The conversation:", *lines, ASKED])
    return _asked([SystemMessage(system), HumanMessage(asked)])


def functions_of(tools: Iterable[ToolSpec]) -> list[dict[str, Any]]:
    """The tools as the agent's model has them, in their order, as for function calling."""
    return [_function_of(tool) for tool in tools]


def _function_of(tool: ToolSpec) -> dict[str, Any]:
    plain = dict(tool.parameters)
    try:
        made = StructuredTool(name=tool.name, description=tool.description, args_schema=plain)
        function: dict[str, Any] = convert_to_openai_tool(made)["function"]
    except Exception:  # noqa: BLE001 - a schema that LangChain cannot follow (a bad $ref): as it stands, then
        return {"name": tool.name, "description": tool.description, "parameters": plain}
    return function


def _asked(messages: Sequence[BaseMessage]) -> Question:
    parts: list[str] = []
    for message in messages:
        calls = message.tool_calls if isinstance(message, AIMessage) else []
        parts += [message.type, message.text, json.dumps(calls)]
    return Question(messages=messages, key=digest(*parts))
