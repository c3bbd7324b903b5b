"""A policy without YAML: fixed verdicts and settings per tool, for tests of the core."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cached_property
from typing import Any

from specflow.effects.call import Call, digest
from specflow.effects.kind import EffectClass
from specflow.effects.tool import ToolSpec
from specflow.policy.settings import Budgets, ToolSettings
from specflow.policy.verdict import Asking, Reason, Speculate, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What the static policy says about one tool."""

    effect: EffectClass
    speculate: Speculate = Speculate.NEVER
    min_confidence: float = 0.0
    predictors: frozenset[str] | None = None
    confirm: Asking = Asking.HOST
    settings: ToolSettings = field(default_factory=ToolSettings)


class StaticJudge:
    """Fulfils `specflow.policy.settings.Judge`. A tool without a rule needs confirmation, never early."""

    def __init__(self, rules: Mapping[str, Rule], *, budgets: Budgets | None = None) -> None:
        self._rules = dict(rules)
        self._budgets = budgets or Budgets(max_concurrent=64, max_depth=64)

    @cached_property
    def hash(self) -> str:
        return digest(*(f"{name}={_shown(rule)}" for name, rule in sorted(self._rules.items())))

    @property
    def budgets(self) -> Budgets:
        return self._budgets

    def judge(
        self, tool: ToolSpec | None, call: Call, *, context: Mapping[str, Any], tainted: bool = False
    ) -> Verdict:
        """The fixed verdict of the tool's rule."""
        rule = self._rules.get(call.tool)
        if rule is None:
            rule = Rule(effect=EffectClass.CONFIRMATION_REQUIRED)
            reason = Reason(code="unlisted", message=f"{call.tool} has no rule")
        else:
            reason = Reason(code="static", message=f"{call.tool} is {rule.effect}, {rule.speculate}")
        return Verdict(
            effect=rule.effect,
            speculate=rule.speculate,
            reasons=(reason,),
            policy_hash=self.hash,
            schema_hash=tool.schema_hash if tool is not None else "",
            min_confidence=rule.min_confidence,
            predictors=rule.predictors,
            confirm=rule.confirm,
        )

    def settings(self, tool: ToolSpec) -> ToolSettings:
        """The fixed settings of the tool's rule."""
        rule = self._rules.get(tool.name)
        return rule.settings if rule is not None else ToolSettings()


def _shown(value: Any) -> str:
    """A rule, or a part of one, in words that are the same in every process."""
    if isinstance(value, frozenset):
        return f"{{{', '.join(sorted(map(_shown, value)))}}}"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{name}: {_shown(item)}' for name, item in sorted(value.items()))}}}"
    if is_dataclass(value):
        parts = {part.name: getattr(value, part.name) for part in fields(value)}
        return f"{type(value).__name__}({_shown(parts)})"
    return str(getattr(value, "source", value))
