"""A guess at what a pending call will return, so that what follows can start before it does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from specflow.effects.call import Call, canonical_json
from specflow.prediction.predictor import TurnContext

Equivalent = Callable[[Any, Any], bool]
"""Whether a guessed value and the real one come to the same for whoever reads it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ResultGuess:
    """`value` is what a pending call may return, with a probability in [0, 1], by `predictor`.

    `text` is the result as the model would see it, where the guesser knows that better than the tool's own
    rendering. `equivalent` says which real values are as good as this one; never asked for a write.
    """

    value: Any
    confidence: float
    predictor: str
    text: str | None = None
    equivalent: Equivalent | None = None

    def holds(self, value: Any, text: str | None, *, writes: bool) -> bool:
        """Whether it was right: `value` is what came back, `text` what the model sees of it, if known.

        Identical values are equal JSON, or equal text for the model. Any doubt is a no.
        """
        if identical(self.value, value) or (self.text is not None and self.text == text):
            return True
        # INVARIANT: of a write, only the identical result is the guessed one.
        if writes or self.equivalent is None:
            return False
        try:
            return self.equivalent(self.value, value) is True
        except Exception:  # noqa: BLE001 - the user's function: where it fails, they are not known to be equal
            return False


@runtime_checkable
class GuessesResults(Protocol):
    """Guesses what calls return. `name` is how events and reports call it."""

    @property
    def name(self) -> str: ...

    async def guess(self, call: Call, context: TurnContext) -> Sequence[ResultGuess]:
        """Likely results of a call that has been made and not returned; the likeliest first. Often none."""
        ...


@runtime_checkable
class LearnsResults(Protocol):
    """A guesser that is told what real calls returned, in every session of the runtime."""

    def learn(self, call: Call, text: str) -> None:
        """A real call returned; `text` is its result as the model sees it."""
        ...


def identical(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON; values that are no JSON are never known to be."""
    try:
        return canonical_json(one) == canonical_json(other)
    except Exception:  # noqa: BLE001 - values of tools and guessers: whatever is wrong with one, the real call has its result
        return False
