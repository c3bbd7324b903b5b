"""Results of pending calls, guessed by a chat model: what a small, quick one takes to be likely."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel

from specflow.effects.call import Call, canonical_json
from specflow.errors import ConfigurationError
from specflow.graph.draft.asking import Asking
from specflow.graph.draft.reply import Answer
from specflow.graph.draft.spent import Spent
from specflow.prediction.predictor import TurnContext
from specflow.prediction.result_guess import Equivalent, ResultGuess, identical
from specflow.prediction.result_prompt import PEOPLE, SCHEMA, SYSTEM, result_prompt

MOST_SAMPLES = 16
LEAST_CHARACTERS = 1_000


class ModelResults:
    """Asks `model`, any LangChain chat model, `samples` times at once what a pending call will return.

    A value that k of n samples agree on has the confidence k / (n + 1): samples that came late, failed or did
    not know count against it. `tools` are the calls that are guessed, `user` and `person` among them for what
    people will say; None: all. After `seconds` what has been answered counts, and the rest is given up; the
    core's `Lookahead.seconds` is a limit as well. `prices` are USD for a million tokens, of the prompt and of
    the answer; from `max_usd` on nothing is asked any more. `spent` counts. Of the conversation the last
    `characters` are shown. `equivalent(guessed, real)` says which results are as good; by default those that
    are the same JSON, written as text or not. It is never asked for a write.

    The model must not be one that this runtime listens to (`rt.model(...)`). It is shown the conversation and
    the results in it, as the agent's model is.

    Raises:
        ConfigurationError: an option has no such value.
    """

    def __init__(
        self,
        model: BaseChatModel,
        *,
        tools: Iterable[str] | None = None,
        samples: int = 3,
        seconds: float = 1.5,
        breadth: int = 2,
        prices: tuple[float, float] = (0.0, 0.0),
        max_usd: float = math.inf,
        characters: int = 40_000,
        equivalent: Equivalent | None = None,
        name: str = "model_results",
    ) -> None:
        if not 1 <= samples <= MOST_SAMPLES:
            raise ConfigurationError(f"samples={samples}", hint=f"from 1 to {MOST_SAMPLES}; 3 is usual")
        if not 0 < seconds < math.inf or breadth < 1 or characters < LEAST_CHARACTERS:
            raise ConfigurationError(
                f"seconds={seconds!r}, breadth={breadth}, characters={characters}",
                hint=f"seconds above 0, at least one value, at least {LEAST_CHARACTERS} characters",
            )
        if not (min(prices) >= 0 and max_usd >= 0):
            raise ConfigurationError(f"prices={prices}, max_usd={max_usd}", hint="amounts of money, in USD")
        self.name = name
        self.spent = Spent(*prices)
        self._asking = Asking(model, SCHEMA, samples=samples, seconds=seconds, spent=self.spent)
        self._tools = None if tools is None else frozenset(tools)
        self._samples, self._breadth, self._characters = samples, breadth, characters
        self._max_usd = max_usd
        self._equivalent = equivalent or same_json

    async def guess(self, call: Call, context: TurnContext) -> Sequence[ResultGuess]:
        """What the samples agree on, the most of them first; of equals the first one."""
        if not self._guessed(call, context) or self.spent.usd >= self._max_usd:
            return ()
        prompt = result_prompt(call, context, most=self._characters)
        answers = await self._asking.ask(SYSTEM, prompt)
        values = [answer["result"] for answer in answers if _known(answer)]
        votes = Counter(canonical_json(_read(value)) for value in values)
        first = {canonical_json(_read(value)): value for value in reversed(values)}
        return [
            ResultGuess(
                value=first[key],
                confidence=count / (self._samples + 1),
                predictor=self.name,
                text=first[key] if isinstance(first[key], str) else None,
                equivalent=self._equivalent,
            )
            for key, count in votes.most_common(self._breadth)
        ]

    def _guessed(self, call: Call, context: TurnContext) -> bool:
        if self._tools is not None:
            return call.tool in self._tools
        return call.tool in context.tools or call.tool in PEOPLE


def same_json(guessed: Any, real: Any) -> bool:
    """Whether both are the same JSON, each as data or written as text."""
    return identical(_read(guessed), _read(real))


def _known(answer: Answer) -> bool:
    return "result" in answer and answer.get("known", True) is True


def _read(value: Any) -> Any:
    """A text that is a JSON object or list, as what it says; any other value as it is."""
    if not isinstance(value, str) or value.lstrip()[:1] not in {"{", "["}:
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value
