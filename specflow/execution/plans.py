"""What the journal keeps of a policy's undo and verify: names and texts, which another process can read."""

from __future__ import annotations

from dataclasses import dataclass, replace

from specflow.journal.record import IN_ITS_ROW, Intent, UndoPlan, VerifyPlan
from specflow.policy.settings import ToolSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Amends:
    """A call that patches the effect `base_id`, so that it answers a call of that `fingerprint`."""

    base_id: str
    fingerprint: str

    def of(self, intent: Intent) -> Intent:
        """Its intent: it stands on its base, is undone with it, and is found as the call that it answers."""
        return replace(
            intent,
            fingerprint=self.fingerprint,
            undo=UndoPlan(tool="", arguments={}, tolerates_missing=True, covered_by=self.base_id),
            verify=intent.verify if intent.verify == IN_ITS_ROW else None,
            depends_on=(self.base_id,),
        )


def undo_plan(settings: ToolSettings) -> UndoPlan | None:
    """How to undo, or None."""
    undo = settings.undo
    if undo is None:
        return None
    return UndoPlan(
        tool=undo.tool,
        arguments={name: expression.source for name, expression in undo.arguments.items()},
        succeeded_when=undo.succeeded_when.source if undo.succeeded_when else "",
        tolerates_missing=undo.tolerates_missing,
    )


def verify_plan(settings: ToolSettings) -> VerifyPlan | None:
    """How to ask whether it happened, or None."""
    if settings.transaction:
        return IN_ITS_ROW
    verify = settings.verify
    if verify is None:
        return None
    arguments = {name: expression.source for name, expression in verify.arguments.items()}
    return VerifyPlan(tool=verify.tool, arguments=arguments)
