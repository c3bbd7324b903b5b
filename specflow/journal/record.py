"""What the journal stores, as values: intents, outcomes, and the rows read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from specflow.effects.kind import EffectClass
from specflow.journal.approval import Approval, Consent
from specflow.lifecycle import BranchState, SessionState, Stage
from specflow.sealing.sealed import Sealed

AGAIN = "~"
"""Between the identity of a real call and the number of its tries that failed (nothing had happened)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to write under one session: every write is refused once `fence` is no longer the newest."""

    session_id: str
    owner: str
    fence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoPlan:
    """How to undo an effect, stored by name and text so that another process can do it.

    `arguments` maps parameters to CEL text over args, result, key, and before (as far as that is known).
    `covered_by`: the effect is a patch of that one, its base. The undo of the base undoes both, and this one
    is taken back without a call of its own (see `specflow.journal.cover`).
    """

    tool: str
    arguments: Mapping[str, str]
    succeeded_when: str = ""
    tolerates_missing: bool = False
    covered_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyPlan:
    """How to ask whether an effect happened, stored by name and text over args and key.

    Without a `tool`, nobody need be asked: the effect and its outcome are one commit (`IN_ITS_ROW`).
    """

    tool: str
    arguments: Mapping[str, str]


IN_ITS_ROW = VerifyPlan(tool="", arguments={})
"""For a call that is made in the journal's own database: while its row says intended, it has not happened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What is about to be called. Written durably before the call.

    An early call has an open branch and no `adopted_by`; a real call is born adopted, under a branch
    that is confirmed from the start. `args` hold no secrets: what the policy redacts is already out,
    and `redacted` says so; `sealed` tells of `args` and `before` where it was, and keeps it where there is a
    key. `call_deadline` is seconds since the epoch: after it the request can no
    longer be travelling. `traceparent` is the W3C header of the span that made the call. `depends_on`
    are ids of effects that this one builds on: it is undone before them, and adopted after them.
    `parent_id` is the branch whose hypothesis this one presumes: it is confirmed after it, and lost with it.
    `before` is what was read just before the call, as plain JSON, as far as the undo needs it;
    `before_known` says that it was. `claims` are keys of what it changes, in the form of
    `specflow.effects.claim`: no effect of another session may be undecided on them, and an early call
    builds on those of its own session that are. `inside` are ids of effects of which this one is a part: an
    agent may be another one's tool. Their claims are not in its way. `consent` is the approval it uses up.
    `moment` is the host's word for where in the conversation the real call was made; only the host reads it.
    """

    effect_id: str
    branch_id: str
    tool: str
    schema_hash: str
    policy_hash: str
    effect: EffectClass
    fingerprint: str
    args: Mapping[str, Any]
    idem_key: str
    hypothesis: str
    cause: str = ""
    adopted_by: str | None = None
    keyed: bool = False
    redacted: bool = False
    undo: UndoPlan | None = None
    verify: VerifyPlan | None = None
    call_deadline: float | None = None
    reasons: tuple[str, ...] = ()
    traceparent: str = ""
    depends_on: tuple[str, ...] = ()
    parent_id: str | None = None
    before: Any = None
    before_known: bool = False
    claims: tuple[str, ...] = ()
    inside: tuple[str, ...] = ()
    moment: str = ""
    sealed: Mapping[str, Sealed] = field(default_factory=dict)
    consent: Consent | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a call ended. `stage` is done, failed or unknown.

    `result` is the tool's own return value where it is JSON, and `replayable` says that it is;
    otherwise `result` is a description for people and the value cannot be handed out again.
    `sealed` tells what is hidden in `result`; with it put back, that is what the tool returned.
    """

    stage: Stage
    result: Any = None
    replayable: bool = True
    error: str = ""
    sealed: Sealed | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectRow:
    """One effect as stored. `rev` counts its transitions; times are seconds since the epoch.

    `sealed` tells what is hidden in `args`, `result`, `before` and `comp_args`. A redacted effect in
    which it tells nothing of one of these was written before that was noted.
    """

    effect_id: str
    branch_id: str
    session_id: str
    seq: int
    tool: str
    schema_hash: str
    policy_hash: str
    effect: EffectClass
    fingerprint: str
    args: Mapping[str, Any]
    idem_key: str
    keyed: bool
    redacted: bool
    stage: Stage
    result: Any
    replayable: bool
    error: str
    adopted_by: str | None
    undo: UndoPlan | None
    verify: VerifyPlan | None
    comp_key: str | None
    comp_args: Mapping[str, Any] | None
    attempts: int
    call_deadline: float | None
    not_before: float | None
    fence: int
    rev: int
    reasons: tuple[str, ...]
    traceparent: str
    created_at: float
    updated_at: float
    before: Any = None
    before_known: bool = False
    moment: str = ""
    sealed: Mapping[str, Sealed] = field(default_factory=dict)

    @property
    def in_journal(self) -> bool:
        """Whether the effect is made in the journal's own database, in one commit with its outcome."""
        return self.verify is not None and not self.verify.tool


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchRow:
    """One hypothesis and how it was decided."""

    branch_id: str
    session_id: str
    parent_id: str | None
    hypothesis: str
    state: BranchState
    cause: str
    decided_at: float | None
    decided_fence: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRow:
    """One session of an agent. `thread` is the conversation it belongs to. `presence` names the lock
    that shows that the owner lives; empty where there is none. `run_key` is the logical run, where the
    host tells one: a resumed run has the key of the one it resumes.
    """

    session_id: str
    thread: str
    tenant: str
    owner: str
    fence: int
    lease_until: float
    state: SessionState
    decision: str
    created_at: float
    presence: str = ""
    run_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """One transition: `subject` is a session, branch or effect id; `target` its new state."""

    seq: int
    at: float
    session_id: str
    subject: str
    source: str
    target: str
    cause: str
    fence: int
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionRow:
    """How one speculation ended; for calibration and reports. Losing the last second of these is harmless.

    Times in seconds. `outcome` is hit, late, miss, stale, cancelled, compensated or stuck.
    """

    speculation_id: str
    session_id: str
    tool: str
    fingerprint: str
    predictor: str
    confidence: float
    outcome: str
    cause: str
    at: float
    runway: float = 0.0
    saved: float = 0.0
    wasted: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DependencyRow:
    """`effect_id` builds on `needs_id`, and is undone before it."""

    effect_id: str
    needs_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRow:
    """`effect_id` holds `resource` while it is undecided; `mode` is exclusive, or shared."""

    effect_id: str
    resource: str
    mode: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Readoption:
    """A further name of a committed effect: the call by which a resumed run has asked for it again."""

    adopted_by: str
    effect_id: str
    session_id: str
    moment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A committed effect, and every real call that it was the answer to (`adopted_by` first).

    Of a patch and its `base`, which are one call, the patch is the `effect`: it has the fingerprint, the
    names and the result of that call. `moments` tell of each name where in the conversation it was given.
    """

    effect: EffectRow
    identities: tuple[str, ...]
    moments: tuple[str, ...] = ()
    base: EffectRow | None = None

    @property
    def rows(self) -> tuple[EffectRow, ...]:
        """The effect, and its base: the last one is undone by a call."""
        return (self.effect,) if self.base is None else (self.effect, self.base)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Every row, read in one transaction."""

    sessions: tuple[SessionRow, ...]
    branches: tuple[BranchRow, ...]
    effects: tuple[EffectRow, ...]
    events: tuple[EventRow, ...]
    predictions: tuple[PredictionRow, ...] = ()
    dependencies: tuple[DependencyRow, ...] = ()
    claims: tuple[ClaimRow, ...] = ()
    approvals: tuple[Approval, ...] = ()
