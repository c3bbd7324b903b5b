"""Results of pending calls, guessed by a chat model: what a small, quick one takes to be likely."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from specflow.effects.call import Call, canonical_json
from specflow.graph.draft.asking import Asking, bound
from specflow.graph.draft.options import check_options
from specflow.graph.draft.reply import Answer, answer_in
from specflow.graph.draft.spent import Spent
from specflow.prediction.predictor import TurnContext
from specflow.prediction.result_guess import Equivalent, ResultGuess, identical
from specflow.prediction.result_prompt import GUESS, PEOPLE, SCHEMA, SYSTEM, result_prompt


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
        check_options(
            samples=samples,
            seconds=seconds,
            breadth=breadth,
            prices=prices,
            max_usd=max_usd,
            characters=characters,
        )
        self.name = name
        self.spent = Spent(*prices)
        self._asking = Asking(model, samples=samples, seconds=seconds, spent=self.spent)
        # One that takes no tools is asked all the same, and answers in text.
        self._model = bound(model, [SCHEMA]) or model
        self._tools = None if tools is None else frozenset(tools)
        self._samples, self._breadth, self._characters = samples, breadth, characters
        self._max_usd = max_usd
        self._equivalent = equivalent or same_json

    async def guess(self, call: Call, context: TurnContext) -> Sequence[ResultGuess]:
        """What the samples agree on, the most of them first; of equals the first one."""
        if not self._guessed(call, context) or self.spent.usd >= self._max_usd:
            return ()
        messages = [
            SystemMessage(SYSTEM),
            HumanMessage(result_prompt(call, context, most=self._characters)),
        ]
        answers = await self._asking.ask(self._model, messages, _answer)
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


def _answer(message: AIMessage) -> Answer | None:
    return answer_in(message, GUESS)


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
