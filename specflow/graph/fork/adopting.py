"""A copy of the user's model whose calls can be adopted, of the same type to everybody who asks.

Its class is made on the fly, with the four methods that talk to the provider on top. Everything that
LangChain does about them (callbacks, ids, token counts, events, caches, retries) stays as it is.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.callbacks import (
    AsyncCallbackManagerForLLMRun,
    BaseCallbackHandler,
    CallbackManagerForLLMRun,
)
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult

from specflow.graph.fork.current import Fork, current_fork
from specflow.graph.fork.exchange import Exchange, Request
from specflow.graph.tap import StreamTap

log = logging.getLogger("specflow")

_EXCHANGE = "__specflow_exchange__"
_PLAIN = "__specflow_plain__"


class Adopters:
    """Makes adopting copies; one class for each type of model."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._classes: dict[type[BaseChatModel], type[BaseChatModel]] = {}
        self._unfit: set[type[BaseChatModel]] = set()

    def copy_of(self, model: BaseChatModel) -> BaseChatModel:
        """A copy of `model` that adopts; `model` itself where it does so already, or cannot be copied so."""
        if isinstance(model, _Adopting) or type(model) in self._unfit:
            return model
        try:
            copied = copy.copy(model)
            object.__setattr__(copied, "__class__", self._class_for(type(model)))
        except Exception:
            # A class that cannot be derived from, or has a layout of its own: the model works as ever.
            self._unfit.add(type(model))
            log.exception("calls of %s cannot be adopted", type(model).__name__)
            return model
        return copied

    def _class_for(self, kind: type[BaseChatModel]) -> type[BaseChatModel]:
        known = self._classes.get(kind)
        if known is not None:
            return known
        streams = kind._stream is not BaseChatModel._stream  # noqa: SLF001 - what LangChain looks at, too
        astreams = kind._astream is not BaseChatModel._astream  # noqa: SLF001 - the stock body
        # INVARIANT: only a model that can stream is said to; LangChain asks which methods are overridden.
        mixins = [
            _Adopting,
            *([_Streaming] if streams else []),
            *([_AStreaming] if streams or astreams else []),
        ]
        made: type[BaseChatModel] = type(
            kind.__name__,
            (*mixins, kind),
            {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "__annotations__": {}},
        )
        made.__doc__ = kind.__doc__
        setattr(made, _EXCHANGE, self._exchange)
        setattr(made, _PLAIN, kind)
        self._classes[kind] = made
        return made


def plain(model: BaseChatModel) -> BaseChatModel:
    """The user's model as it is now: settings changed on the adopting copy are its settings."""
    copied = copy.copy(model)
    object.__setattr__(copied, "__class__", getattr(type(model), _PLAIN))
    return copied


def is_adopting(model: object) -> bool:
    """Whether it is such a copy."""
    return isinstance(model, _Adopting)


class _Adopting:
    """Mixed in before the model's own class. The four ways in are only there for forks."""

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return _exchange(self).generate(_request(self, "whole", messages, stop, kwargs), run_manager)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return await _exchange(self).agenerate(_request(self, "whole", messages, stop, kwargs), run_manager)

    def generate(self, messages: Any, stop: Any = None, callbacks: Any = None, **kwargs: Any) -> Any:
        fork = current_fork()
        if fork is None:
            return super().generate(messages, stop, callbacks, **kwargs)  # type: ignore[misc]  # the model's
        return super(_Adopting, _shielded(self, fork)).generate(messages, stop, _ours(callbacks), **kwargs)  # type: ignore[misc]

    async def agenerate(self, messages: Any, stop: Any = None, callbacks: Any = None, **kwargs: Any) -> Any:
        fork = current_fork()
        if fork is None:
            return await super().agenerate(messages, stop, callbacks, **kwargs)  # type: ignore[misc]  # the model's
        quiet = _ours(callbacks)
        return await super(_Adopting, _shielded(self, fork)).agenerate(messages, stop, quiet, **kwargs)  # type: ignore[misc]

    def stream(self, input: Any, config: Any = None, **kwargs: Any) -> Iterator[Any]:  # noqa: A002 - LangChain's name
        fork = current_fork()
        if fork is None:
            yield from super().stream(input, config, **kwargs)  # type: ignore[misc]  # the model's
        else:
            quiet = {**(config or {}), "callbacks": _ours((config or {}).get("callbacks"))}
            yield from super(_Adopting, _shielded(self, fork)).stream(input, quiet, **kwargs)  # type: ignore[misc]

    async def astream(self, input: Any, config: Any = None, **kwargs: Any) -> AsyncIterator[Any]:  # noqa: A002 - LangChain's name
        fork = current_fork()
        if fork is None:
            stream = super().astream(input, config, **kwargs)  # type: ignore[misc]  # the model's
        else:
            quiet = {**(config or {}), "callbacks": _ours((config or {}).get("callbacks"))}
            stream = super(_Adopting, _shielded(self, fork)).astream(input, quiet, **kwargs)  # type: ignore[misc]
        async for chunk in stream:
            yield chunk


class _Streaming:
    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        return _exchange(self).stream(_request(self, "stream", messages, stop, kwargs), run_manager)


class _AStreaming:
    def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        return _exchange(self).astream(_request(self, "stream", messages, stop, kwargs), run_manager)


def _exchange(model: object) -> Exchange:
    exchange: Exchange = getattr(type(model), _EXCHANGE)
    return exchange


def _request(
    model: Any, manner: str, messages: list[BaseMessage], stop: list[str] | None, arguments: Mapping[str, Any]
) -> Request:
    return Request(plain=plain(model), manner=manner, messages=messages, stop=stop, arguments=dict(arguments))


def _shielded(model: Any, fork: Fork) -> Any:
    """As it is called in a fork: nobody listens, no cache is read or filled, no allowance is used up."""
    if model.rate_limiter is not None:
        fork.halt("a model with a rate limiter")
    return model.model_copy(update={"callbacks": None, "cache": False, "verbose": False})


def _ours(callbacks: Any) -> Sequence[BaseCallbackHandler]:
    """# INVARIANT: in a fork no callback of the user is told anything; ours only make LangChain stream."""
    handlers = callbacks if isinstance(callbacks, list) else getattr(callbacks, "handlers", None) or ()
    return [handler for handler in handlers if isinstance(handler, StreamTap)][:1]
