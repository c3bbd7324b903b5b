"""Where a model would be called: the real run adopts what a fork was told, a fork has it recorded.

One exchange belongs to one runtime. `plain` is always the user's own model, unchanged.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult

from specflow.graph.compat import is_control_flow
from specflow.graph.fork.current import Fork, current_fork
from specflow.graph.fork.model_key import Unlike, model_key
from specflow.graph.fork.offered import acts_by_itself
from specflow.graph.fork.replay import Ear, Piece
from specflow.graph.fork.watch import seen
from specflow.graph.host import Host
from specflow.graph.place import place_of
from specflow.speculation.background import Caller
from specflow.speculation.model_calls import ModelCalls, Recording


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call of a model, below everything that LangChain does about it. `manner`: `stream` or `whole`."""

    plain: BaseChatModel
    manner: str
    messages: list[BaseMessage]
    stop: Sequence[str] | None
    arguments: dict[str, Any]

    def key(self) -> str | None:
        """Its fingerprint; None where there is none."""
        try:
            return model_key(self.plain, self.manner, self.messages, self.stop, self.arguments)
        except Unlike:
            return None

    def given(self, manager: object) -> dict[str, Any]:
        """The named arguments of the model's own method."""
        named = {"stop": self.stop, **self.arguments}
        return named if manager is None else {**named, "run_manager": manager}


class Exchange:
    """Answers model calls from the session's table, or makes them."""

    def __init__(self, host: Host) -> None:
        self._host = host

    # ------------------------------------------------------------------ asynchronous

    async def astream(
        self, request: Request, manager: AsyncCallbackManagerForLLMRun | None
    ) -> AsyncIterator[ChatGenerationChunk]:
        """As the model's own `_astream`."""

        def make() -> AsyncIterator[ChatGenerationChunk]:
            return request.plain._astream(request.messages, **request.given(manager))  # noqa: SLF001 - the model itself

        async with aclosing(self._answer(request, manager, make)) as answer:
            async for said in answer:
                yield said

    async def agenerate(self, request: Request, manager: AsyncCallbackManagerForLLMRun | None) -> ChatResult:
        """As the model's own `_agenerate`."""

        async def make() -> AsyncIterator[ChatResult]:
            yield await request.plain._agenerate(request.messages, **request.given(manager))  # noqa: SLF001 - the model itself

        # To its end, so that everybody knows that the call is over.
        (result,) = [said async for said in self._answer(request, manager, make)]
        whole: ChatResult = result
        return whole

    async def _answer(
        self,
        request: Request,
        manager: AsyncCallbackManagerForLLMRun | None,
        make: Callable[[], AsyncIterator[Any]],
    ) -> AsyncGenerator[Any, None]:
        seen()
        fork, key = current_fork(), request.key()
        if fork is not None:
            recording = self._early(fork, request, key)
            async for piece in recording.stream():
                yield piece.copied()
            return
        calls = self._table(asyncio.get_running_loop()) if key is not None else None
        if calls is None or key is None:
            async for said in make():
                yield said
            return
        async for said in _adopted_or_made(calls, key, manager, make):
            yield said

    def _early(self, fork: Fork, request: Request, key: str | None) -> Recording:
        """In a fork: begin the call in a task of its own, which outlives the fork when it is adopted."""
        if key is None:
            fork.halt("a model call that cannot be compared")
        if acts_by_itself(request.plain, request.arguments):
            fork.halt("a model that acts by itself")
        recording = fork.begin(key, request)
        recording.work = asyncio.get_running_loop().create_task(_record(request, recording))
        return recording

    # ------------------------------------------------------------------ synchronous

    def stream(
        self, request: Request, manager: CallbackManagerForLLMRun | None
    ) -> Iterator[ChatGenerationChunk]:
        """As the model's own `_stream`."""

        def make(heard_by: object) -> Iterator[ChatGenerationChunk]:
            return request.plain._stream(request.messages, **request.given(heard_by))  # noqa: SLF001 - the model itself

        yield from self._answer_sync(request, manager, make)

    def generate(self, request: Request, manager: CallbackManagerForLLMRun | None) -> ChatResult:
        """As the model's own `_generate`."""

        def make(heard_by: object) -> Iterator[ChatResult]:
            yield request.plain._generate(request.messages, **request.given(heard_by))  # noqa: SLF001 - the model itself

        (result,) = self._answer_sync(request, manager, make)
        whole: ChatResult = result
        return whole

    def _answer_sync(
        self,
        request: Request,
        manager: CallbackManagerForLLMRun | None,
        make: Callable[[object], Iterator[Any]],
    ) -> Iterator[Any]:
        seen()
        fork, key = current_fork(), request.key()
        if fork is not None:
            yield from self._early_sync(fork, request, key, make)
            return
        background = self._host.background
        if key is None or not background.running or _on(background.loop):
            yield from make(manager)
            return
        calls = background.call(lambda: self._table(background.loop))
        if calls is None:
            yield from make(manager)
            return
        shown = False
        while (adopted := background.call(lambda: calls.adopt(key))) is not None:
            try:
                given = 0
                while more := background.run(partial(_beyond, adopted, given)):
                    given += len(more)
                    for piece in more:
                        shown = True
                        yield piece.again_sync(manager)
            except (Exception, asyncio.CancelledError):
                if shown:
                    raise
            else:
                return
            finally:
                background.post(adopted.cancel)
        yield from make(manager)

    def _early_sync(
        self, fork: Fork, request: Request, key: str | None, make: Callable[[object], Iterator[Any]]
    ) -> Iterator[Any]:
        """In a fork on a thread: made here, since a synchronous client belongs to threads."""
        if key is None:
            fork.halt("a model call that cannot be compared")
        if acts_by_itself(request.plain, request.arguments):
            fork.halt("a model that acts by itself")

        async def begin() -> Recording:
            return fork.begin(key, request)

        recording = fork.wait(begin)
        ear = Ear()
        model = make(ear.sync_manager())
        try:
            for said in model:
                piece = Piece.of(said, ear)
                fork.post(recording.add, piece)
                yield piece.copied()
                if recording.over:  # its branch has ended, and nobody adopted it
                    fork.halt("its branch has ended")
        except GeneratorExit:
            # INVARIANT: that a fork stops listening cuts nothing short for a real run that listens, too.
            _read_on(fork, recording, model, ear)
            raise
        except BaseException as error:
            fork.post(recording.finish, error)
            raise
        fork.post(recording.finish)

    def _table(self, loop: asyncio.AbstractEventLoop) -> ModelCalls | None:
        """The table of the session we are in; None where nothing says which that is."""
        place = place_of()
        if place.alone:
            return None
        return self._host.coordinator(loop).session(place.session).model_calls


