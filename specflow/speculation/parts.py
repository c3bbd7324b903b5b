"""What a coordinator is made of; filled by the runtime, or by a test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from specflow.clock import Clock
from specflow.effects.registry import ToolRegistry
from specflow.execution.door import Door
from specflow.identity import IdSource
from specflow.journal.event import Observers
from specflow.journal.port import Journal
from specflow.policy.settings import Judge
from specflow.prediction.predictor import Predictor
from specflow.settlement.rest import Settler
from specflow.speculation.living import Living


class Mode(StrEnum):
    """ON runs early what the policy allows; SHADOW only says what it would have run."""

    OFF = "off"
    SHADOW = "shadow"
    ON = "on"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The adapters behind the core.

    `context` is what policy conditions see as `context`: the host's configuration, never the model's.
    `conflict_wait` is how many seconds a real call waits for an undo, or a claim, in its way. `surround`
    makes the context in which an early call runs (a trace span, for example); `traceparent` its W3C header.
    `living` knows which open sessions this process still works with. `saga`: runs may be taken back as a
    whole, so what the undo of a real call needs is read before it.
    """

    registry: ToolRegistry
    judge: Judge
    journal: Journal
    door: Door
    settler: Settler
    clock: Clock
    ids: IdSource
    predictors: Sequence[Predictor] = ()
    observers: Observers = field(default_factory=Observers)
    mode: Mode = Mode.ON
    context: Mapping[str, Any] = field(default_factory=dict)
    owner: str = ""
    tenant: str = ""
    conflict_wait: float = 10.0
    living: Living = field(default_factory=Living)
    saga: bool = False
    surround: Callable[[str], AbstractContextManager[object]] = lambda _id: nullcontext()
    traceparent: Callable[[str], str] = lambda _id: ""
