"""Whether one early write could be taken back: what its undo is called with, and what is read before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from specflow.effects.call import Call
from specflow.policy.compiled import Plan
from specflow.policy.condition import ConditionError
from specflow.policy.settings import Expression, Undo
from specflow.policy.verdict import Speculate, Verdict

JudgeRead = Callable[[Plan, Call], Verdict]
"""The verdict on the read that comes before the write."""


def obstacle(plan: Plan, undo: Undo, call: Call, judge: JudgeRead) -> tuple[str, tuple[str, ...]]:
    """Why the undo could not be called with what this call says, or nothing; and what is not to be sent."""
    if any("{result" in template.replace(" ", "") for template in plan.settings.writes or ()):
        return "an early write needs `writes` built from arguments alone", ()
    if undo.before is not None:
        args, problem = _form(undo.before.tool, undo.before.arguments, {"args": call.args})
        if problem:
            return problem, ()
        assert plan.before is not None  # where there is a read, its plan is there
        # INVARIANT: what comes before an early write runs early itself, so it must be allowed to.
        verdict = judge(plan.before, Call(tool=undo.before.tool, args=args))
        if verdict.speculate is not Speculate.NOW:
            tool = undo.before.tool
            problem = f"{tool} reads what was there before, and would not run early itself ({verdict.why})"
            return problem, verdict.withheld
    known = {name: item for name, item in undo.arguments.items() if not item.roots & {"result", "before"}}
    return _form(undo.tool, known, {"args": call.args, "key": "key"})[1], ()


def _form(
    tool: str, arguments: Mapping[str, Expression], names: Mapping[str, Any]
) -> tuple[dict[str, Any], str]:
    made: dict[str, Any] = {}
    for name, expression in arguments.items():
        try:
            made[name] = expression.evaluate(names)
        except ConditionError as error:
            return {}, f"the argument {name!r} of {tool} cannot be formed: {error.message}"
    return made, ""
