"""The predictor that reads a model's reasoning and text, and proposes the calls that it announces."""

from __future__ import annotations

from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.prediction.predictor import TurnContext
from specflow.prediction.shelf import Shelf
from specflow.prediction.sniffer_listener import MAX_CANDIDATES, NAME, SnifferListener
from specflow.prediction.trigger_lessons import TriggerLessons
from specflow.prediction.triggers import Triggers
from specflow.prediction.vocabulary import Vocabulary

__all__ = ["MAX_CANDIDATES", "NAME", "ReasoningSniffer", "SnifferListener"]


class ReasoningSniffer:
    """Hears tool calls in reasoning and visible text.

    `min_confidence` in [0, 1]: weaker guesses are not said at all. With `triggers` it goes by the phrases
    that they hold and, if it `learns`, adds those of the turns that it hears. A runtime with patterns gives
    theirs to a sniffer that learns and has none.
    """

    def __init__(
        self, *, min_confidence: float = 0.25, triggers: Triggers | None = None, learns: bool = True
    ) -> None:
        self._min_confidence = min_confidence
        self.learns = learns
        self.triggers = triggers
        self._cached: tuple[tuple[ToolSpec, ...], Vocabulary] | None = None
        self._shelf = Shelf()

    @property
    def name(self) -> str:
        return NAME

    def listen(self, context: TurnContext) -> SnifferListener:
        """A listener for one turn. The conversation is indexed as it hears, from where the last turn did."""
        return SnifferListener(
            context,
            self._vocabulary(context.tools),
            min_confidence=self._min_confidence,
            shelf=self._shelf,
            triggers=self.triggers,
            lesson=self._lessons.begin(context.history) if self._lessons is not None else None,
        )

    @property
    def triggers(self) -> Triggers | None:
        """The trigger phrases that it goes by."""
        return self._triggers

    @triggers.setter
    def triggers(self, triggers: Triggers | None) -> None:
        self._triggers = triggers
        self._lessons = TriggerLessons(triggers) if triggers is not None and self.learns else None

    def _vocabulary(self, registry: ToolRegistry) -> Vocabulary:
        specs = tuple(registry)
        if self._cached is None or [*map(id, self._cached[0])] != [*map(id, specs)]:
            self._cached = (specs, Vocabulary(registry))
        return self._cached[1]
