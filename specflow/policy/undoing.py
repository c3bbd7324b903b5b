"""How effects of a tool are taken back and asked after: with what, or why that could not be called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from specflow.effects.kind import EffectClass
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.policy import before, mapping
from specflow.policy.compiled import Ask, Compensate, Compiled, Plan
from specflow.policy.condition import Cel
from specflow.policy.settings import Before, Undo, Verify

_RESULT = frozenset({"args", "result", "key"})
_KEY = frozenset({"args", "key"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Undoing:
    """One tool among the others: `tool` and `tools` as far as they are known, `key` its key's parameter.

    `reading` is the plan of the tool that the undo has read first.
    """

    policy: Compiled
    name: str
    tool: ToolSpec | None
    tools: ToolRegistry | None
    key: str
    reading: Plan | None

    def undo(self, written: Compensate | None) -> tuple[Undo | None, str]:
        """The undo, or why there is none that could be called."""
        if written is None:
            return None, "nothing says how it is undone: add `compensate`"
        problem = self._barred(written.tool)
        if problem:
            return None, problem
        first, problem = self._before(written)
        if problem:
            return None, problem
        arguments, problem = self._arguments(written)
        if problem:
            return None, problem
        return (
            Undo(
                tool=self._resolved(written.tool),
                arguments=arguments,
                before=first,
                succeeded_when=written.succeeded_when,
                tolerates_missing=written.tolerates_missing,
                within=written.within,
            ),
            "",
        )

    def verify(self, ask: Ask | None) -> Verify | None:
        """The question whether an effect happened, where there is one that could be asked."""
        if ask is None:
            return None
        target = self._other(ask.tool)
        if self.tools is not None and target is None:
            return None
        arguments = ask.arguments
        if arguments is None:
            arguments, problem = self._derived(target, _KEY)
            if problem:
                return None
        if mapping.problems(arguments, target, self.tool):
            return None
        return Verify(tool=self._resolved(ask.tool), arguments=arguments)

    def _other(self, name: str) -> ToolSpec | None:
        return self.tools.get(name) if self.tools is not None else None

    def _resolved(self, name: str) -> str:
        """The tool's own name: the one under which it is called, and is on record."""
        target = self._other(name)
        return target.name if target is not None else name

    def _barred(self, name: str) -> str:
        if self.tools is not None and name not in self.tools:
            return f"the compensator {name!r} is not a registered tool"
        if any(
            entry.effect is EffectClass.DENY for entry in self.policy.entries_for(name, self._other(name))
        ):
            return f"the compensator {name!r} is denied by the policy"
        return ""

    def _before(self, written: Compensate) -> tuple[Before | None, str]:
        if written.before is None or self.reading is None:
            return None, ""
        return before.prepare(written.before, self.reading, self.tool)

    def _arguments(self, written: Compensate) -> tuple[Mapping[str, Cel], str]:
        target, arguments = self._other(written.tool), written.arguments
        if arguments is None:
            if self._resolved(written.tool) == self.name:
                # By identical name it would only be the same call once more.
                return {}, f"{self.name} cannot undo itself with its own arguments: add `compensate.with`"
            arguments, problem = self._derived(target, _RESULT)
            if problem:
                return {}, f"the arguments of {written.tool} are not known ({problem}): add `compensate.with`"
        found = mapping.problems(arguments, target, self.tool)
        return arguments, f"{written.tool} cannot be called: {found[0][1]}" if found else ""

    def _derived(self, target: ToolSpec | None, roots: frozenset[str]) -> tuple[Mapping[str, Cel], str]:
        if target is None or self.tool is None:
            return {}, "the tools are not known"
        made, missing = mapping.derive(target, self.tool, key=self.key, roots=roots)
        return made, f"nothing is called {', '.join(sorted(missing))}" if missing else ""
