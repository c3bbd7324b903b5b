"""What a model says, piece by piece, as it is recorded and as it is said again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.outputs import ChatGenerationChunk, ChatResult

Said = ChatGenerationChunk | ChatResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A chunk of a stream or a whole answer, with the tokens that the model itself announced before it."""

    said: Said
    announced: tuple[tuple[tuple[Any, ...], dict[str, Any]], ...] = ()

    @classmethod
    def of(cls, said: Said, ear: Ear) -> Piece:
        """Whoever streams it first writes ids and metadata into it: this keeps a copy of its own."""
        return cls(said=said.model_copy(deep=True), announced=ear.take())

    def copied(self) -> Any:
        """To hand out; `Any` because each caller knows which of the two it has recorded."""
        return self.said.model_copy(deep=True)

    async def again(self, manager: AsyncCallbackManagerForLLMRun | None) -> Any:
        """Say it to the real run: announced to its callbacks as the model would have done."""
        said = self.copied()
        if manager is not None:
            for args, named in self.announced:
                await manager.on_llm_new_token(*args, **_about(said, named))
        return said

    def again_sync(self, manager: CallbackManagerForLLMRun | None) -> Any:
        """The same in a synchronous run."""
        said = self.copied()
        if manager is not None:
            for args, named in self.announced:
                manager.on_llm_new_token(*args, **_about(said, named))
        return said


class Ear:
    """Stands where the callbacks of a run would, and notes what the model announces to them."""

    def __init__(self) -> None:
        self._noted: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def note(self, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        """A model announces a token; the chunk it belongs to is recorded by itself."""
        self._noted.append((args, {name: value for name, value in named.items() if name != "chunk"}))

    def take(self) -> tuple[tuple[tuple[Any, ...], dict[str, Any]], ...]:
        """What has been noted since the last time."""
        noted, self._noted = tuple(self._noted), []
        return noted

    def manager(self) -> AsyncCallbackManagerForLLMRun:
        """For asynchronous models."""
        made: _AsyncEar = _AsyncEar.get_noop_manager()
        made.ear = self
        return made

    def sync_manager(self) -> CallbackManagerForLLMRun:
        """For synchronous models."""
        made: _SyncEar = _SyncEar.get_noop_manager()
        made.ear = self
        return made


class _SyncEar(CallbackManagerForLLMRun):
    ear: Ear

    def on_llm_new_token(self, *args: Any, **named: Any) -> None:
        self.ear.note(args, named)


class _AsyncEar(AsyncCallbackManagerForLLMRun):
    ear: Ear

    def get_sync(self) -> CallbackManagerForLLMRun:
        return self.ear.sync_manager()

    async def on_llm_new_token(self, *args: Any, **named: Any) -> None:
        self.ear.note(args, named)


def _about(said: Any, named: dict[str, Any]) -> dict[str, Any]:
    return {**named, "chunk": said} if isinstance(said, ChatGenerationChunk) else named
