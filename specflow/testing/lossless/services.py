"""The tools of a generated run as the core calls them: they take their time, and watch who calls them."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from specflow.effects.call import Call
from specflow.effects.kind import EffectClass
from specflow.effects.tool import CallContext, ToolSpec
from specflow.policy.verdict import Speculate
from specflow.testing.lossless.case import Case, Manner
from specflow.testing.lossless.kinds import KINDS
from specflow.testing.lossless.manners import KEY, annotation, rule
from specflow.testing.lossless.world import Made, World

AMENDED_AFTER = 30.0
"""Seconds after which a service changes the object that it has answered with."""


class Services:
    """Bodies for every tool, over one world. `forbidden` holds what must never have been called."""

    def __init__(self, case: Case) -> None:
        self.world = World(stumbling=case.stumbling, breaks=case.breaks)
        self.forbidden: list[str] = []
        self.approved: Counter[str] = Counter()
        """By fingerprint: how many more times a person's yes allows the call."""
        self._case = case
        self._rules = {name: rule(kind, case.manners.get(name, Manner())) for name, kind in KINDS.items()}

    def tools(self) -> list[ToolSpec]:
        """What a registry is filled with."""
        return [
            ToolSpec(
                name=name,
                parameters=_with_key(kind.parameters)
                if self._rules[name].settings.idempotency_key
                else kind.parameters,
                annotation=annotation(kind),
                runner=self._run,
            )
            for name, kind in KINDS.items()
        ]

    async def _run(self, call: Call, context: CallContext) -> Any:
        self._watch(call, context)
        made = Made(
            tool=call.tool,
            args=call.plain_args(),
            key=context.idempotency_key,
            early=context.early,
            compensating=context.compensating,
        )
        self.world.made.append(made)
        await self._pass_time(made)
        self._stumble(made)
        answer: Any = None
        try:
            for said in self.world.phases(call.tool, call.args, made.key):
                made.acted, answer = True, said
                await self._pass_time(made)
        except OSError:
            made.acted = made.key in self.world.lost
            raise
        made.ended = True
        if call.tool == "survey":
            # A service may go on working on what it has handed out.
            asyncio.get_running_loop().call_later(AMENDED_AFTER, answer.update, {"amended": True})
        return answer

    def _watch(self, call: Call, context: CallContext) -> None:
        """# INVARIANT: nothing held runs early, nothing denied runs, nothing unapproved is called."""
        rule = self._rules[call.tool]
        if context.early and rule.speculate is not Speculate.NOW:
            self.forbidden.append(f"{call} ran early, and the policy says {rule.speculate}")
        if context.compensating:
            return
        if rule.effect is EffectClass.DENY:
            self.forbidden.append(f"{call} is denied, and was called")
        if rule.effect is EffectClass.CONFIRMATION_REQUIRED:
            if self.approved[call.fingerprint] < 1:
                self.forbidden.append(f"{call} was called, and nobody had approved it")
            self.approved[call.fingerprint] -= 1

    async def _pass_time(self, made: Made) -> None:
        seconds = self._case.latency.get(made.tool, 0.0) / 2
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            # A real call heeds it: else the agent that was cancelled would go on.
            if made.tool not in self._case.stubborn or KINDS[made.tool].writes or not made.early:
                raise
            await asyncio.sleep(seconds)

    def _stumble(self, made: Made) -> None:
        world = self.world
        undoing = made.compensating and KINDS[made.tool].effect.writes
        if undoing and made.tool in world.stumbling and made.key not in world.stumbled:
            world.stumbled.add(made.key)
            raise OSError("the compensator was not reached")


def _with_key(schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "properties": {**schema["properties"], KEY: {"type": "string"}}}
