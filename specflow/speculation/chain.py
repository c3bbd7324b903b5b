"""Chains: what predictors foresee, before the model says a word and after results that it has not seen yet.

When an early read has returned, the predictors see it as if it were in the history, and what they propose
next is started under the hypothesis that the model will ask for that read. So it goes on, step by step, as
far as odds and limits allow.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from itertools import islice
from typing import Any, TypeGuard

from specflow.effects.call import Call
from specflow.effects.tool import as_text
from specflow.prediction.candidate import Candidate, checked
from specflow.prediction.predictor import AnyPredictor, Foresees
from specflow.speculation.branch import Branch
from specflow.speculation.launch import Launcher
from specflow.speculation.leftovers import Leftovers
from specflow.speculation.parts import Mode, Parts
from specflow.speculation.taint import perhaps_from_results
from specflow.speculation.turn import Outlook, Turn

log = logging.getLogger("specflow")


class Chains:
    """Asks the predictors that foresee, and has their proposals considered."""

    def __init__(self, parts: Parts, launcher: Launcher, leftovers: Leftovers) -> None:
        self._parts = parts
        self._launcher = launcher
        self._leftovers = leftovers
        self._foreseers = tuple(_foreseers(parts.predictors)) if parts.mode is not Mode.OFF else ()

    @property
    def blind(self) -> bool:
        """Whether nobody foresees anything."""
        return not self._foreseers

    def begin(self, turn: Turn) -> None:
        """A model is about to be called: have it foreseen what it will ask for."""
        if self._foreseers and not turn.session.closing:
            branch = Branch(branch_id=turn.turn_id, hypothesis="the model thinks", odds=1.0)
            turn.thinking = turn.session.grove.grow(branch, turn.lane)
            self.follow(turn.outlook)

    def end(self, turn: Turn) -> None:
        """It has said what it wants."""
        if turn.thinking is not None:
            turn.thinking.close("turn_ended", self._parts.clock.monotonic())

    def follow(self, outlook: Outlook) -> None:
        """Have what comes next foreseen, from there; in tasks that end with the hypothesis, or the turn."""
        owner = outlook.branch or outlook.turn.thinking
        for predictor in self._foreseers:
            if owner is None or owner.lost or predictor.name in outlook.turn.silenced:
                continue
            foreseeing = self._foresee(predictor, outlook)
            task = asyncio.get_running_loop().create_task(foreseeing, context=outlook.turn.spawn.copy())
            owner.start(task, self._leftovers.cancel)

    async def _foresee(self, predictor: Foresees, outlook: Outlook) -> None:
        limit = self._parts.lookahead
        try:
            async with asyncio.timeout(limit.seconds):
                said = await predictor.foresee(outlook.context)
            for candidate in islice(said, limit.proposals):
                self._consider(outlook, checked(candidate))
        except Exception as error:  # noqa: BLE001 - somebody else's code: it hurts nobody, and is not asked again
            outlook.turn.silenced.add(predictor.name)
            log.warning("predictor %s failed and sits this turn out: %r", predictor.name, error)

    def _consider(self, outlook: Outlook, candidate: object) -> None:
        if not isinstance(candidate, Candidate) or outlook.over:
            return
        # INVARIANT: whoever forgets to say so, what may come out of a tool's result is tainted.
        tool = outlook.context.tools.get(candidate.call.tool)
        candidate = perhaps_from_results(candidate, outlook.context.history, tool)
        self._launcher.consider(outlook, candidate)


def seen_by_model(parts: Parts, call: Call, value: Any) -> str | None:
    """The result as the model will see it; None when that cannot be told, or is too long to be looked at."""
    tool = parts.registry.get(call.tool)
    try:
        text = as_text(value) if tool is None else tool.render(value)
    except Exception:  # noqa: BLE001 - a value of somebody's own that cannot be shown
        return None
    return text if readable(text) else None


def readable(text: object) -> TypeGuard[str]:
    """Whether it is text that predictors can be shown."""
    return isinstance(text, str) and len(text) <= LONGEST


LONGEST = 1_000_000
"""Characters of a result that predictors are shown."""


def _foreseers(predictors: Sequence[AnyPredictor]) -> Sequence[Foresees]:
    return [predictor for predictor in predictors if isinstance(predictor, Foresees)]
