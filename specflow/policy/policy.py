"""A loaded policy: what the core asks, and what people ask about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from specflow.effects.call import Call
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.policy.compiled import Compiled, Plan
from specflow.policy.document import InlineTest
from specflow.policy.judge import decide
from specflow.policy.plan import entries_of, plan
from specflow.policy.settings import Budgets, ToolSettings
from specflow.policy.verdict import Verdict

_KEPT = 4_096


class Policy:
    """Fulfils `specflow.policy.settings.Judge`. Made by `specflow.policy.load`.

    `tools` None: compensators and their parameters are not known and not checked. `tests` are the
    inline tests of all files with `file:line:column` of each. `keeps_secrets`: the journal keeps what is
    redacted, sealed, so a tool may run early whose undo or result needs it.
    """

    def __init__(
        self,
        compiled: Compiled,
        *,
        tools: ToolRegistry | None = None,
        tests: Sequence[tuple[str, InlineTest]] = (),
        files: Sequence[str] = (),
        keeps_secrets: bool = False,
    ) -> None:
        self.compiled = compiled
        self.tools = tools
        self.tests = tuple(tests)
        self.files = tuple(files)
        self.keeps_secrets = keeps_secrets
        self._plans: dict[tuple[str, bool], Plan] = {}

    @property
    def hash(self) -> str:
        """64 hex digits over what the policy means: not over comments, order, positions or tests."""
        return self.compiled.hash

    @property
    def budgets(self) -> Budgets:
        return self.compiled.defaults.budgets

    @property
    def trusted_mcp_servers(self) -> frozenset[str]:
        """Names of servers whose optimistic hints may be believed, for the tools that were reviewed."""
        return frozenset(one.server for one in self.compiled.defaults.trusted_mcp_servers)

    def judge(
        self, tool: ToolSpec | None, call: Call, *, context: Mapping[str, Any], tainted: bool = False
    ) -> Verdict:
        """The verdict on one call. Total: never raises. `tool` None: no such tool, so never early."""
        return decide(self.plan(call.tool, tool), call, context=context, tainted=tainted)

    def explain(
        self,
        call: Call,
        *,
        tool: ToolSpec | None = None,
        context: Mapping[str, Any] | None = None,
        tainted: bool = False,
    ) -> Verdict:
        """The verdict as a person asks for it: an unknown tool is taken to exist, unchecked."""
        tool = tool if tool is not None or self.tools is None else self.tools.get(call.tool)
        registered = tool is not None or self.tools is None
        chosen = self.plan(call.tool, tool, registered=registered)
        return decide(chosen, call, context=context or {}, tainted=tainted)

    def settings(self, tool: ToolSpec) -> ToolSettings:
        """How to run the tool; defaults where the policy says nothing."""
        return self.plan(tool.name, tool).settings

    def compensates(self, compensator: str, name: str, tool: ToolSpec | None = None) -> bool:
        """Whether `compensator` may be called to undo a recorded effect of the tool `name`.

        True when the tool names it as its undo, or it names the tool in `compensator_for`.
        """
        undo = self.plan(name, tool, registered=tool is not None or self.tools is None).settings.undo
        if undo is not None and undo.tool == compensator:
            return True
        names = {name} if tool is None else {name, *tool.names}
        entries = entries_of(self.compiled, compensator, self.tools)
        return any(names & entry.compensator_for for entry in entries)

    def plan(self, name: str, tool: ToolSpec | None, *, registered: bool | None = None) -> Plan:
        """What can be said about the tool before its arguments are known; kept for the next call."""
        known = tool is not None if registered is None else registered
        name = tool.name if tool is not None else name
        found = self._plans.get((name, known))
        if found is not None and found.tool is tool:
            return found
        made = plan(self.compiled, name, tool, self.tools, registered=known, keeps_secrets=self.keeps_secrets)
        if len(self._plans) >= _KEPT:
            # A model may invent any number of names.
            self._plans.clear()
        self._plans[name, known] = made
        return made
