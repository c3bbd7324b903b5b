"""An approval: what a person was asked, what it was bound to, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass

from specflow.lifecycle import ApprovalState

DECISIONS = APPROVE, EDIT, REJECT, RESPOND = "approve", "edit", "reject", "respond"
"""What a person may answer. The first two let the call run: as it was shown, or with other arguments."""


LONGEST_SHOWN = 65_536
"""Characters that are kept of what was shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One question about one call, as stored. Times are seconds since the epoch.

    `call_name` tells the real call from all others, whatever its arguments; `interrupt_id` is the interrupt
    that asks. `fingerprint` is that of the call shown, `shown` the text that was shown with it (nothing that
    the policy redacts is in it), `shown_hash` covers all that was shown. `effect_id` is the effect it was
    used for; `cause` why it is void, or a refusal's reason.
    """

    approval_id: str
    tenant: str
    thread: str
    interrupt_id: str
    call_name: str
    tool: str
    fingerprint: str
    schema_hash: str
    policy_hash: str
    shown: str
    shown_hash: str
    asked_at: float
    expires_at: float
    state: ApprovalState = ApprovalState.ASKED
    decision: str = ""
    effect_id: str | None = None
    cause: str = ""
    decided_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """What an intent rests on: a person's `approve` or `edit`, brought at `at` (seconds since the epoch)."""

    approval_id: str
    decision: str
    at: float = 0.0
