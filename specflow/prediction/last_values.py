"""Guessers that need no model: what a call returned before, what it returns most, what a function says.

The first two read the conversation, and nothing else unless they are told to share what they learn: another
user's results are none of this one's business.
"""

from __future__ import annotations

import inspect
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

from specflow.effects.call import Call
from specflow.errors import ConfigurationError
from specflow.prediction.predictor import TurnContext
from specflow.prediction.result_guess import Equivalent, ResultGuess

MOST_CALLS = 1_000
"""Calls whose results are remembered across sessions; the one not heard of for longest goes first."""

NEWEST = 32
"""Results of one call that are remembered across sessions."""


class LastValue:
    """The call returns what it returned last time, with the same arguments.

    The confidence is how often that was so, by Laplace's rule: (repeats + 1) / (changes + repeats + 2).
    `tools` limits it to some tools. `shared` says that every session of the runtime may see what the others
    have learned: only for tools whose results are the same for everybody.
    """

    name = "last_value"

    def __init__(self, *, tools: Iterable[str] | None = None, shared: bool = False) -> None:
        self._memory = _Memory(tools, shared)

    async def guess(self, call: Call, context: TurnContext) -> Sequence[ResultGuess]:
        """The newest result of the very call, if there is one."""
        texts = self._memory.texts(call, context)
        if not texts:
            return ()
        repeats = sum(one == other for one, other in pairwise(texts))
        confidence = (repeats + 1) / (len(texts) + 1)
        return (_said(texts[-1], confidence, self.name),)

    def learn(self, call: Call, text: str) -> None:
        """A real call returned."""
        self._memory.learn(call, text)


class MajorityValue:
    """The call returns what it has returned most often, or one of the `breadth` likeliest results.

    The confidence of a value that came up k times in n is k / (n + 1). `tools` and `shared` as in
    `LastValue`.
    """

    name = "majority_value"

    def __init__(self, *, tools: Iterable[str] | None = None, shared: bool = False, breadth: int = 3) -> None:
        if breadth < 1:
            raise ConfigurationError(f"breadth={breadth}: guess at least one value")
        self._memory = _Memory(tools, shared)
        self._breadth = breadth

    async def guess(self, call: Call, context: TurnContext) -> Sequence[ResultGuess]:
        """The likeliest results of the very call; of equals the newest first."""
        texts = self._memory.texts(call, context)
        newest_first = Counter(reversed(texts)).most_common(self._breadth)
        return [_said(text, count / (len(texts) + 1), self.name) for text, count in newest_first]

    def learn(self, call: Call, text: str) -> None:
        """A real call returned."""
        self._memory.learn(call, text)


Guessed = Any | Sequence[ResultGuess] | None
"""What a user's function may return: a value, several guesses, or None for no guess."""


class FunctionGuess:
    """A function of yours, `function(call, context)`, plain or async, guesses the results of `tool`.

    It returns a value, which is then guessed with `confidence`, or a list of `ResultGuess`, or None for
    nothing. `equivalent(guessed, real)` says which results are as good; never asked for a write.
    """

    def __init__(
        self,
        tool: str,
        function: Callable[[Call, TurnContext], Guessed | Awaitable[Guessed]],
        *,
        confidence: float = 0.8,
        equivalent: Equivalent | None = None,
        name: str = "function",
    ) -> None:
        if not 0 <= confidence <= 1:
            raise ConfigurationError(f"confidence={confidence!r} is no probability")
        self.name = name
        self._tool = tool
        self._function = function
        self._confidence = confidence
        self._equivalent = equivalent

    async def guess(self, call: Call, context: TurnContext) -> Sequence[ResultGuess]:
        """What the function makes of the call."""
        if call.tool != self._tool:
            return ()
        said = self._function(call, context)
        if inspect.isawaitable(said):
            said = await said
        if said is None:
            return ()
        if isinstance(said, list | tuple) and said and all(isinstance(one, ResultGuess) for one in said):
            return said
        return (
            ResultGuess(
                value=said, confidence=self._confidence, predictor=self.name, equivalent=self._equivalent
            ),
        )


class _Memory:
    """Results of calls as text: those in the conversation, and those that were learned, where shared."""

    def __init__(self, tools: Iterable[str] | None, shared: bool) -> None:
        self._tools = None if tools is None else frozenset(tools)
        self._shared = shared
        self._learned: OrderedDict[str, list[str]] = OrderedDict()

    def texts(self, call: Call, context: TurnContext) -> list[str]:
        """Oldest first; what was learned from others, which may hold the conversation's own, before these."""
        if self._tools is not None and call.tool not in self._tools:
            return []
        own = [
            past.result
            for past in (item.call for item in context.history)
            if past is not None
            and not past.failed
            and past.tool == call.tool
            and past.args == call.plain_args()
        ]
        return [*self._learned.get(call.fingerprint, ()), *own]

    def learn(self, call: Call, text: str) -> None:
        if not self._shared or (self._tools is not None and call.tool not in self._tools):
            return
        texts = self._learned.setdefault(call.fingerprint, [])
        self._learned.move_to_end(call.fingerprint)
        texts.append(text)
        del texts[:-NEWEST]
        if len(self._learned) > MOST_CALLS:
            self._learned.popitem(last=False)


def _said(text: str, confidence: float, name: str) -> ResultGuess:
    # The text itself as the value: shown to a model, it is the very text that the model saw.
    return ResultGuess(value=text, confidence=confidence, predictor=name, text=text)
