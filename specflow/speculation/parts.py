"""What a coordinator is made of; filled by the runtime, or by a test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NoReturn

from specflow.clock import Clock
from specflow.effects.registry import ToolRegistry
from specflow.errors import ConfigurationError
from specflow.execution.door import Door
from specflow.identity import IdSource
from specflow.journal.event import Observers
from specflow.journal.port import Journal
from specflow.policy.settings import Judge
from specflow.prediction.calibration.ensemble import Ensemble
from specflow.prediction.predictor import AnyPredictor
from specflow.prediction.result_guess import GuessesResults
from specflow.settlement.rest import Settler
from specflow.speculation.canary import CANARY, Canary
from specflow.speculation.demotions import Demotions
from specflow.speculation.durations import Durations
from specflow.speculation.fork import Forker
from specflow.speculation.living import Living
from specflow.speculation.lookahead import Lookahead
from specflow.speculation.odds import Odds
from specflow.speculation.shelf import Shelf


class Mode(StrEnum):
    """ON runs early what the policy allows; SHADOW only says what it would have run."""

    OFF = "off"
    SHADOW = "shadow"
    ON = "on"

    @classmethod
    def _missing_(cls, value: object) -> NoReturn:
        raise ConfigurationError(f"there is no mode {value!r}", hint="off, shadow, canary:N% or on")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The adapters behind the core.

    `context` is what policy conditions see as `context`: the host's configuration, never the model's.
    `conflict_wait` is how many seconds a real call waits for an undo, or a claim, in its way. `surround`
    makes the context in which an early call runs (a trace span, for example); `traceparent` its W3C header.
    `living` knows which open sessions this process still works with. `saga`: runs may be taken back as a
    whole, so what the undo of a real call needs is read before it. `durations` says how long each tool
    takes, early or not (the door tells it); `turns` how long a model thinks, by the agent's lane; `odds` how
    often guesses turn out right, `ensemble` how likely each is by what its predictors say. `demotions` knows
    tools that are not called early any more. `shelf` holds early reads that may answer calls of others.
    `canary`: only its share of the conversations is run ahead of, the others are as in shadow mode.
    `result_guessers` guess what pending calls return, `forker` runs a graph ahead on such a guess,
    `lookahead` limits both.
    """

    registry: ToolRegistry
    judge: Judge
    journal: Journal
    door: Door
    settler: Settler
    clock: Clock
    ids: IdSource
    predictors: Sequence[AnyPredictor] = ()
    result_guessers: Sequence[GuessesResults] = ()
    forker: Forker | None = None
    lookahead: Lookahead = field(default_factory=Lookahead)
    observers: Observers = field(default_factory=Observers)
    mode: Mode = Mode.ON
    canary: Canary | None = None
    context: Mapping[str, Any] = field(default_factory=dict)
    owner: str = ""
    tenant: str = ""
    conflict_wait: float = 10.0
    living: Living = field(default_factory=Living)
    saga: bool = False
    demotions: Demotions = field(default_factory=Demotions)
    shelf: Shelf = field(default_factory=Shelf)
    durations: Durations = field(default_factory=Durations)
    turns: Durations = field(default_factory=Durations)
    odds: Odds = field(default_factory=Odds)
    ensemble: Ensemble = field(default_factory=Ensemble)
    surround: Callable[[str], AbstractContextManager[object]] = lambda _id: nullcontext()
    traceparent: Callable[[str], str] = lambda _id: ""

    def group_of(self, thread: str, run: str) -> str:
        """Which group of the canary the conversation is in; empty without one."""
        return "" if self.canary is None else self.canary.group(self.tenant, thread, run)

    def mode_of(self, thread: str, run: str) -> Mode:
        """What is done in that conversation."""
        group = self.group_of(thread, run)
        return self.mode if group in {"", CANARY} else Mode.SHADOW