async def _adopted_or_made(
    calls: ModelCalls,
    key: str,
    manager: AsyncCallbackManagerForLLMRun | None,
    make: Callable[[], AsyncIterator[Any]],
) -> AsyncIterator[Any]:
    """What a fork was told, if it comes to anything; else what the model says now."""
    shown = False
    while (adopted := calls.adopt(key)) is not None:
        try:
            async for piece in adopted.stream():
                shown = True
                yield await piece.again(manager)
        except (Exception, asyncio.CancelledError):
            # INVARIANT: what fails before a token was shown is made again, and nobody hears of it; after
            # that it is an error of this call, as it would have been without us.
            if shown or _cancelling():
                raise
        else:
            return
        finally:
            adopted.cancel()  # of no effect when it is over: nobody reads on
    async for said in make():
        yield said


async def _record(request: Request, recording: Recording) -> None:
    """Make the call, and keep what is said as it is said."""
    ear = Ear()
    named = request.given(ear.manager())
    plain = request.plain
    try:
        if request.manner == "stream":
            async for said in plain._astream(request.messages, **named):  # noqa: SLF001 - the model itself
                recording.add(Piece.of(said, ear))
        else:
            recording.add(Piece.of(await plain._agenerate(request.messages, **named), ear))  # noqa: SLF001 - as above
    except BaseException as error:
        recording.finish(error)
        if isinstance(error, asyncio.CancelledError | SystemExit | KeyboardInterrupt) or is_control_flow(
            error
        ):
            raise
    else:
        recording.finish()


def _read_on(fork: Fork, recording: Recording, model: Iterator[Any], ear: Ear) -> None:
    """On a thread of its own: whoever closes a generator does not wait, and may be the garbage collector."""

    def work() -> None:
        try:
            while not recording.over:
                fork.post(recording.add, Piece.of(next(model), ear))
        except StopIteration:
            fork.post(recording.finish)
        except BaseException as error:  # noqa: BLE001 - handed over to whoever reads
            fork.post(recording.finish, error)

    context = contextvars.copy_context()
    try:
        threading.Thread(target=context.run, args=(work,), name="specflow-fork", daemon=True).start()
    except RuntimeError as error:  # the interpreter is ending
        fork.post(recording.finish, error)


async def _beyond(recording: Recording, given: int, _caller: Caller) -> Sequence[Piece]:
    return await recording.after(given)


def _on(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


def _cancelling() -> bool:
    """Whether it is the real run that is being cancelled, and not only what it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
