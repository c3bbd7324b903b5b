"""One model turn: the ears that listen to it, and what they have proposed."""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from specflow.prediction.candidate import Proposal
from specflow.prediction.chunk import Chunk
from specflow.prediction.predictor import Listener, Predictor, TurnContext
from specflow.speculation.session import Session

log = logging.getLogger("specflow")


@dataclass(slots=True, kw_only=True, eq=False, weakref_slot=True)
class Turn:
    """Local to one model call. `spawn` is the context in which its early calls run; `lane` the agent's."""

    turn_id: str
    lane: str
    session: Session
    context: TurnContext
    spawn: contextvars.Context
    started: float
    listeners: dict[str, Listener] = field(default_factory=dict)
    launched: int = 0
    proposed: int = 0
    ended: bool = False

    def listen(self, predictors: Sequence[Predictor]) -> None:
        """Ask every predictor for an ear; one that fails is left out of this turn."""
        for predictor in predictors:
            try:
                self.listeners[predictor.name] = predictor.listen(self.context)
            except Exception:
                log.exception("predictor %s failed and sits this turn out", predictor.name)

    def hear(self, chunk: Chunk) -> Iterator[Proposal]:
        """What the listeners make of the next chunk; one that raises hears no more of this turn."""
        for name, listener in tuple(self.listeners.items()):
            try:
                yield from listener.hear(chunk)
            except Exception:
                del self.listeners[name]
                log.exception("predictor %s failed and sits the rest of this turn out", name)
