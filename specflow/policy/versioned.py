"""A read whose version can be asked after: whether that can be done for one call, and may be."""

from __future__ import annotations

from collections.abc import Callable

from specflow.effects.call import Call
from specflow.policy.compiled import Plan
from specflow.policy.condition import ConditionError
from specflow.policy.verdict import Speculate, Verdict


def obstacle(plan: Plan, call: Call, judge: Callable[[Plan, Call], Verdict]) -> tuple[str, tuple[str, ...]]:
    """Why the version could not be asked for before an early call, or nothing; and what is not to be sent."""
    version = plan.settings.version
    if version is None or plan.asking is None:
        return plan.no_version, ()
    args = {}
    for name, expression in version.arguments.items():
        try:
            args[name] = expression.evaluate({"args": call.args})
        except ConditionError as error:
            return f"the argument {name!r} of {version.tool} cannot be formed: {error.message}", ()
    # INVARIANT: what is asked before an early read runs early itself, so it must be allowed to.
    verdict = judge(plan.asking, Call(tool=version.tool, args=args))
    if verdict.speculate is Speculate.NOW:
        return "", ()
    return f"{version.tool} tells versions, and would not run early itself ({verdict.why})", verdict.withheld
