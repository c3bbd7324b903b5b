"""`draft`: the next call, guessed by a chat model that is smaller and quicker than the agent's."""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.language_models import BaseChatModel

from specflow.effects.call import Call, digest
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.graph.draft.asking import Asking, bound
from specflow.graph.draft.call_question import Question, functions_of, question, question_in_text
from specflow.graph.draft.once import Once
from specflow.graph.draft.options import check_options
from specflow.graph.draft.reply import Called, calls_made, calls_written
from specflow.graph.draft.spent import Spent
from specflow.prediction.candidate import Candidate
from specflow.prediction.fit import fitting_call
from specflow.prediction.predictor import TurnContext

NAME = "draft"
"""How policies, spans and reports call it, unless it is given another name."""

KEPT = 64
"""Conversations whose answer is kept: a chain asks what the turn that comes true will ask again."""

OFFERS = 8
"""Sets of tools for which the model is kept as it was bound."""

Sample = Sequence[Called]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Offer:
    """The model with a set of tools; `bound` None: it takes none, and is told of them in text."""

    bound: Any | None
    functions: list[dict[str, Any]]
    size: int
    key: str


class DraftModel:
    """Asks `model`, any LangChain chat model, `samples` times at once which calls the agent will make next.

    It is given the agent's tools and the conversation, and does what the agent would do; one that takes no
    tools answers with JSON. A call that k of n samples make has the confidence k / (n + 1): samples that
    reply, came late, failed or talk nonsense count against it. So one sample says 1/2, whatever it is worth;
    experience corrects that. Of the calls, the `breadth` that most agree on are proposed.

    `tools` are the calls that are guessed; None: all. Where the agent has none of them, nothing is asked.
    After `seconds` what has been answered counts, and the rest is given up; the core's `Lookahead.seconds` is
    a limit as well. `prices` are USD for a million tokens, of the prompt and of the answer; from `max_usd` on
    nothing is asked any more. `spent` counts. Of the conversation the last `characters` are shown.

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
        breadth: int = 3,
        prices: tuple[float, float] = (0.0, 0.0),
        max_usd: float = math.inf,
        characters: int = 40_000,
        name: str = NAME,
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
        self._model = model
        self._asking = Asking(model, samples=samples, seconds=seconds, spent=self.spent)
        self._tools = None if tools is None else frozenset(tools)
        self._samples, self._breadth, self._characters = samples, breadth, characters
        self._max_usd = max_usd
        self._offers: OrderedDict[str, _Offer] = OrderedDict()
        self._answers: Once[Sequence[Sample]] = Once(KEPT)

    async def foresee(self, context: TurnContext) -> Sequence[Candidate]:
        """What the samples agree on, the most of them first."""
        if not context.speaks or not any(map(self._wanted, context.tools)):
            return ()
        offer = self._offer(context.tools)
        asked = self._question(offer, context)
        if asked is None:
            return ()
        # INVARIANT: nothing is shared between tenants, or users, not even that a question was asked before.
        key = digest(offer.key, asked.key, context.tenant, context.user)
        samples = await self._answers.get(key, lambda: self._ask(offer, asked))
        return self._candidates(samples, context.tools)

    def _question(self, offer: _Offer, context: TurnContext) -> Question | None:
        if offer.bound is None:
            return question_in_text(offer.functions, context, most=self._characters)
        return question(context, most=self._characters)

    async def _ask(self, offer: _Offer, asked: Question) -> tuple[Sequence[Sample], bool]:
        if self.spent.usd >= self._max_usd:
            return (), False
        if offer.bound is None:
            samples = await self._asking.ask(self._model, asked.messages, calls_written)
        else:
            samples = await self._asking.ask(offer.bound, asked.messages, calls_made, beside=offer.size)
        # What failed this time may well be answered the next time.
        return samples, len(samples) == self._samples

    def _candidates(self, samples: Sequence[Sample], tools: ToolRegistry) -> Sequence[Candidate]:
        places: dict[Call, list[int]] = {}
        for sample in samples:
            for place, call in enumerate(dict.fromkeys(self._calls(sample, tools))):
                places.setdefault(call, []).append(place)
        # Whatever the order in which the samples came: of equals, what is called first in them.
        best = sorted(places, key=lambda call: (-len(places[call]), sum(places[call]), repr(call)))
        return [
            Candidate(
                call=call,
                confidence=len(places[call]) / (self._samples + 1),
                predictor=self.name,
                evidence=f"{len(places[call])} of {self._samples} samples",
            )
            for call in best[: self._breadth]
        ]

    def _calls(self, sample: Sample, tools: ToolRegistry) -> Iterable[Call]:
        for name, args in sample:
            tool = tools.get(name)
            call = fitting_call(tool, args) if tool is not None and self._wanted(tool) else None
            if call is not None:
                yield call

    def _wanted(self, tool: ToolSpec) -> bool:
        """Whether a guess of it could be of use: what takes the run's own state is never called early."""
        return (self._tools is None or tool.name in self._tools) and not tool.injected

    def _offer(self, tools: ToolRegistry) -> _Offer:
        key = digest(*(part for tool in tools for part in (tool.name, tool.description, tool.schema_hash)))
        offer = self._offers.get(key)
        if offer is None:
            functions = functions_of(tools)
            offer = _Offer(
                bound=bound(self._model, functions),
                functions=functions,
                size=len(json.dumps(functions)),
                key=key,
            )
            self._offers[key] = offer
            if len(self._offers) > OFFERS:
                self._offers.popitem(last=False)
        return offer
