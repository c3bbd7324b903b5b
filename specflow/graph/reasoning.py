"""ChatOpenAI for servers that send their reasoning: `ReasoningChatOpenAI`.

LangChain's `ChatOpenAI` speaks the API of OpenAI and drops what compatible servers (vLLM, NIM, DeepSeek and
others) add to it: the reasoning beside the text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_openai import ChatOpenAI

REASONING = "reasoning_content"
FIELDS = (REASONING, "reasoning")
"""Where servers put it, the first that holds text counts: some send the same text in both."""


class ReasoningChatOpenAI(ChatOpenAI):
    """`ChatOpenAI` that keeps `reasoning_content` or `reasoning` of chat completions.

    The text is in `additional_kwargs["reasoning_content"]` of messages and chunks, sync and async,
    streamed or not. `stream_usage` is on unless set: a forced stream would lose the token counts.
    `return_reasoning` sends it back with the assistant's messages, for servers that ask for it.
    """

    stream_usage: bool | None = True
    return_reasoning: bool = False

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """No: LangChain loads classes of its own list only, so what it wrote could not be read again."""
        return False

    def _convert_chunk_to_generation_chunk(
        self,
        chunk: dict[str, Any],
        default_chunk_class: type,
        base_generation_info: dict[str, Any] | None,
    ) -> ChatGenerationChunk | None:
        made = super()._convert_chunk_to_generation_chunk(chunk, default_chunk_class, base_generation_info)
        nested = chunk.get("chunk")
        choices = chunk.get("choices") or (nested.get("choices") if isinstance(nested, Mapping) else None)
        if made is not None and choices:
            _keep(made.message, choices[0].get("delta"))
        return made

    def _create_chat_result(
        self,
        response: Any,
        generation_info: dict[str, Any] | None = None,  # a dict or the client's own model
    ) -> ChatResult:
        result = super()._create_chat_result(response, generation_info)
        whole = response if isinstance(response, dict) else response.model_dump(warnings=False)
        for made, choice in zip(result.generations, whole.get("choices") or (), strict=False):
            _keep(made.message, choice.get("message"))
        return result

    def _get_request_payload(
        self, input_: LanguageModelInput, *, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        payload: dict[str, Any] = super()._get_request_payload(input_, stop=stop, **kwargs)
        if self.return_reasoning and "messages" in payload:
            messages = self._convert_input(input_).to_messages()
            for message, sent in zip(messages, payload["messages"], strict=True):
                thought = message.additional_kwargs.get(REASONING)
                if isinstance(message, AIMessage) and thought:
                    sent[REASONING] = thought
        return payload


def _keep(message: object, said: object) -> None:
    if not isinstance(message, AIMessage) or not isinstance(said, Mapping):
        return
    for name in FIELDS:
        thought = said.get(name)
        if isinstance(thought, str) and thought:
            message.additional_kwargs[REASONING] = thought
            return
