"""Whether an approval covers an intent, and what becomes of it then.

# INVARIANT: I17, an approval is used by one effect: the very call that was shown, under the policy and the
# schema it was shown under, in time. It is consumed in the transaction that writes the intent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from specflow.errors import ApprovalError
from specflow.journal.approval import APPROVE, EDIT, Approval, Consent
from specflow.journal.record import EffectRow, Intent
from specflow.lifecycle import ApprovalState, Stage


def consume(
    row: Approval | None, intent: Intent, consent: Consent, earlier: Stage | None
) -> Mapping[str, object]:
    """The columns of the approval once `intent` has used it. `earlier` is the stage of what used it before.

    Raises:
        ApprovalError: it does not cover this intent; nothing may be written.
    """
    why = "nobody was asked" if row is None else _uncovered(row, intent, consent, earlier)
    if why:
        raise ApprovalError(
            f"{intent.tool} was not run: the approval does not cover it ({why})",
            hint="resume the run: it asks again",
            tool=intent.tool,
            approval_id=consent.approval_id,
        )
    return {
        "state": ApprovalState.USED,
        "decision": consent.decision,
        "effect_id": intent.effect_id,
        "decided_at": consent.at,
    }


def _uncovered(row: Approval, intent: Intent, consent: Consent, earlier: Stage | None) -> str:
    again = row.state is ApprovalState.USED and earlier is Stage.FAILED
    if row.state is not ApprovalState.ASKED and not again:
        return f"it is {row.state} already"
    if row.tool != intent.tool or (consent.decision == APPROVE and row.fingerprint != intent.fingerprint):
        return "another call was shown"
    if consent.decision not in {APPROVE, EDIT}:
        return f"{consent.decision!r} lets nothing run"
    if row.schema_hash != intent.schema_hash:
        return "the tool's schema has changed since it was asked"
    if row.policy_hash != intent.policy_hash:
        return "the policy has changed since it was asked"
    return "it came too late" if consent.at > row.expires_at else ""


def misused(row: Approval, effect: EffectRow | None) -> Iterator[str]:
    """What is wrong with a used approval and the effect it was used for."""
    if effect is None:
        yield "an approval was used for an effect that is not there"
        return
    if row.decision == APPROVE and row.fingerprint != effect.fingerprint:
        yield f"{effect.tool} ran with arguments that nobody approved"
    if (row.tool, row.schema_hash, row.policy_hash) != (effect.tool, effect.schema_hash, effect.policy_hash):
        yield f"{effect.tool} ran on an approval of something else"
