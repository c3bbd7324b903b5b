"""A policy with another threshold: the same in everything, but for how sure a guess must be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from specflow.effects.call import Call
from specflow.effects.tool import ToolSpec
from specflow.policy.settings import Budgets, Judge, ToolSettings
from specflow.policy.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class AtThreshold:
    """A `Judge` in whose verdicts `min_confidence` is `threshold` (in [0, 1]) for every tool.

    It lets nothing run early that `of` does not let run early.
    """

    of: Judge
    threshold: float

    @property
    def hash(self) -> str:
        return self.of.hash

    @property
    def budgets(self) -> Budgets:
        return self.of.budgets

    def judge(
        self, tool: ToolSpec | None, call: Call, *, context: Mapping[str, Any], tainted: bool = False
    ) -> Verdict:
        verdict = self.of.judge(tool, call, context=context, tainted=tainted)
        return replace(verdict, min_confidence=self.threshold)

    def settings(self, tool: ToolSpec) -> ToolSettings:
        return self.of.settings(tool)
