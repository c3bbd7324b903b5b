"""LangChain's own suites for adopting copies: with nothing to adopt, and with every single call adopted."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from langchain_tests.unit_tests import ChatModelUnitTests

from specflow.clock import SystemClock
from specflow.graph.fork.adopting import Adopters
from specflow.graph.fork.exchange import Exchange, Request, _adopted_or_made, _record
from specflow.graph.fork.replay import Ear, Piece
from specflow.graph.host import Host
from specflow.graph.reasoning import ReasoningChatOpenAI
from specflow.journal.memory import MemoryJournal
from specflow.speculation.branch import Branch
from specflow.speculation.model_calls import Adoption, ModelCalls
from specflow.testing.chat_model import ScriptedChatModel
from specflow.testing.model_server import ModelServer
from specflow.testing.scripted_core import ScriptedCore
from specflow.testing.static_judge import StaticJudge

SUITES = Path(__file__).parents[2] / "testing/test_model_server_suites.py"


def _load(name: str, path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


suites = _load("model_suites", SUITES)


class Rehearsed(Exchange):
    """Every call is made early first, as a fork would make it, and then adopted."""

    adopted = 0

    async def _answer(
        self, request: Request, manager: Any, make: Callable[[], Any]
    ) -> AsyncGenerator[Any, None]:
        calls = ModelCalls()
        key = request.key()
        assert key is not None
        recording = calls.begin(key, Branch(branch_id="b", hypothesis="it is asked", odds=1.0), request)
        assert recording is not None
        recording.work = asyncio.get_running_loop().create_task(_record(request, recording))
        async for said in _adopted_or_made(calls, key, manager, make):
            yield said
        Rehearsed.adopted += sum(calls.seen[how] for how in (Adoption.HIT, Adoption.LATE))

    def _answer_sync(
        self, request: Request, manager: Any, make: Callable[[object], Iterator[Any]]
    ) -> Iterator[Any]:
        ear = Ear()
        try:
            pieces = [Piece.of(said, ear) for said in make(ear.sync_manager())]
        except Exception:
            yield from make(manager)
            return
        Rehearsed.adopted += 1
        for piece in pieces:
            yield piece.again_sync(manager)


def adopters(exchange: type[Exchange]) -> Adopters:
    core = ScriptedCore([], StaticJudge({}), MemoryJournal(SystemClock()))
    return Adopters(exchange(Host(core.parts)))


PLAIN, ADOPTED = adopters(Exchange), adopters(Rehearsed)


class TestUnitOfOpenAI(ChatModelUnitTests):
    """The copy's class, looked at as a chat model of its own."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return PLAIN._class_for(ReasoningChatOpenAI)

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "scripted", "api_key": "none"}


class TestUnitOfScripted(ChatModelUnitTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return PLAIN._class_for(ScriptedChatModel)

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"script": []}

    @property
    def has_structured_output(self) -> bool:
        return False

    @property
    def standard_chat_model_params(self) -> dict[str, Any]:
        return {}


class TestOverHttpAllAdopted(suites.Suite):  # type: ignore[misc, name-defined]  # loaded by path
    """Real streaming; what the suite gets is what was recorded."""

    url = ""

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"base_url": self.url, "api_key": "none", "model": "scripted", "stream_usage": True}

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ADOPTED._class_for(ChatOpenAI)

    @property
    def supports_model_override(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "another"

    @pytest.fixture
    def model(self, request: Any) -> Iterator[BaseChatModel]:
        with ModelServer(suites.answer) as server:
            self.url = server.url
            before = Rehearsed.adopted
            yield self.chat_model_class(**self.chat_model_params, **getattr(request, "param", {}))
            assert len(server.requests) == Rehearsed.adopted - before, "each call was made once, and adopted"


class TestScriptedAllAdopted(suites.Scripted):  # type: ignore[misc, name-defined]  # loaded by path
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ADOPTED._class_for(ScriptedChatModel)
