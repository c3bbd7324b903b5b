"""LangChain's own integration suite, for the scripted server's real client and for the scripted model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_tests.integration_tests import ChatModelIntegrationTests

from specflow.graph.reasoning import ReasoningChatOpenAI
from specflow.testing.chat_model import ScriptedChatModel
from specflow.testing.model_server import CallPlan, ModelServer, Reply

CALLS = {
    "magic_function_no_args": CallPlan("magic_function_no_args"),
    "magic_function": CallPlan("magic_function", {"input": 3}),
    "magic function": CallPlan("magic_function", {"input": 3}),
    "Pirate": CallPlan("greeting_generator", {"answer_style": "pirate"}),
    "weather": CallPlan("get_weather", {"location": "San Francisco"}),
    "你好": CallPlan("unicode_customer", {"customer_name": "你好啊集团", "description": "x"}),
    "こんにちは": CallPlan("unicode_customer", {"customer_name": "こんにちは株式会社", "description": "x"}),
}


def answer(messages: Any) -> Reply:
    """What a model would say to the questions of the suite."""
    last = messages[-1]
    asked = last["content"] if last["role"] == "user" else ""
    for word, call in CALLS.items():
        if word in asked:
            return Reply(reasoning="A tool will do.", calls=(call,))
    return Reply(reasoning="Nothing to call.", text="Hello there, these are a few words.")


class Suite(ChatModelIntegrationTests):
    """A script cannot choose tools or fill schemas it has not seen: those tests are for real models."""

    @property
    def has_tool_choice(self) -> bool:
        return False

    @property
    def has_structured_output(self) -> bool:
        return False

    @property
    def standard_chat_model_params(self) -> dict[str, Any]:
        return {}


class TestServerThroughTheRealClient(Suite):
    url = ""

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"base_url": self.url, "api_key": "none", "model": "scripted"}

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ReasoningChatOpenAI

    @property
    def supports_model_override(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "another"

    @pytest.fixture
    def model(self, request: Any) -> Iterator[BaseChatModel]:
        with ModelServer(answer) as server:
            self.url = server.url
            yield ReasoningChatOpenAI(**self.chat_model_params, **getattr(request, "param", {}))
            assert server.differences == []


class Scripted(Suite):
    reasoning = "field"

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ScriptedChatModel

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"script": answer, "reasoning": self.reasoning}

    @property
    def supports_model_override(self) -> bool:
        return False


class TestScriptedModelWithField(Scripted):
    pass


class TestScriptedModelInline(Scripted):
    reasoning = "inline"


class TestScriptedModelWithBlocks(Scripted):
    reasoning = "blocks"
