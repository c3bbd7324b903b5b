"""What a predictor is: something that listens to one model turn and proposes calls."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from specflow.effects.registry import ToolRegistry
from specflow.prediction.candidate import Candidate, Proposal
from specflow.prediction.chunk import Chunk


@dataclass(frozen=True, slots=True, kw_only=True)
class PastCall:
    """A call of an earlier turn with its result as the model saw it (text)."""

    tool: str
    args: dict[str, Any]
    result: str
    failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryItem:
    """One earlier message: role `user`, `assistant`, `system` or `tool`.

    A `tool` item carries the call it answers in `call`; the text is the result the model saw.
    """

    role: str
    text: str = ""
    call: PastCall | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnContext:
    """What is known before the model says its first word: the tools it has, and the conversation. `model` is
    its name, `tenant` and `user` for whom it works, where that is known. Where no model `speaks`, what is
    proposed follows from a declaration, and is no guess.
    """

    tools: ToolRegistry
    history: Sequence[HistoryItem] = field(default_factory=tuple)
    model: str = ""
    tenant: str = ""
    user: str = ""
    speaks: bool = True


class Listener(Protocol):
    """A predictor's ear for one model turn. Called for every chunk, so it must be cheap."""

    def hear(self, chunk: Chunk) -> Iterable[Proposal]:
        """What this chunk makes likely, or takes back. Usually nothing."""
        ...


@runtime_checkable
class Predictor(Protocol):
    """Makes a listener for each model turn; `name` is how policies, spans and reports call it."""

    @property
    def name(self) -> str: ...

    def listen(self, context: TurnContext) -> Listener:
        """A fresh listener for a turn that is about to start."""
        ...


@runtime_checkable
class Foresees(Protocol):
    """Guesses from the conversation alone, before the model says a word: mined history, a draft model.

    It may listen as well. The core gives it a few seconds; what fails or takes longer is left out.
    """

    @property
    def name(self) -> str: ...

    async def foresee(self, context: TurnContext) -> Sequence[Candidate]:
        """The calls that the next model turn is likely to make.

        Asked once when a turn begins; and for chains, where the last items of the history are results that
        no model has seen yet, guessed ones among them.
        """
        ...


AnyPredictor = Predictor | Foresees
"""What a runtime is given: something that listens, or foresees, or both."""
