"""What the journal keeps of a policy's undo and verify: names and texts, which another process can read."""

from __future__ import annotations

from specflow.journal.record import UndoPlan, VerifyPlan
from specflow.policy.settings import ToolSettings


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
    verify = settings.verify
    if verify is None:
        return None
    arguments = {name: expression.source for name, expression in verify.arguments.items()}
    return VerifyPlan(tool=verify.tool, arguments=arguments)
