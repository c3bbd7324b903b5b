"""Facts about the stream of a model: how specflow hears it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import httpx
from fact import Fact
from langchain.agents import create_agent
from langchain.agents.middleware import ModelFallbackMiddleware
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import chat_models
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.tools import tool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_openai import ChatOpenAI

from specflow.graph import compat
from specflow.graph.reasoning import ReasoningChatOpenAI
from specflow.graph.tap import StreamTap
from specflow.testing.chat_model import ScriptedChatModel
from specflow.testing.model_server import ModelServer, Reply

WORDS = "one two three four"


def model(**options: Any) -> ScriptedChatModel:
    return ScriptedChatModel(script=lambda _messages: Reply(text=WORDS), **options)


def heard(call: Any, handler: Any = None) -> list[Any]:
    """What an ambient tap hears of a call."""
    pieces: list[Any] = []
    with compat.ambient_callback(handler or StreamTap(pieces.append)):
        call()
    return pieces


def streams_inside() -> bool:
    plain, alone = model(), []

    class Deaf(BaseCallbackHandler):
        def on_llm_new_token(self, token: str, **given: Any) -> None:
            alone.append(token)

    heard(lambda: plain.invoke("x"), Deaf())
    both = [heard(lambda: plain.invoke("x")), heard(lambda: asyncio.run(plain.ainvoke("x")))]
    return not alone and all(len(pieces) > 2 for pieces in both)


def reaches_every_form() -> bool:
    dying = ScriptedChatModel(script=[Reply(text=WORDS, die_after=1)])
    forms: list[Any] = [model().bind(stop=["x"]), dying.with_fallbacks([model()]), model().with_retry()]
    return all(len(heard(lambda form=form: form.invoke("x"))) > 2 for form in forms)


def runs_inline() -> bool:
    threads: list[int] = []
    heard(
        lambda: asyncio.run(model().ainvoke("x")),
        StreamTap(lambda _chunk: threads.append(threading.get_ident())),
    )
    return set(threads) == {threading.get_ident()}


def errors_of_handlers_are_swallowed() -> bool:
    class Broken(StreamTap):
        def on_llm_new_token(self, token: Any, **given: Any) -> None:
            raise ValueError("a handler")

    said: list[str] = []
    heard(lambda: said.append(model().invoke("x").text), Broken(lambda _chunk: None))
    return said == [WORDS]


def attempts_have_run_ids_of_their_own() -> bool:
    seen: list[str] = []
    dying = ScriptedChatModel(script=[Reply(text=WORDS, die_after=2)])
    agent = create_agent(dying, [], middleware=[ModelFallbackMiddleware(model())])
    heard(
        lambda: agent.invoke({"messages": [("user", "x")]}),
        StreamTap(lambda chunk: seen.append(chunk.stream)),
    )
    return len(set(seen)) == 2


def pieces_of_calls_are_kept() -> bool:
    piece = {"name": "search", "args": '{"q": "ro', "id": "1", "index": 0, "type": "tool_call_chunk"}
    chunk = AIMessageChunk("", tool_call_chunks=[piece])
    (kept,) = chunk.tool_call_chunks
    return (kept["name"], kept["args"], kept["index"]) == ("search", '{"q": "ro', 0)


def metadata_stays_here() -> bool:
    @tool
    def look(x: str) -> str:
        """Look."""
        return x

    look.metadata = {"specflow": {"effect": "read_only"}}
    return "specflow" not in repr(convert_to_openai_tool(look))


def reasoning_is_dropped_by_one_and_kept_by_the_other() -> bool:
    with ModelServer([Reply(reasoning="Hm.", text="a")] * 4) as server, httpx.Client() as client:
        given: dict[str, Any] = {
            "base_url": server.url,
            "api_key": "none",
            "model": "m",
            "http_client": client,
        }
        bare, ours = ChatOpenAI(**given), ReasoningChatOpenAI(**given)
        dropped = [bare.invoke("x").additional_kwargs.get("reasoning_content")]
        kept = [ours.invoke("x").additional_kwargs.get("reasoning_content")]
        kept.append("".join(c.additional_kwargs.get("reasoning_content", "") for c in ours.stream("x")))
    return dropped == [None] and kept == ["Hm.", "Hm."]


FACTS = [
    Fact(
        name="a tap makes models stream",
        says="a handler with tap_output_iter and tap_output_aiter makes plain invoke stream inside",
        used="specflow/graph/tap.py",
        mend="find out what makes BaseChatModel._should_stream say yes now",
        holds=streams_inside,
        breaks=lambda m: m.setattr(chat_models, "_StreamingCallbackHandler", type("Nobody", (), {})),
    ),
    Fact(
        name="the ambient config reaches every form",
        says="callbacks in var_child_runnable_config reach bound, retried and fallback models",
        used="specflow/graph/compat.py (ambient_callback)",
        mend="find where Runnables take their inherited config from now",
        holds=reaches_every_form,
        breaks=lambda m: m.setattr(compat, "merge_configs", lambda config, _other: config),
    ),
    Fact(
        name="inline handlers run where the model runs",
        says="run_inline=True keeps a handler on the thread of the run",
        used="specflow/graph/tap.py and hearing.py",
        mend="hand chunks to the loop with call_soon_threadsafe in every case",
        holds=runs_inline,
        breaks=lambda m: m.setattr(StreamTap, "run_inline", False),
    ),
    Fact(
        name="errors of handlers are swallowed",
        says="raise_error=False keeps an error of a handler from the run",
        used="specflow/graph/tap.py",
        mend="catch everything in StreamTap itself",
        holds=errors_of_handlers_are_swallowed,
        breaks=lambda m: m.setattr(StreamTap, "raise_error", True),
    ),
    Fact(
        name="each attempt has a run id",
        says="retries and fallbacks inside a node are runs of their own",
        used="specflow/graph/tap.py (state by run_id) and the predictors",
        mend="tell attempts apart by on_chat_model_start",
        holds=attempts_have_run_ids_of_their_own,
        breaks=lambda m: m.setattr(StreamTap, "_say", _one_stream),
    ),
    Fact(
        name="pieces of calls",
        says="tool_call_chunks of a chunk have the name, the text of the arguments so far and the index",
        used="specflow/graph/tap.py (_read_message)",
        mend="read the pieces from where they are now",
        holds=pieces_of_calls_are_kept,
        breaks=lambda m: m.setitem(globals(), "AIMessageChunk", lambda _text, **_given: AIMessage("")),
    ),
    Fact(
        name="a tool's metadata stays here",
        says="tool.metadata is not sent to providers",
        used="specflow/effects/annotate.py",
        mend="keep annotations beside the tool, not in it",
        holds=metadata_stays_here,
        breaks=lambda m: m.setitem(globals(), "convert_to_openai_tool", lambda item: item.metadata),
    ),
    Fact(
        name="ChatOpenAI drops reasoning",
        says="ChatOpenAI drops reasoning_content; the hooks by which ReasoningChatOpenAI keeps it are called",
        used="specflow/graph/reasoning.py",
        mend="if ChatOpenAI keeps it now, ReasoningChatOpenAI is not needed; else find its new hooks",
        holds=reasoning_is_dropped_by_one_and_kept_by_the_other,
        breaks=lambda m: m.delattr(ReasoningChatOpenAI, "_convert_chunk_to_generation_chunk"),
    ),
]


def _one_stream(self: StreamTap, run_id: Any, kind: Any, text: str) -> None:
    from specflow.prediction.chunk import Chunk

    if text:
        self._hear(Chunk(kind=kind, text=text, stream="one"))
