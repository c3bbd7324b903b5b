"""Whether a chat model lets specflow listen: does it stream, with its reasoning and its token counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_openai import AzureChatOpenAI, ChatOpenAI

from specflow.graph.model_name import name_of
from specflow.graph.remark import Level, Remark

AREA = "model"


def of_model(model: BaseChatModel) -> Iterator[Remark]:
    """What is to be said of one model; one line that all is well where there is nothing."""
    name = label_of(model)
    found = [*_streaming(model), *_openai(model)]
    for text, mend, level in found:
        yield Remark(area=AREA, subject=name, level=level, found=text, mend=mend)
    if not found:
        yield Remark(area=AREA, subject=name, found="streams")


def label_of(model: BaseChatModel) -> str:
    """Its class, and which model it is, where it says so."""
    which = name_of(model)
    return f"{type(model).__name__}({which})" if which else type(model).__name__


def _streaming(model: BaseChatModel) -> Iterator[tuple[str, str, Level]]:
    # The questions that LangChain asks before it streams, in its order.
    kind = type(model)
    whole = kind._stream is BaseChatModel._stream  # noqa: SLF001 - what LangChain looks at, too
    awhole = kind._astream is BaseChatModel._astream  # noqa: SLF001 - as above
    late = "is heard only when its answer is complete, so nothing can start before"
    if whole and awhole:
        yield (
            f"cannot stream (no _stream or _astream): it {late}",
            "use a model class that streams",
            Level.PROBLEM,
        )
    elif whole:
        yield "streams in asynchronous runs only (no _stream)", "use ainvoke or astream", Level.WARNING
    if model.disable_streaming is True:
        yield f"disable_streaming=True: it {late}", "leave disable_streaming out", Level.PROBLEM
    elif model.disable_streaming == "tool_calling":
        yield (
            f'disable_streaming="tool_calling": with tools it {late}',
            "leave disable_streaming out",
            Level.PROBLEM,
        )
    elif "streaming" in model.model_fields_set and getattr(model, "streaming", None) is False:
        yield f"streaming=False: it {late}", "leave streaming out", Level.PROBLEM


def _openai(model: BaseChatModel) -> Iterator[tuple[str, str, Level]]:
    """What only ChatOpenAI and its likes are asked; a provider's own subclass knows its own server."""
    if not isinstance(model, ChatOpenAI | AzureChatOpenAI):
        return
    told: Any = (model.model_kwargs.get("stream_options") or {}).get("include_usage")
    if not model.stream_usage and not told:
        yield (
            "stream_usage is off: streamed answers come without token counts",
            "stream_usage=True, if the server knows stream_options",
            Level.WARNING,
        )
    plain = type(model).__module__.startswith("langchain_openai.") and isinstance(model, ChatOpenAI)
    if plain and model.openai_api_base:
        yield (
            "ChatOpenAI drops the reasoning that compatible servers send beside the text",
            "specflow.ReasoningChatOpenAI keeps it, with the same arguments",
            Level.WARNING,
        )
