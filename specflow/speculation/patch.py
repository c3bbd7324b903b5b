"""One patch: whether the early write may be amended by it, and the call that does it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from specflow.effects.call import Call
from specflow.effects.claim import covering
from specflow.effects.footprint import Keys, overlap
from specflow.effects.kind import EffectClass
from specflow.effects.result import seen
from specflow.effects.tool import CallContext, Runner
from specflow.errors import ConflictError, SpecflowError
from specflow.execution.order import Done, Order
from specflow.execution.plans import Amends
from specflow.lifecycle import Stage
from specflow.policy.mapping import TEMPLATE
from specflow.policy.settings import Patch, ToolSettings
from specflow.policy.verdict import Reason, Verdict
from specflow.speculation.adopt import RealCall
from specflow.speculation.keep import private
from specflow.speculation.parts import Parts
from specflow.speculation.pending import Speculation
from specflow.speculation.retire import Retirer
from specflow.speculation.session import Session
from specflow.speculation.touch import claims_of, footprint_of, written_by


@dataclass(slots=True, kw_only=True)
class Amendment:
    """The call that makes an early write the real one.

    `footprint` is what the pair of them touches. `trouble`: it was made, and what the real call should
    return cannot be told.
    """

    order: Order
    footprint: Keys
    trouble: SpecflowError | None = field(default=None)

    @property
    def effect_id(self) -> str:
        return self.order.effect_id


class Patcher:
    """Makes patches."""

    def __init__(self, parts: Parts, retirer: Retirer) -> None:
        self._parts = parts
        self._retirer = retirer

    async def prepare(
        self, session: Session, speculation: Speculation, real: RealCall, result: Any
    ) -> Amendment:
        """The amendment of an early write, which returned `result`, to a real call.

        Raises:
            SpecflowError: it must not be amended, or cannot be.
        """
        parts, patch = self._parts, speculation.settings.patch
        assert patch is not None
        row = await parts.journal.effect(speculation.effect_id)
        if row is None or row.stage is not Stage.DONE:
            raise SpecflowError(f"{speculation.tool.name} is not on record as done")
        tool = parts.registry.require(patch.tool)
        if tool.runner is None or tool.injected:
            raise SpecflowError(f"{patch.tool} cannot be run here")
        for name in (patch.tool, speculation.tool.name):
            if session.switched_off.by(name):
                raise SpecflowError(f"{name} is switched off: one of its effects is stuck")
        names = {"args": real.call.plain_args(), "result": seen(result), "key": row.idem_key}
        args = {name: expression.evaluate(names) for name, expression in patch.arguments.items()}
        call = Call(tool=patch.tool, args=args)
        if problems := tool.problems(call.args):
            raise SpecflowError(f"{patch.tool} does not take this: {problems}")
        verdict = self._permitted(patch, call)
        settings = replace(parts.judge.settings(tool), undo=None, verify=None, patch=None)
        wanted = claims_of(speculation.settings, real.call.args)
        _check_claims(speculation, {*wanted, *claims_of(_beyond(settings, patch), args)})
        amendment = Amendment(
            order=Order(
                call=call,
                tool=tool,
                settings=settings,
                verdict=verdict,
                runner=tool.runner,
                effect_id=parts.ids.new("eff"),
                branch_id=parts.ids.new("br"),
                hypothesis=f"{speculation.tool.name}, amended",
                traceparent=parts.traceparent(real.call_id),
                claims=tuple(sorted({*wanted, *claims_of(settings, args)})),
                amends=Amends(base_id=speculation.effect_id, fingerprint=real.call.fingerprint),
            ),
            footprint=_union(
                speculation.footprint,
                footprint_of(speculation.settings, real.call.args, speculation.verdict),
                footprint_of(settings, args, verdict),
            ),
        )
        amendment.order = replace(amendment.order, runner=_answering(amendment, patch, names))
        return amendment

    async def clear_way(
        self, session: Session, speculation: Speculation, key: str, amendment: Amendment
    ) -> None:
        """As before a real call: what builds on the early write, or meets the pair otherwise, is undone.

        Raises:
            SpecflowError: that is not done.
        """
        # INVARIANT: reads that saw the base as it was are stale, until the patch has happened.
        speculation.footprint = amendment.footprint
        if speculation.span is not None:
            speculation.span.keys = amendment.footprint
        await self._retirer.clear_way(session, amendment.footprint, key, writes=True)
        if any(item in session.not_undone or not item.over.is_set() for item in speculation.dependents):
            raise ConflictError("something that builds on it is not undone")
        if session.orphans.meeting(lambda row: overlap(amendment.footprint, written_by(self._parts, row))):
            raise ConflictError("something on record would be taken back over it")

    async def run(self, session: Session, amendment: Amendment) -> Done:
        """Make the call, through the door; raises what that raises."""
        return await self._parts.door.run(amendment.order, session.lease)

    def _permitted(self, patch: Patch, call: Call) -> Verdict:
        """The verdict on the patch, as a part of the tool that declares it.

        As with a compensator, that the tool which amends needs a person's yes when it is called by itself
        does not count here; a rule that asks for more than is declared of it does.
        """
        parts = self._parts
        verdict = parts.judge.judge(parts.registry.get(call.tool), call, context=parts.context)
        most = max(patch.effect.strictness, EffectClass.COMPENSATABLE.strictness)
        if verdict.effect is EffectClass.DENY or verdict.effect.strictness > most:
            raise SpecflowError(f"this call of {call.tool} is {verdict.effect} ({verdict.why})")
        reason = Reason(code="patch", message=f"it amends an early call, and was {verdict.effect} by itself")
        return replace(verdict, effect=EffectClass.COMPENSATABLE, reasons=(*verdict.reasons, reason))


def _beyond(settings: ToolSettings, patch: Patch) -> ToolSettings:
    """The settings of the tool that amends, without the `writes` that name what the early call has made.

    These are keys of arguments that are taken from its result (or its key) alone, such as a booking's id.
    """
    made = {name for name, said in patch.arguments.items() if said.roots and said.roots <= {"result", "key"}}

    def beyond(template: str) -> bool:
        read = [field.strip().split(".") for field in TEMPLATE.findall(template)]
        return not read or any(root != "args" or not made.issuperset(path[:1]) for root, *path in read)

    writes = None if settings.writes is None else tuple(filter(beyond, settings.writes))
    return replace(settings, writes=writes)


def _check_claims(speculation: Speculation, wanted: set[str]) -> None:
    # INVARIANT: a patch changes nothing but what the early write holds against other sessions until it is
    # undone, or what it has made itself.
    held = set(speculation.claims)
    lacking = sorted(one for one in wanted if one not in held and held.isdisjoint(covering(one)))
    if lacking:
        raise SpecflowError(f"{', '.join(lacking)} is not claimed by the early {speculation.tool.name}")


def _union(*footprints: Keys) -> Keys:
    found: frozenset[str] = frozenset()
    for keys in footprints:
        if keys is None:
            return None
        found |= keys
    return found


def _answering(amendment: Amendment, patch: Patch, names: dict[str, Any]) -> Runner:
    """The tool that amends, answering what the real call returns."""
    runner, returns = amendment.order.runner, patch.returns

    async def answer(call: Call, context: CallContext) -> Any:
        value = private(await runner(call, context))
        if returns is None:
            return value
        try:
            return returns.evaluate({**names, "patched": seen(value)})
        except SpecflowError as error:
            # It was made all the same, and is on record as that.
            amendment.trouble = error
            return value

    return answer
