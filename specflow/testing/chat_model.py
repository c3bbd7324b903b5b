"""`ScriptedChatModel`: the scripts of the model server as a LangChain chat model, without HTTP."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, Literal

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    convert_to_openai_messages,
)
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import ConfigDict, Field, PrivateAttr, field_validator

from specflow.errors import WorldError
from specflow.testing.model_server.message_chunks import message_chunk, usage_metadata, whole_message
from specflow.testing.model_server.pace import Pace, Timing
from specflow.testing.model_server.pieces import Ending, Piece, Speech, speak
from specflow.testing.model_server.reply import Reply
from specflow.testing.model_server.request import prompt_tokens
from specflow.testing.model_server.script import Script, as_script, replies_given
from specflow.testing.model_server.tokens import Splitter, split_tokens

HANG = 86_400.0
"""Seconds a reply with `hang_after` is silent before the model gives up: a day, real or virtual."""

Shape = Literal["field", "inline", "blocks"]


class ScriptedModelError(WorldError):
    """A scripted failure: an HTTP status, or a connection that was cut (status 0)."""

    code = "model"


class ScriptedChatModel(BaseChatModel):
    """A chat model that says what a script tells it: same scripts, same messages as `ModelServer`.

    `script` is a list of `Reply`, a function of OpenAI message objects, or a `Script`. `reasoning` says
    how reasoning is streamed: `additional_kwargs["reasoning_content"]` ("field"), `<think>` in the text
    ("inline") or content blocks of type reasoning ("blocks"). `delay` is seconds for each token,
    where the reply does not have its own `pace` or `seconds`; `speed` divides all times (None: no waiting).
    Asynchronous calls wait with `asyncio.sleep`, so they keep the loop's time, also a virtual one.
    `split` cuts texts into chunks, by default a token each.

    Raises:
        ScriptedModelError: where the script has an error, a cut or a hang.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    script: Any  # a ScriptLike; kept as a Script
    reasoning: Shape = "field"
    delay: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    first_token: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    speed: float | None = 1.0
    split: Splitter = split_tokens
    model_name: str = "scripted"
    _lock: threading.Lock = PrivateAttr(default_factory=threading.Lock)
    _requests: list[list[dict[str, Any]]] = PrivateAttr(default_factory=list)
    _differences: list[str] = PrivateAttr(default_factory=list)
    _released: threading.Event = PrivateAttr(default_factory=threading.Event)

    @field_validator("script", mode="before")
    @classmethod
    def _as_script(cls, script: Any) -> Script:
        return as_script(script)

    @property
    def _llm_type(self) -> str:
        return "specflow-scripted"

    @property
    def requests(self) -> list[list[dict[str, Any]]]:
        """The message lists so far, as OpenAI message objects, in order of arrival."""
        with self._lock:
            return list(self._requests)

    @property
    def differences(self) -> list[str]:
        """What was not as the script expects it, a line each."""
        with self._lock:
            return list(self._differences)

    def release(self) -> None:
        """End every synchronous hang at once."""
        self._released.set()

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | dict[str, Any] | bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Accepts tools as every chat model does; the script alone decides what is called."""
        offered = [convert_to_openai_tool(tool) for tool in tools]
        return self.bind(tools=offered, tool_choice=tool_choice, **kwargs)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        reply, speech, timing = self._consult(messages)
        started = time.monotonic()  # the caller's thread sleeps in the machine's time
        said = 0
        for piece in speech.pieces:
            said += piece.tokens
            time.sleep(max(0.0, started + timing.due(said) - time.monotonic()))
            chunk = self._chunk(piece)
            if run_manager:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk
        if speech.ending is Ending.HANG:
            self._released.wait(HANG)
        yield self._last(reply, speech)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        reply, speech, timing = self._consult(messages)
        loop = asyncio.get_running_loop()
        started = loop.time()
        said = 0
        for piece in speech.pieces:
            said += piece.tokens
            # Also without a delay: between two chunks of a real model the loop does other things.
            await asyncio.sleep(max(0.0, started + timing.due(said) - loop.time()))
            chunk = self._chunk(piece)
            if run_manager:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk
        if speech.ending is Ending.HANG:
            await asyncio.sleep(HANG)
        yield self._last(reply, speech)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        reply, speech, timing = self._consult(messages)
        time.sleep(timing.due(sum(piece.tokens for piece in speech.pieces)))
        if speech.ending is Ending.HANG:
            self._released.wait(HANG)
        return self._result(reply, speech)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        reply, speech, timing = self._consult(messages)
        await asyncio.sleep(timing.due(sum(piece.tokens for piece in speech.pieces)))
        if speech.ending is Ending.HANG:
            await asyncio.sleep(HANG)
        return self._result(reply, speech)

    def _consult(self, messages: list[BaseMessage]) -> tuple[Reply, Speech, Timing]:
        asked: list[dict[str, Any]] = convert_to_openai_messages(messages)
        with self._lock:
            self._requests.append(asked)
        reply: Reply = self.script.reply_to(asked)
        with self._lock:
            self._differences.extend(self.script.differences(asked))
        if reply.error is not None and reply.die_after is None:
            raise _failure(reply)
        speech = speak(
            reply,
            number=replies_given(asked),
            prompt_tokens=prompt_tokens(asked),
            inline=self.reasoning == "inline",
            split=self.split,
        )
        rate = 1 / self.delay if self.delay else None
        pace = Pace(tokens_per_second=rate, first_token=self.first_token, speed=self.speed)
        return reply, speech, pace.timing(reply, speech.whole)

    def _chunk(self, piece: Piece) -> ChatGenerationChunk:
        blocks = self.reasoning == "blocks"
        numbered = blocks or self.output_version == "v1"
        return ChatGenerationChunk(message=message_chunk(piece, blocks=blocks, calls_as_blocks=numbered))

    def _info(self, reply: Reply, speech: Speech) -> dict[str, Any]:
        """What is known at the end; the end of a reply with trouble is an error."""
        if speech.ending is not Ending.FINISH:
            raise _failure(reply)
        return {"finish_reason": reply.finish_reason, "model_name": self.model_name}

    def _last(self, reply: Reply, speech: Speech) -> ChatGenerationChunk:
        info = self._info(reply, speech)
        message = AIMessageChunk(content="", usage_metadata=usage_metadata(speech.usage))
        return ChatGenerationChunk(message=message, generation_info=info)

    def _result(self, reply: Reply, speech: Speech) -> ChatResult:
        info = self._info(reply, speech)
        message = whole_message(speech, blocks=self.reasoning == "blocks")
        return ChatResult(generations=[ChatGeneration(message=message, generation_info=info)])


def _failure(reply: Reply) -> ScriptedModelError:
    if reply.error is None:
        return ScriptedModelError("the connection was cut by the script", status=0)
    return ScriptedModelError(reply.error.message, status=reply.error.status)
