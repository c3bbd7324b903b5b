"""The pieces of a reply as LangChain's messages and chunks, for the model that needs no HTTP."""

from __future__ import annotations

from typing import Any

from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, AIMessageChunk, InvalidToolCall, ToolCall
from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata
from langchain_core.messages.tool import tool_call, tool_call_chunk
from langchain_core.output_parsers.openai_tools import make_invalid_tool_call, parse_tool_call

from specflow.prediction.chunk import ChunkKind
from specflow.testing.model_server.pieces import Piece, Speech
from specflow.testing.model_server.reply import Usage
from specflow.testing.model_server.wire import message as wire_message

# Content blocks are merged by index: one for all reasoning, one for all text, one for each call. LangChain
# numbers blocks without an index from 0 up, so the calls begin above the three kinds there are.
_REASONING_BLOCK, _TEXT_BLOCK, _FIRST_CALL_BLOCK = 0, 1, 3


def message_chunk(piece: Piece, *, blocks: bool, calls_as_blocks: bool) -> AIMessageChunk:
    """The chunk of one piece; with `blocks` the content is a list of blocks.

    `calls_as_blocks` numbers calls among the blocks of the content, as it must be where they become some.
    """
    if piece.kind is ChunkKind.TOOL_CALL:
        index = piece.index + (_FIRST_CALL_BLOCK if calls_as_blocks else 0)
        call = tool_call_chunk(
            name=piece.name or None, args=piece.text, id=piece.call_id or None, index=index
        )
        return AIMessageChunk(content="", tool_call_chunks=[call])
    if piece.kind is ChunkKind.TEXT:
        if blocks:
            return AIMessageChunk(content=[{"type": "text", "text": piece.text, "index": _TEXT_BLOCK}])
        return AIMessageChunk(content=piece.text)
    if blocks:
        block = {"type": "reasoning", "reasoning": piece.text, "index": _REASONING_BLOCK}
        return AIMessageChunk(content=[block])
    return AIMessageChunk(content="", additional_kwargs={"reasoning_content": piece.text})


def whole_message(speech: Speech, *, blocks: bool) -> AIMessage:
    """The finished message. Not the joined chunks: those mend broken arguments, a whole answer does not."""
    said = wire_message(speech)
    reasoning: str = said.get("reasoning_content", "")
    text: str = said["content"] or ""
    content: str | list[str | dict[Any, Any]] = text
    if blocks:
        parts = [{"type": "reasoning", "reasoning": reasoning}, {"type": "text", "text": text}]
        content = [part for part in parts if part[part["type"]]]
    calls: list[ToolCall] = []
    invalid: list[InvalidToolCall] = []
    for call in said.get("tool_calls", []):
        try:
            parsed = parse_tool_call(call, return_id=True) or {}
            calls.append(tool_call(name=parsed["name"], args=parsed["args"], id=parsed["id"]))
        except OutputParserException as error:
            invalid.append(make_invalid_tool_call(call, str(error)))
    return AIMessage(
        content=content,
        tool_calls=calls,
        invalid_tool_calls=invalid,
        additional_kwargs={"reasoning_content": reasoning} if reasoning and not blocks else {},
        usage_metadata=usage_metadata(speech.usage),
    )


def usage_metadata(usage: Usage) -> UsageMetadata:
    """LangChain's token counts."""
    prompt, completion = usage.prompt_tokens or 0, usage.completion_tokens or 0
    return UsageMetadata(
        input_tokens=prompt,
        output_tokens=completion,
        total_tokens=prompt + completion,
        input_token_details=InputTokenDetails(),
        output_token_details=OutputTokenDetails(reasoning=usage.reasoning_tokens or 0),
    )
