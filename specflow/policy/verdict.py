"""A decision is a value that says why."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from specflow.effects.kind import EffectClass
from specflow.errors import InvariantError


class Speculate(StrEnum):
    """When a call may run: now (early), hold (prepared, released by the real run), or never early."""

    NOW = "now"
    HOLD = "hold"
    NEVER = "never"

    @property
    def strictness(self) -> int:
        """0 (now) to 2 (never)."""
        return _ORDER[self]


_ORDER = {word: position for position, word in enumerate(Speculate)}


class Asking(StrEnum):
    """Who asks a person: specflow by an interrupt, or the application itself (host)."""

    ASK = "ask"
    HOST = "host"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One thing that shaped a verdict: a rule's id, a default, an error. `where` is `file:line:col`."""

    code: str
    message: str
    where: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The policy's answer about one call.

    `min_confidence` is what a candidate needs to run early; `predictors` who may start it early
    (None: anyone); `confirm` who asks when `effect` is confirmation_required. `withheld` says what
    was not sent anywhere early, and why (issue-time privacy).
    """

    effect: EffectClass
    speculate: Speculate
    reasons: tuple[Reason, ...]
    policy_hash: str
    schema_hash: str = ""
    min_confidence: float = 0.6
    predictors: frozenset[str] | None = None
    confirm: Asking = Asking.HOST
    withheld: tuple[str, ...] = field(default=())

    @property
    def why(self) -> str:
        """Every reason, in one line."""
        return "; ".join(f"{reason.code}: {reason.message}" for reason in self.reasons)

    def __post_init__(self) -> None:
        if not self.reasons:
            raise InvariantError("a verdict without reasons")
        if self.effect.strictness >= EffectClass.CONFIRMATION_REQUIRED.strictness and (
            self.speculate is not Speculate.NEVER
        ):
            raise InvariantError(f"{self.effect} may never run early")
