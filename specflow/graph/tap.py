"""Seeing the model's stream: a callback that turns what any provider sends into framework-free chunks."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, GenerationChunk

from specflow.prediction.chunk import Chunk, ChunkKind
from specflow.prediction.think_tags import ThinkSplitter

log = logging.getLogger("specflow")

Hear = Callable[[Chunk], object]
REASONING_KEYS = ("reasoning_content", "reasoning")


class StreamTap(BaseCallbackHandler):
    """Hands every piece of a model's stream to `hear`.

    The pair of `tap_output_*` methods makes LangChain stream internally even under plain `invoke`.
    Runs inline: a handler in another task or thread would cost several times as much per chunk.
    """

    run_inline = True
    raise_error = False

    def __init__(self, hear: Hear) -> None:
        self._hear = hear
        self._splitters: dict[UUID | None, ThinkSplitter] = {}
        self._protocol: dict[UUID | None, str] = {}

    def tap_output_aiter(self, run_id: UUID, output: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """Present so that LangChain streams; the stream itself is left alone."""
        return output

    def tap_output_iter(self, run_id: UUID, output: Iterator[Any]) -> Iterator[Any]:
        """Present so that LangChain streams; the stream itself is left alone."""
        return output

    def on_llm_new_token(
        self,
        token: str | list[str | dict[str, Any]],
        *,
        chunk: GenerationChunk | ChatGenerationChunk | None = None,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """One chunk of a chat model's stream."""
        message = getattr(chunk, "message", None)
        # Some providers fire this and the event protocol for the same run: the first one counts.
        if isinstance(message, AIMessageChunk) and self._protocol.setdefault(run_id, "chunks") == "chunks":
            try:
                self._read_message(run_id, message)
            except Exception:  # what a provider sends is data: what cannot be read is not heard
                log.debug("a chunk of a model's stream cannot be read", exc_info=True)

    def on_stream_event(self, event: Any, *, run_id: UUID | None = None, **kwargs: Any) -> None:
        """One event of the v3 stream protocol."""
        if isinstance(event, dict) and self._protocol.setdefault(run_id, "events") == "events":
            try:
                self._read_event(run_id, event)
            except Exception:  # what a provider sends is data: what cannot be read is not heard
                log.debug("an event of a model's stream cannot be read", exc_info=True)

    def on_llm_error(self, error: BaseException, *, run_id: UUID | None = None, **kwargs: Any) -> None:
        """The attempt failed; a retry or fallback is a stream of its own."""
        self._splitters.pop(run_id, None)
        self._protocol.pop(run_id, None)

    def _read_message(self, run_id: UUID | None, message: AIMessageChunk) -> None:
        for key in REASONING_KEYS:
            extra = message.additional_kwargs.get(key)
            if isinstance(extra, str) and extra:
                self._say(run_id, ChunkKind.REASONING, extra)
                break
        if isinstance(message.content, str):
            self._text(run_id, message.content)
        else:
            self._blocks(run_id, message)
        for piece in message.tool_call_chunks:
            # Never `message.tool_calls`: in a partial chunk it shows complete-looking, empty arguments.
            self._hear(
                Chunk(
                    kind=ChunkKind.TOOL_CALL,
                    tool=piece.get("name") or "",
                    text=piece.get("args") or "",
                    index=_index(piece.get("index")),
                    stream=str(run_id or ""),
                )
            )

    def _blocks(self, run_id: UUID | None, message: BaseMessage) -> None:
        for block in message.content_blocks:
            if block["type"] == "reasoning":
                self._say(run_id, ChunkKind.REASONING, str(block.get("reasoning") or ""))
            elif block["type"] == "text":
                self._text(run_id, str(block.get("text") or ""))

    def _read_event(self, run_id: UUID | None, event: dict[str, Any]) -> None:
        if event.get("event") == "content-block-delta":
            delta = event.get("delta") or {}
            if delta.get("type") == "reasoning-delta":
                self._say(run_id, ChunkKind.REASONING, str(delta.get("reasoning") or ""))
            elif delta.get("type") == "text-delta":
                self._text(run_id, str(delta.get("text") or ""))
        elif event.get("event") == "content-block-finish":
            content = event.get("content") or {}
            if content.get("type") == "tool_call" and isinstance(content.get("args"), dict):
                self._whole_call(run_id, event, content)

    def _whole_call(self, run_id: UUID | None, event: dict[str, Any], content: dict[str, Any]) -> None:
        text = json.dumps(content["args"], allow_nan=False)
        self._hear(
            Chunk(
                kind=ChunkKind.TOOL_CALL,
                tool=str(content.get("name") or ""),
                text=text,
                index=_index(event.get("index")),
                complete=True,
                stream=str(run_id or ""),
            )
        )

    def _text(self, run_id: UUID | None, text: str) -> None:
        if not text:
            return
        splitter = self._splitters.get(run_id)
        if splitter is None:
            splitter = self._splitters[run_id] = ThinkSplitter()
        for kind, piece in splitter.feed(text):
            self._say(run_id, kind, piece)

    def _say(self, run_id: UUID | None, kind: ChunkKind, text: str) -> None:
        if text:
            self._hear(Chunk(kind=kind, text=text, stream=str(run_id or "")))


def _index(value: object) -> int:
    """Indexes are integers, except where a provider numbers blocks with strings."""
    if isinstance(value, int):
        return value
    return hash(value) if value is not None else 0
