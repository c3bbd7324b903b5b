"""What the door is asked for, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from specflow.effects.call import Call
from specflow.effects.tool import Runner, ToolSpec
from specflow.execution.patience import Patience
from specflow.execution.plans import Amends
from specflow.journal.approval import Consent
from specflow.policy.settings import ToolSettings
from specflow.policy.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One call to be made: what, under which verdict, how, and on whose behalf.

    `adopted_by` is the identity of the real call, made at that `moment`; None makes it an early one, under
    an open branch that presumes `parent_id`. `saga`: what its undo needs is read first, as the run may take
    it back. `claims` are the intent's, `amends` makes it a patch. Within `preparing` it may be cancelled: the
    tool is not called yet. `patience`, for a read, may be renewed while it runs. `doubtful` hears of doubts.
    `consent` is used up by the intent.
    """

    call: Call
    tool: ToolSpec
    settings: ToolSettings
    verdict: Verdict
    runner: Runner
    effect_id: str = ""
    branch_id: str = ""
    parent_id: str | None = None
    adopted_by: str | None = None
    moment: str = ""
    hypothesis: str = "real"
    traceparent: str = ""
    saga: bool = False
    claims: tuple[str, ...] = ()
    preparing: Callable[[], AbstractContextManager[object]] = nullcontext
    patience: Patience | None = None
    doubtful: Callable[[str], None] = lambda _effect_id: None
    amends: Amends | None = None
    consent: Consent | None = None

    @property
    def early(self) -> bool:
        return self.adopted_by is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What came of an order. `replayed`: it was on record, and the tool was not called."""

    value: Any
    effect_id: str = ""
    replayed: bool = False
