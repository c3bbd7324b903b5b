"""Whether a real call may be made at all."""

from __future__ import annotations

from specflow.effects.kind import EffectClass
from specflow.errors import ConflictError, RefusedError
from specflow.execution.inside import in_transaction
from specflow.policy.verdict import Asking, Verdict
from specflow.speculation.adopt import RealCall


def admit(verdict: Verdict, real: RealCall) -> None:
    """# INVARIANT: nothing that the policy denies, or that a person must approve and has not, is run.

    Raises:
        RefusedError: it is such a call.
        ConflictError: it is made by the body of a tool whose effect is one commit with its outcome.
    """
    around = in_transaction()
    if around and verdict.effect.writes:
        # Its intent would wait for the transaction around it, and that for the call.
        raise ConflictError(
            f"{real.call.tool} cannot be called inside the transaction of another call (effect {around})",
            hint="a tool with `transaction` calls no other tools that write",
            effect_id=around,
        )
    why = "; ".join(f"{reason.code}: {reason.message}" for reason in verdict.reasons)
    if verdict.effect is EffectClass.DENY:
        raise RefusedError(f"the policy denies {real.call.tool}: {why}", tool=real.call.tool)
    asks = verdict.effect is EffectClass.CONFIRMATION_REQUIRED and verdict.confirm is Asking.ASK
    if asks and not (real.approved or real.elsewhere()):
        raise RefusedError(f"{real.call.tool} needs a person's approval: {why}", tool=real.call.tool)
