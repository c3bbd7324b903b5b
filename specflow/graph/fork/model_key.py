"""When two model calls are the same call: the fingerprint of model, settings, arguments and messages.

Compared is what the provider is sent, and not what is only kept beside it: ids of messages, token counts and
response metadata do not count; ids of tool calls count by their position. The order of the keys in a call's
arguments is kept, for a model reads it. Reasoning is left out only for providers that are not sent it back.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from pydantic import SecretStr

from specflow.graph.compat import forgets_reasoning

NOT_SENT = frozenset(
    {
        "callbacks",
        "verbose",
        "tags",
        "metadata",
        "cache",
        "rate_limiter",
        "name",
        "profile",
        "custom_get_token_ids",
    }
)
"""Fields of a chat model that change what happens around a call, not the call."""

CALL_BLOCKS = frozenset({"tool_call", "tool_use", "function_call"})
REASONING_BLOCKS = frozenset({"reasoning", "thinking", "redacted_thinking"})
REASONING_KEYS = frozenset({"reasoning_content", "reasoning", "reasoning_details"})
PLAIN_TEXT = frozenset({"type", "text", "index"})


class Unlike(Exception):  # noqa: N818 - no failure: the call is only one of a kind
    """Something in the call cannot be compared, so no other call is the same."""


def model_key(
    model: BaseChatModel,
    manner: str,
    messages: Sequence[BaseMessage],
    stop: Sequence[str] | None,
    arguments: Mapping[str, Any],
) -> str:
    """64 hex digits that are equal for equal calls of one session. `manner` is `stream` or `whole`.

    Objects without a value of their own (functions, clients, classes) are equal to themselves only; whoever
    keeps the key must keep model and arguments alive with it.

    Raises:
        Unlike: no such key can be made.
    """
    kind = type(model)
    settings = {name: model.__dict__.get(name) for name in _fields(kind)}
    bound = {name: value for name, value in arguments.items() if name != "stream"}
    said = normalised(messages, reasoning=not forgets_reasoning(model, bound))
    whole = [kind.__module__, kind.__qualname__, manner, settings, stop or None, bound, said]
    try:
        text = json.dumps(whole, default=_stand_in, ensure_ascii=True, check_circular=True)
    except (TypeError, ValueError, RecursionError) as error:
        raise Unlike(str(error)) from error
    return hashlib.sha256(text.encode()).hexdigest()


def normalised(messages: Sequence[BaseMessage], *, reasoning: bool) -> list[Any]:
    """The messages as far as a provider is sent them; `reasoning` says whether that is, too."""
    ids: dict[Any, int] = {}
    return [_message(message, ids, reasoning) for message in messages]


def _message(message: BaseMessage, ids: dict[Any, int], reasoning: bool) -> list[Any]:
    # Read as a dictionary: a conversation is read anew for each call of a model.
    held = message.__dict__
    content, extra = held["content"], held["additional_kwargs"]
    # First the calls: content blocks refer to them.
    calls = held.get("tool_calls")
    asked: Any = [[_nth(ids, call["id"]), call["name"], call["args"]] for call in calls] if calls else None
    broken = held.get("invalid_tool_calls")
    if broken:
        asked = [asked, [[_nth(ids, call["id"]), call["name"], call["args"]] for call in broken]]
    if isinstance(message, ToolMessage):
        asked = [_nth(ids, message.tool_call_id), message.status]
    if extra and isinstance(message, AIMessage):
        extra = {name: value for name, value in extra.items() if _counts(name, message, reasoning)}
    said = content if isinstance(content, str) else _blocks(content, ids, reasoning)
    return [held["type"], held["name"], held.get("role"), asked, extra or None, said]


def _counts(name: str, message: AIMessage, reasoning: bool) -> bool:
    if name in {"tool_calls", "function_call"} and (message.tool_calls or message.invalid_tool_calls):
        return False  # the raw form of what is compared already
    return reasoning or name not in REASONING_KEYS


def _blocks(content: Iterable[Any], ids: dict[Any, int], reasoning: bool) -> Any:
    """A text, where the blocks are no more than that; else the blocks, texts in a row joined."""
    kept: list[Any] = []
    for block in content:
        if isinstance(block, str) or (block.get("type") == "text" and block.keys() <= PLAIN_TEXT):
            text = block if isinstance(block, str) else block.get("text", "")
            if kept and isinstance(kept[-1], str):
                kept[-1] += text
            else:
                kept.append(text)
            continue
        kind = block.get("type")
        if kind in CALL_BLOCKS:
            kept.append([kind, _nth(ids, block.get("call_id") or block.get("id"))])
        elif reasoning or kind not in REASONING_BLOCKS:
            kept.append({name: value for name, value in block.items() if name != "index"})
    if not kept:
        return ""
    return kept[0] if len(kept) == 1 and isinstance(kept[0], str) else kept


def _nth(ids: dict[Any, int], identity: Any) -> int:
    return ids.setdefault(identity, len(ids))


@lru_cache(maxsize=256)
def _fields(kind: type[BaseChatModel]) -> tuple[str, ...]:
    """Fields by value. Those a model leaves out of its own dump are its clients, made from the others."""
    return tuple(
        name for name, field in kind.model_fields.items() if not field.exclude and name not in NOT_SENT
    )


def _stand_in(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return ["secret", hashlib.sha256(value.get_secret_value().encode()).hexdigest()]
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple | set | frozenset):
        return ["set", *sorted(map(repr, value))] if not isinstance(value, tuple) else list(value)
    return [type(value).__qualname__, id(value)]
